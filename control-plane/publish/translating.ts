// Translates the Services that changed, and hands each round of them on.
import type { Catalogue } from './catalogue.ts';
import { SLICE_MS, type Turns, type Work } from './turns.ts';

export interface TranslatingDeps {
  readonly catalogue: Catalogue;
  readonly turns: Turns;
  /** Monotonic ms: how long something took. */
  readonly elapsedMs: () => number;
  /**
   * All Services of a round are translated; the next round begins when this work is done.
   * @param changed those that may look different to a sidecar; maybe none
   * @param beganMs of elapsedMs()
   */
  readonly onRound: (changed: ReadonlySet<string>, beganMs: number) => Work;
}

export class Translating {
  private readonly deps: TranslatingDeps;
  private readonly queue = new Set<string>();
  private isAtWork = false;

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
    if (this.isAtWork) return;
    this.isAtWork = true;
    this.deps.turns.add(this.work());
  }

  private *work(): Work {
    const { catalogue, elapsedMs, onRound } = this.deps;
    do {
      const beganMs = elapsedMs();
      const changed = new Set<string>();
      for (const key of this.queue) {
        this.queue.delete(key);
        if (catalogue.refresh(key)) changed.add(key);
        yield;
      }
      yield* onRound(changed, beganMs);
    } while (this.queue.size > 0);
    this.isAtWork = false;
  }
}
