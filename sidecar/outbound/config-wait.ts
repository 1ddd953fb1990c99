// A new connection to something that is not known yet waits for its configuration, but not for ever.
import type { Timers } from '#core/program/timers.ts';

/** A connection waits so long for the configuration of where it goes, in ms; then it is served by what is known. */
export const CONFIG_WAIT_MS = 2000;

/**
 * Calls `ready` once: when `begin` reports that it is done, or after CONFIG_WAIT_MS.
 * @param begin starts what is waited for; what it returns stops it
 */
export function readyWhen(timers: Timers, ready: () => void, begin: (done: () => void) => () => void): void {
  let over = false;
  let giveUp = (): void => {};
  const finish = (): void => {
    if (over) return;
    over = true;
    cancelTimer();
    giveUp();
    ready();
  };
  const cancelTimer = timers.after(CONFIG_WAIT_MS, finish);
  const stop = begin(finish);
  if (!over) giveUp = stop;
}
