// So many of a thing at once, then so many a second: counted when it happens, without a timer.

export class TokenBucket {
  private tokens: number;
  private filledAtMs: number;
  private readonly size: number;
  private readonly perSecond: number;

  constructor(size: number, perSecond: number, nowMs: number) {
    this.size = size;
    this.perSecond = perSecond;
    this.tokens = size;
    this.filledAtMs = nowMs;
  }

  /** Takes one. @returns false when there was none left */
  take(nowMs: number): boolean {
    this.fill(nowMs);
    return --this.tokens >= 0;
  }

  /** How many may be taken now. */
  left(nowMs: number): number {
    this.fill(nowMs);
    return this.tokens;
  }

  private fill(nowMs: number): void {
    const earned = ((nowMs - this.filledAtMs) / 1000) * this.perSecond;
    if (earned < 1) return;
    this.tokens = Math.min(this.size, this.tokens + earned);
    this.filledAtMs = nowMs;
  }
}
