// Unix time for spans, out of a monotonic clock: spans of one machine must stand in the order in which things happened.

/** Readings of the two clocks for one offset. */
const READINGS = 3;
/** What the wall clock's whole ms and a short pause between two readings amount to. */
const READING_ERROR_MS = 2;

/**
 * Unix time minus monotonic time, in ms. A wall clock of whole ms would let a callee's span begin before its caller's
 * on the same machine.
 * @param originMs Unix time at which the monotonic clock stood at 0, as exact as that clock; taken unless the clock was
 * set since
 */
export function unixOffset(wallClock: () => number, now: () => number, originMs: number): number {
  let offsetMs = Number.NEGATIVE_INFINITY;
  // Cut off to whole ms, or read before a pause, it comes out too small, never too large.
  for (let i = 0; i < READINGS; i++) offsetMs = Math.max(offsetMs, wallClock() - now());
  return Math.abs(offsetMs - originMs) <= READING_ERROR_MS ? originMs : offsetMs;
}
