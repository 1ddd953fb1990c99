// Recorded calls that stand for others: the trace ids behind a bucket, a failure, a slow call. A series gets them at
// its first recorded call.
import type { CallTrace } from '../../forward/trace.ts';
import { EXPOSED_BOUNDS, EXPOSED_OF } from './histogram.ts';

/** One recorded call. Times are monotonic ms. */
export interface CallExample {
  /** Its identifier is written out only when a page shows it. */
  readonly trace: CallTrace;
  readonly status: number;
  readonly ms: number;
  readonly endMs: number;
  /** `endMs` as Unix ms; 0: it was not shown yet. */
  unixEndMs: number;
}

/**
 * When it ended, Unix ms. It is the same each time, because the clocks part by fractions of a ms and to Prometheus the
 * same exemplar at another time is a new one.
 */
export function unixEnd(call: CallExample, unixMs: (monotonicMs: number) => number): number {
  return (call.unixEndMs ||= unixMs(call.endMs));
}

/**
 * An example stands so long before the next call takes its place, in ms: making one for each call was a fifth of what a
 * recorded call cost.
 */
const STANDS_MS = 1000;
/** The slowest call is remembered so long before any other takes its place, in ms. */
const SLOW_FOR_MS = 60_000;

export class Examples {
  /** Per bucket of the metrics page: a call from the last second in which the bucket got any. */
  readonly buckets: (CallExample | null)[] = new Array(EXPOSED_BOUNDS.length + 1).fill(null);
  /** The same per status but OK. */
  readonly failures: (CallExample | null)[];
  /** The slowest of about the last minute. */
  slow: CallExample | null = null;
  failed: CallExample | null = null;

  constructor(statuses: number) {
    this.failures = new Array(statuses).fill(null);
  }

  /** @param bucket of the latency histogram */
  note(trace: CallTrace, status: number, ms: number, endMs: number, bucket: number): void {
    const { slow } = this;
    const at = EXPOSED_OF[bucket];
    const slowest = slow === null || ms >= slow.ms || endMs - slow.endMs > SLOW_FOR_MS;
    const wanted = due(this.buckets[at], endMs) || (status !== 0 && due(this.failures[status], endMs));
    if (!slowest && !wanted) return;
    const call = { trace, status, ms, endMs, unixEndMs: 0 };
    if (slowest) this.slow = call;
    this.buckets[at] = call;
    if (status === 0) return;
    this.failures[status] = call;
    this.failed = call;
  }
}

function due(example: CallExample | null, nowMs: number): boolean {
  return example === null || nowMs - example.endMs >= STANDS_MS;
}

/** The later of two; either may be missing. */
export function later(a: CallExample | null, b: CallExample | null): CallExample | null {
  return a === null || (b !== null && b.endMs > a.endMs) ? b : a;
}
