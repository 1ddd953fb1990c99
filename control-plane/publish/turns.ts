// Long work in slices, so that streams and probes are served meanwhile.
import type { Timers } from '#core/program/timers.ts';

/** Work goes on for so long before the rest of the program gets its turn. */
export const SLICE_MS = 20;

/** It may be left alone for a while at each `yield`. What comes between two of them is short. */
export type Work = Generator<void, void>;

type State = { readonly is: 'idle' | 'working' | 'stopped' } | { readonly is: 'resting'; readonly cancel: () => void };

/** Works that are waiting share the time: each slice is another's. */
export class Turns {
  private readonly timers: Timers;
  private readonly elapsedMs: () => number;
  private works: Work[] = [];
  private state: State = { is: 'idle' };

  /** @param elapsedMs monotonic */
  constructor(timers: Timers, elapsedMs: () => number) {
    this.timers = timers;
    this.elapsedMs = elapsedMs;
  }

  /** Begins before it returns, unless other work is waiting. */
  add(work: Work): void {
    if (this.state.is === 'stopped') return;
    this.works.push(work);
    if (this.state.is === 'idle') this.slice();
  }

  stop(): void {
    if (this.state.is === 'resting') this.state.cancel();
    this.state = { is: 'stopped' };
    this.works = [];
  }

  private slice(): void {
    this.state = { is: 'working' };
    const startMs = this.elapsedMs();
    do {
      if (this.works[0].next().done === true) this.works.shift();
    } while (this.works.length > 0 && this.elapsedMs() - startMs < SLICE_MS);
    // The work itself may have stopped all.
    if (this.state.is !== 'working') return;
    if (this.works.length === 0) {
      this.state = { is: 'idle' };
      return;
    }
    this.state = { is: 'resting', cancel: this.timers.after(0, () => this.goOn()) };
  }

  /** With the work that has waited longest. */
  private goOn(): void {
    this.works.push(this.works.shift()!);
    this.slice();
  }
}

/** @returns work that does this when others have had a turn */
export function* afterOthers(then: () => void): Work {
  yield;
  then();
}
