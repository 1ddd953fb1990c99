// Lines to a descriptor that may be a pipe without a reader: never waits for it, never cuts a line, keeps a bounded
// number of them.
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { type Line, LineBatch, type WriteOctets } from './line-batch.ts';

// An import would read every property of the module, among them getters that load streams: 0.7 MB of the sidecar's
// memory (Node 24).
const fs = process.getBuiltinModule('node:fs');

/** Access lines are written when there are so many characters of them, or after so many ms. */
const BATCH_CHARS = 32 * 1024;
const LATEST_FLUSH_MS = 50;
/** One write takes at most so many characters: the size of a pipe. */
const WRITE_CHARS = 64 * 1024;
/**
 * What waits for the reader, in characters; past it lines are dropped. The program's own log has some room of its own.
 */
export const MOST_ACCESS_CHARS = 1024 * 1024;
export const MOST_LOG_CHARS = MOST_ACCESS_CHARS + 256 * 1024;
/** A full pipe is tried again after 1 ms, then after twice as long each time up to this many. */
const FIRST_RETRY_MS = 1;
const SLOWEST_RETRY_MS = 50;
/** At the end of the program the reader gets so long, in ms. */
const LAST_FLUSH_MS = 500;
const LAST_LOOK_MS = 5;

/** Where the access log goes, and what became of it. */
export interface AccessLines {
  /** A line of the access log, without its end: written with others. @returns false if it was dropped */
  access(line: string): boolean;
  /** Lines that were written to their end since the start. */
  readonly accessWritten: number;
  /** Lines that were dropped since the start, or lost because the descriptor failed. */
  readonly accessDropped: number;
}

export interface LineWriterDeps {
  readonly write: WriteOctets;
  readonly timers: Timers;
  /** Waits. */
  readonly sleep: (ms: number) => void;
}

type State =
  /** No line waits, or what waits is being written. */
  | { readonly at: 'idle' }
  /** Access lines wait for others to be written with. */
  | { readonly at: 'gathering'; readonly cancel: () => void }
  /** The reader takes nothing now: a batch is under way, and lines wait behind it. */
  | { readonly at: 'blocked'; readonly cancel: () => void };

export class LineWriter implements AccessLines {
  private readonly deps: LineWriterDeps;
  private state: State = { at: 'idle' };
  private readonly waiting: Line[] = [];
  /** Of `waiting` and of `batch`. */
  private keptChars = 0;
  private batch: LineBatch | null = null;
  /** What was written last is not the end of a line: an error has cut it off. */
  private isMidLine = false;
  private retryMs = FIRST_RETRY_MS;
  private allDropped = 0;
  private droppedAccess = 0;
  private writtenAccess = 0;

  constructor(deps: LineWriterDeps) {
    this.deps = deps;
  }

  /** A line of the program's log, without its end: written at once, or behind what waits. */
  log(line: string): void {
    if (this.keep(line, false) && this.state.at !== 'blocked') this.flush();
  }

  access(line: string): boolean {
    if (!this.keep(line, true)) return false;
    if (this.state.at === 'blocked') return true;
    if (this.keptChars >= BATCH_CHARS) this.flush();
    else if (this.state.at === 'idle') this.state = { at: 'gathering', cancel: this.flushAfter(LATEST_FLUSH_MS) };
    return true;
  }

  /** Writes what waits while the reader takes it, at most half a second: for the end of the program. */
  flushSync(): void {
    this.rest();
    for (let waitedMs = 0; !this.writeAll() && waitedMs < LAST_FLUSH_MS; waitedMs += LAST_LOOK_MS) this.deps.sleep(LAST_LOOK_MS);
  }

  /** Lines of either kind that were dropped or lost. */
  get dropped(): number {
    return this.allDropped;
  }

  get accessDropped(): number {
    return this.droppedAccess;
  }

  get accessWritten(): number {
    return this.writtenAccess;
  }

  private keep(text: string, access: boolean): boolean {
    if (this.keptChars + text.length + 1 > (access ? MOST_ACCESS_CHARS : MOST_LOG_CHARS)) {
      this.drop(access);
      return false;
    }
    this.waiting.push({ text, access });
    this.keptChars += text.length + 1;
    return true;
  }

  private flush(): void {
    this.rest();
    if (this.writeAll()) return;
    this.state = { at: 'blocked', cancel: this.flushAfter(this.retryMs) };
    this.retryMs = Math.min(this.retryMs * 2, SLOWEST_RETRY_MS);
  }

  private flushAfter(ms: number): () => void {
    return this.deps.timers.after(ms, () => this.flush());
  }

  private rest(): void {
    if (this.state.at !== 'idle') this.state.cancel();
    this.state = { at: 'idle' };
  }

  /** @returns whether all was written */
  private writeAll(): boolean {
    for (let batch = this.nextBatch(); batch !== null; batch = this.nextBatch()) {
      try {
        if (!batch.write(this.deps.write)) return false;
        this.retryMs = FIRST_RETRY_MS;
        if (batch.isWritten) this.finish(batch, batch.lines.length);
      } catch {
        // The reader is gone, or the disk is full: these lines are lost, and later ones find out anew.
        this.finish(batch, batch.wholeLines);
      }
    }
    return true;
  }

  /** The batch under way, or one of the lines that wait; null: none wait. */
  private nextBatch(): LineBatch | null {
    const { batch, waiting } = this;
    if (batch !== null) return batch;
    if (waiting.length === 0) return null;
    let lines = 0;
    for (let chars = 0; lines < waiting.length && (lines === 0 || chars + waiting[lines].text.length < WRITE_CHARS); lines++) {
      chars += waiting[lines].text.length + 1;
    }
    return (this.batch = new LineBatch(waiting.splice(0, lines), this.isMidLine));
  }

  /** @param whole so many lines of it were written; the others are lost */
  private finish(batch: LineBatch, whole: number): void {
    batch.lines.forEach(({ access }, i) => {
      if (i >= whole) this.drop(access);
      else if (access) this.writtenAccess++;
    });
    this.keptChars -= batch.chars;
    this.isMidLine = batch.endsWithinLine ?? this.isMidLine;
    this.batch = null;
  }

  private drop(access: boolean): void {
    this.allDropped++;
    if (access) this.droppedAccess++;
  }
}

/**
 * A writer to the descriptor of a stream of the process, past the stream itself.
 * @param stream process.stdout: by making it Node has set a pipe or socket to not block (Node 24; a test sees to it)
 */
export function createLineWriter({ fd }: { readonly fd: number }): LineWriter {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  return new LineWriter({
    write: (octets, from) => {
      try {
        return fs.writeSync(fd, octets, from);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
        throw error;
      }
    },
    timers: systemTimers,
    sleep: (ms) => void Atomics.wait(cell, 0, 0, ms),
  });
}
