// Wall-clock time and timers as an argument, so that a test decides when they fire.

export interface Timers {
  /** Unix time in ms. */
  now(): number;
  /** Runs `then` once after so many ms. @returns what stops it */
  after(ms: number, then: () => void): () => void;
}

/** A timer that fires so much later than it should, in ms, fires in a process that has been held up. */
const LATE_MS = 50;

/**
 * The system's clock. Its timers do not keep a process alive. One that fires late lets what has arrived meanwhile be
 * read first: octets that lie in the socket's buffer are not missing.
 */
export const systemTimers: Timers = {
  now: () => Date.now(),
  after(ms, then) {
    const dueMs = performance.now() + ms;
    let immediate: NodeJS.Immediate | null = null;
    const timer = setTimeout(() => {
      if (performance.now() - dueMs < LATE_MS) return then();
      immediate = setImmediate(then);
      immediate.unref();
    }, ms);
    timer.unref();
    return () => {
      clearTimeout(timer);
      if (immediate !== null) clearImmediate(immediate);
    };
  },
};
