// Translates the Services that changed, some at a time, so that the streams are served meanwhile.
import type { Timers } from '#core/program/timers.ts';
import type { Catalogue } from './catalogue.ts';

/** Translation goes on for so long before other work gets its turn. */
const SLICE_MS = 20;

export interface TranslatingDeps {
  readonly catalogue: Catalogue;
  readonly timers: Timers;
  /** Monotonic ms: how long something took. */
  readonly elapsedMs: () => number;
  /**
   * All Services of a round are translated.
   * @param changed those that may look different to a sidecar; maybe none
   * @param beganMs of elapsedMs()
   */
  readonly onRound: (changed: ReadonlySet<string>, beganMs: number) => void;
}

type State =
  | { readonly is: 'idle' }
  | { readonly is: 'slicing'; readonly beganMs: number; cancel: () => void }
  | { readonly is: 'stopped' };

export class Translating {
  private readonly deps: TranslatingDeps;
  private state: State = { is: 'idle' };
  private readonly queue = new Set<string>();
  private changed = new Set<string>();

  constructor(deps: TranslatingDeps) {
    this.deps = deps;
  }

  /** Translates these for the first time, without a round. */
  async load(keys: Iterable<string>): Promise<void> {
    const { catalogue, elapsedMs } = this.deps;
    let sliceStart = elapsedMs();
    for (const key of keys) {
      catalogue.refresh(key);
      if (elapsedMs() - sliceStart < SLICE_MS) continue;
      await new Promise<void>((resolve) => setImmediate(resolve));
      sliceStart = elapsedMs();
    }
  }

  /** What comes while a round is being translated belongs to it. */
  add(keys: Iterable<string>): void {
    for (const key of keys) this.queue.add(key);
    if (this.state.is !== 'idle') return;
    this.state = { is: 'slicing', beganMs: this.deps.elapsedMs(), cancel: () => {} };
    this.slice();
  }

  stop(): void {
    if (this.state.is === 'slicing') this.state.cancel();
    this.state = { is: 'stopped' };
  }

  private slice(): void {
    const { state } = this;
    if (state.is !== 'slicing') return;
    const { catalogue, timers, elapsedMs, onRound } = this.deps;
    const start = elapsedMs();
    for (const key of this.queue) {
      this.queue.delete(key);
      if (catalogue.refresh(key)) this.changed.add(key);
      if (elapsedMs() - start >= SLICE_MS) break;
    }
    if (this.queue.size > 0) {
      state.cancel = timers.after(0, () => this.slice());
      return;
    }
    this.state = { is: 'idle' };
    const { changed } = this;
    this.changed = new Set();
    onRound(changed, state.beganMs);
  }
}
