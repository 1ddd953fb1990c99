// When changes go out: the first at once, a burst in rounds that are some way apart.
import type { Timers } from '#core/program/timers.ts';

// 1,000 changes within 2 s make at most 25 rounds: two at once, then one each 90 ms.
const SPACING_MS = 90;
const SAVED_ROUNDS = 2;

/**
 * Gathers keys and hands them out in rounds. At most `SAVED_ROUNDS` rounds go without delay; a quiet time earns them
 * back.
 */
export class Rounds {
  private readonly timers: Timers;
  private readonly run: (keys: Set<string>) => void;
  private pending = new Set<string>();
  private saved = SAVED_ROUNDS;
  private countedMs: number;
  private scheduled: (() => void) | null = null;
  private stopped = false;

  constructor(timers: Timers, run: (keys: Set<string>) => void) {
    this.timers = timers;
    this.run = run;
    this.countedMs = timers.now();
  }

  add(keys: Iterable<string>): void {
    for (const key of keys) this.pending.add(key);
    if (this.pending.size > 0) this.schedule();
  }

  stop(): void {
    this.stopped = true;
    this.scheduled?.();
    this.scheduled = null;
    this.pending.clear();
  }

  private schedule(): void {
    if (this.stopped || this.scheduled !== null) return;
    this.earn();
    const waitMs = this.saved >= 1 ? 0 : Math.ceil((1 - this.saved) * SPACING_MS);
    this.scheduled = this.timers.after(waitMs, () => {
      this.scheduled = null;
      this.earn();
      this.saved = Math.max(0, this.saved - 1);
      const keys = this.pending;
      this.pending = new Set();
      this.run(keys);
    });
  }

  private earn(): void {
    const nowMs = this.timers.now();
    // A clock that was set back earns nothing and takes nothing.
    this.saved = Math.min(SAVED_ROUNDS, this.saved + Math.max(0, nowMs - this.countedMs) / SPACING_MS);
    this.countedMs = nowMs;
  }
}
