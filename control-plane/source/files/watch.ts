// Notices that something changed below some directories: the kernel's word for it, and a slow look for what it misses.
import { type FSWatcher, watch } from 'node:fs';

export interface WatchDeps {
  /** Something may have changed. Called once for a burst. */
  readonly onHint: () => void;
  /** The kernel gives no more watches (or the file system has none): only the slow look remains. */
  readonly onBlind: (path: string, reason: string) => void;
}

// Editors write in several steps; the steps follow each other within a few ms.
const QUIET_MS = 10;
// A directory that never falls quiet is still read.
const LONGEST_WAIT_MS = 50;

/**
 * Watches a set of directories that changes over time. One per source; not recursive: the caller says which directories
 * there are.
 */
export class DirectoryWatch {
  private readonly deps: WatchDeps;
  private readonly watchers = new Map<string, { watcher: FSWatcher; inode: number }>();
  private timer: NodeJS.Timeout | null = null;
  private firstHintMs = 0;
  private stopped = false;

  constructor(deps: WatchDeps) {
    this.deps = deps;
  }

  /**
   * Watches exactly these directories (path → inode): a directory that was replaced under the same name gets a new
   * watch.
   * @returns whether a watch was added; what happened in that directory before is not known then
   */
  follow(directories: ReadonlyMap<string, number>): boolean {
    for (const [path, { watcher, inode }] of this.watchers)
      if (directories.get(path) !== inode) {
        watcher.close();
        this.watchers.delete(path);
      }
    let added = false;
    for (const [path, inode] of directories) if (!this.watchers.has(path)) added = this.add(path, inode) || added;
    return added;
  }

  /** Asks for a look, as if the kernel had. */
  hint(): void {
    if (this.stopped) return;
    const now = performance.now();
    if (this.timer === null) this.firstHintMs = now;
    else clearTimeout(this.timer);
    const wait = Math.max(0, Math.min(QUIET_MS, this.firstHintMs + LONGEST_WAIT_MS - now));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.deps.onHint();
    }, wait);
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
    for (const { watcher } of this.watchers.values()) watcher.close();
    this.watchers.clear();
  }

  private add(path: string, inode: number): boolean {
    try {
      const watcher = watch(path, { persistent: false }, () => this.hint());
      watcher.on('error', () => {
        watcher.close();
        if (this.watchers.get(path)?.watcher === watcher) this.watchers.delete(path);
        this.hint();
      });
      this.watchers.set(path, { watcher, inode });
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') this.deps.onBlind(path, code ?? message);
      return false;
    }
  }
}
