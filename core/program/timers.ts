// Wall-clock time and timers as an argument, so that a test decides when they fire.

export interface Timers {
  /** Unix time in ms. */
  now(): number;
  /** Runs `then` once after so many ms. @returns what stops it */
  after(ms: number, then: () => void): () => void;
}

/** The system's clock. Its timers do not keep a process alive. */
export const systemTimers: Timers = {
  now: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
