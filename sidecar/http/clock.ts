// Time for the data plane: read from the system once per loop event, not once per use.

/** Monotonic time in ms, brought up to date with each read of a socket and each tick. */
export interface Clock {
  nowMs: number;
  /** Reads the time anew. */
  update(): void;
}

/** @param now monotonic milliseconds, such as performance.now */
export function newClock(now: () => number): Clock {
  const clock = {
    nowMs: now(),
    update() {
      clock.nowMs = now();
    },
  };
  return clock;
}
