// A latency histogram in a typed array: forty buckets per decade (each 6 % wide) from 0.05 ms to 60 s. Recording
// allocates nothing and costs about 10 ns.

const SMALLEST_MS = 0.05;
/**
 * Renard's R40: 1, 2.5, 5 and 10 of every decade are bounds to within 0.5 %, so Prometheus' usual buckets can be read
 * off exactly.
 */
const PER_DECADE = 40;
/** log10(0.05 ms) in buckets: bound 0 is 0.0501 ms. */
const FIRST = Math.round(Math.log10(SMALLEST_MS) * PER_DECADE);
/** Bound 243 is 59.6 s; the last bucket takes all above. */
const BUCKETS = 245;

/** Upper bounds in ms of all buckets but the last, which has none. */
export const BOUNDS_MS: readonly number[] = Array.from({ length: BUCKETS - 1 }, (_, i) => 10 ** ((FIRST + i) / PER_DECADE));

/** The last bucket's bound in lists that must have one. */
const BEYOND_MS = BOUNDS_MS[BUCKETS - 2] * 2;

export class LatencyHistogram {
  readonly counts = new Float64Array(BUCKETS);
  count = 0;
  sumMs = 0;

  /** @param ms 0 or more @returns the bucket that it fell into */
  record(ms: number): number {
    this.count++;
    this.sumMs += ms;
    let bucket = ms <= SMALLEST_MS ? 0 : Math.ceil(Math.log10(ms) * PER_DECADE) - FIRST;
    if (bucket < 0) bucket = 0;
    else if (bucket >= BUCKETS) bucket = BUCKETS - 1;
    this.counts[bucket]++;
    return bucket;
  }

  /** Takes another's observations too. */
  add(other: LatencyHistogram): void {
    this.count += other.count;
    this.sumMs += other.sumMs;
    for (let i = 0; i < BUCKETS; i++) this.counts[i] += other.counts[i];
  }

  /** Observations up to each of some bounds. @param buckets from bucketUpTo(), ascending */
  cumulative(buckets: readonly number[]): number[] {
    const sums: number[] = [];
    let sum = 0;
    let at = 0;
    for (const bucket of buckets) {
      while (at <= bucket) sum += this.counts[at++];
      sums.push(sum);
    }
    return sums;
  }

  /** The buckets that are not empty, with their upper bounds in ms (the last one's is twice the one before). */
  filled(): { boundsMs: number[]; counts: number[] } {
    const boundsMs: number[] = [];
    const counts: number[] = [];
    for (let i = 0; i < BUCKETS; i++) {
      if (this.counts[i] === 0) continue;
      boundsMs.push(i < BOUNDS_MS.length ? BOUNDS_MS[i] : BEYOND_MS);
      counts.push(this.counts[i]);
    }
    return { boundsMs, counts };
  }
}

/** The bucket whose upper bound is nearest to this many ms: for cumulative(). */
export function bucketUpTo(boundMs: number): number {
  return Math.min(BUCKETS - 2, Math.max(0, Math.round(Math.log10(boundMs) * PER_DECADE) - FIRST));
}

/**
 * Upper bounds on the metrics page, in seconds; one more bucket takes the rest. Few: each costs a series per Service,
 * route, rule and backend.
 */
export const EXPOSED_BOUNDS: readonly number[] = [0.001, 0.005, 0.01, 0.025, 0.1, 0.25, 1, 5];
/** The last bucket of each bound: for cumulative(). */
export const EXPOSED_BUCKETS: readonly number[] = EXPOSED_BOUNDS.map((seconds) => bucketUpTo(seconds * 1000));
/** By bucket: the first of EXPOSED_BOUNDS that counts it, or their number. */
export const EXPOSED_OF: Uint8Array = Uint8Array.from({ length: BUCKETS }, (_, bucket) => {
  const at = EXPOSED_BUCKETS.findIndex((last) => bucket <= last);
  return at < 0 ? EXPOSED_BUCKETS.length : at;
});
