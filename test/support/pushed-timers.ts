// Time that goes by as it does, until a test pushes it on.
import type { Timers } from '#core/program/timers.ts';

interface Waiting {
  readonly atMs: number;
  readonly then: () => void;
  timer: NodeJS.Timeout;
}

export class PushedTimers implements Timers {
  private pushedMs = 0;
  private readonly waiting = new Set<Waiting>();

  now(): number {
    return Date.now() + this.pushedMs;
  }

  after(ms: number, then: () => void): () => void {
    const entry: Waiting = { atMs: this.now() + ms, then, timer: setTimeout(() => this.fire(entry), ms) };
    this.waiting.add(entry);
    return () => {
      clearTimeout(entry.timer);
      this.waiting.delete(entry);
    };
  }

  /** It is so much later: what is due by then fires in the next turn. */
  push(ms: number): void {
    this.pushedMs += ms;
    for (const entry of this.waiting) {
      clearTimeout(entry.timer);
      entry.timer = setTimeout(() => this.fire(entry), Math.max(0, entry.atMs - this.now()));
    }
  }

  private fire(entry: Waiting): void {
    this.waiting.delete(entry);
    entry.then();
  }
}
