// Time that stands still until a test moves it.
import type { Timers } from '#core/program/timers.ts';

export class ManualTimers implements Timers {
  private atMs: number;
  private readonly waiting = new Set<{ atMs: number; then: () => void }>();

  constructor(atMs = Date.now()) {
    this.atMs = atMs;
  }

  now(): number {
    return this.atMs;
  }

  after(ms: number, then: () => void): () => void {
    const entry = { atMs: this.atMs + ms, then };
    this.waiting.add(entry);
    return () => this.waiting.delete(entry);
  }

  /** How long until the next timer; null: there is none. */
  nextInMs(): number | null {
    const next = this.next();
    return next === null ? null : next.atMs - this.atMs;
  }

  /** Lets time pass; timers fire in order, each at its time. */
  advance(ms: number): void {
    const endMs = this.atMs + ms;
    for (let next = this.next(); next !== null && next.atMs <= endMs; next = this.next()) {
      this.waiting.delete(next);
      this.atMs = Math.max(this.atMs, next.atMs);
      next.then();
    }
    this.atMs = endMs;
  }

  /** The machine sleeps: time passes, and what is due fires late, after it. */
  sleep(ms: number): void {
    this.atMs += ms;
    this.advance(0);
  }

  private next(): { atMs: number; then: () => void } | null {
    let first: { atMs: number; then: () => void } | null = null;
    for (const entry of this.waiting) if (first === null || entry.atMs < first.atMs) first = entry;
    return first;
  }
}
