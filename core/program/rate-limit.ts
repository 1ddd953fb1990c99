// How often each of many may do something: a token bucket each, so that one that floods does not delay the others.

/** More of them than this at once share what is left: the oldest buckets are forgotten. */
const MOST_BUCKETS = 20_000;

interface Bucket {
  tokens: number;
  atMs: number;
}

export class RateLimit {
  private readonly buckets = new Map<string, Bucket>();
  private readonly perMinute: number;
  private readonly burst: number;
  private readonly now: () => number;

  /** @param now Unix or monotonic ms */
  constructor(perMinute: number, burst: number, now: () => number) {
    this.perMinute = perMinute;
    this.burst = burst;
    this.now = now;
  }

  /** Takes one, or `count`; false: not now, and nothing is taken. */
  take(key: string, count = 1): boolean {
    const nowMs = this.now();
    const bucket = this.buckets.get(key) ?? { tokens: this.burst, atMs: nowMs };
    bucket.tokens = this.filled(bucket, nowMs);
    bucket.atMs = nowMs;
    // Deleted and set again, the map's order is that of the last use.
    this.buckets.delete(key);
    this.buckets.set(key, bucket);
    if (this.buckets.size > MOST_BUCKETS) this.buckets.delete(this.buckets.keys().next().value!);
    if (bucket.tokens < count) return false;
    bucket.tokens -= count;
    return true;
  }

  /** One that was taken after all was for nothing. */
  giveBack(key: string): void {
    const bucket = this.buckets.get(key);
    if (bucket !== undefined) bucket.tokens = Math.min(this.burst, bucket.tokens + 1);
  }

  private filled({ tokens, atMs }: Bucket, nowMs: number): number {
    return Math.min(this.burst, tokens + (Math.max(0, nowMs - atMs) * this.perMinute) / 60_000);
  }
}
