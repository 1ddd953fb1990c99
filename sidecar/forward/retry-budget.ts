// How many further attempts the calls to one backend may cost: a part of the calls themselves, so that an outage is not
// made worse by everyone asking again (the idea of GEP-3388).

/** Further attempts per call of a route that asks for some. */
const SHARE = 0.2;
/** So many a second are allowed however few calls there are. */
const LEAST_PER_SECOND = 10;
/** Unused ones are kept up to so many. */
export const MAX_RETRY_BUDGET = 100;

export class RetryBudget {
  private left = LEAST_PER_SECOND;
  private atMs = 0;

  /** A call of a route with a retry begins. */
  earn(): void {
    this.left = Math.min(MAX_RETRY_BUDGET, this.left + SHARE);
  }

  /** @param nowMs monotonic @returns false: the budget is used up */
  take(nowMs: number): boolean {
    const earned = this.atMs === 0 ? 0 : ((nowMs - this.atMs) / 1000) * LEAST_PER_SECOND;
    this.atMs = nowMs;
    // What time gives does not pile up past one second's worth.
    if (this.left < LEAST_PER_SECOND) this.left = Math.min(LEAST_PER_SECOND, this.left + earned);
    if (this.left < 1) return false;
    this.left--;
    return true;
  }
}
