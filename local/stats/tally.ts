// A sum of calls: how many, how they ended, how long they took.
import type { ReadSeries } from './snapshot.ts';

export interface Tally {
  count: number;
  /** By gRPC status code. */
  readonly statuses: Map<number, number>;
  /** Calls by the upper bound of their latency bucket, ms. */
  readonly latency: Map<number, number>;
}

export function newTally(): Tally {
  return { count: 0, statuses: new Map(), latency: new Map() };
}

const bump = (map: Map<number, number>, key: number, by: number) => {
  if (by !== 0) map.set(key, (map.get(key) ?? 0) + by);
};

export function tallyOf(series: ReadSeries): Tally {
  const tally = newTally();
  tally.count = series.count;
  for (const [code, count] of Object.entries(series.statuses)) bump(tally.statuses, Number(code), count);
  for (const [index, bound] of series.latency.boundsMs.entries()) bump(tally.latency, bound, series.latency.counts[index] ?? 0);
  return tally;
}

/** Adds `tally` to `sum`. */
export function addTally(sum: Tally, tally: Tally): void {
  sum.count += tally.count;
  for (const [code, count] of tally.statuses) bump(sum.statuses, code, count);
  for (const [bound, count] of tally.latency) bump(sum.latency, bound, count);
}

/**
 * What was counted between two readings of one counter. A counter that went back has started again at zero: all of it
 * is new.
 */
export function difference(now: Tally, before: Tally | undefined): Tally {
  if (!before || now.count < before.count) return now;
  const out = newTally();
  out.count = now.count - before.count;
  for (const [code, count] of now.statuses) bump(out.statuses, code, Math.max(0, count - (before.statuses.get(code) ?? 0)));
  for (const [bound, count] of now.latency) bump(out.latency, bound, Math.max(0, count - (before.latency.get(bound) ?? 0)));
  return out;
}

/**
 * The latency that a share `q` of the calls did not exceed, as the upper bound of its bucket in ms; null without calls.
 */
export function percentileMs(tally: Tally, q: number): number | null {
  const buckets = [...tally.latency].sort(([a], [b]) => a - b);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let rank = Math.ceil(q * total);
  for (const [bound, count] of buckets) {
    rank -= count;
    if (rank <= 0 && count > 0) return bound;
  }
  return null;
}

/** Share of calls with gRPC status OK, 0 to 1; null without calls. */
export function successShare(tally: Tally): number | null {
  return tally.count === 0 ? null : (tally.statuses.get(0) ?? 0) / tally.count;
}
