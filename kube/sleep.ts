// A wait that a signal ends early.
import type { Timers } from '#core/program/timers.ts';

/** Resolves after so many ms, or when the signal is aborted; never rejects. */
export function sleep(timers: Timers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = timers.after(ms, done);
    signal.addEventListener('abort', done);
  });
}
