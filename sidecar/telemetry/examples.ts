// Recorded calls that stand for others: the trace ids behind a bucket, a failure, a slow call. Made for a series at its first recorded call.
import { EXPOSED_BOUNDS, EXPOSED_OF } from './histogram.ts';

/** One recorded call. Times are monotonic ms. */
export interface CallExample {
  readonly traceId: string;
  readonly status: number;
  readonly ms: number;
  readonly endMs: number;
  /** `endMs` as Unix ms; 0: nobody has asked yet. */
  unixEndMs: number;
}

/** When it ended, Unix ms: the same each time, for the clocks part by fractions of a ms, and the same exemplar at another time is a new one to Prometheus. */
export function unixEnd(call: CallExample, unixMs: (monotonicMs: number) => number): number {
  return (call.unixEndMs ||= unixMs(call.endMs));
}

/** So long the slowest call is remembered before any other takes its place, in ms. */
const SLOW_FOR_MS = 60_000;

export class Examples {
  /** The last call of each bucket of the metrics page. */
  readonly buckets: (CallExample | null)[] = new Array(EXPOSED_BOUNDS.length + 1).fill(null);
  /** The last call of each status but OK. */
  readonly failures: (CallExample | null)[];
  /** The slowest of about the last minute. */
  slow: CallExample;
  failed: CallExample | null = null;

  constructor(statuses: number, first: CallExample) {
    this.failures = new Array(statuses).fill(null);
    this.slow = first;
  }

  /** @param bucket of the latency histogram */
  note(call: CallExample, bucket: number): void {
    this.buckets[EXPOSED_OF[bucket]] = call;
    if (call.ms >= this.slow.ms || call.endMs - this.slow.endMs > SLOW_FOR_MS) this.slow = call;
    if (call.status === 0) return;
    this.failures[call.status] = call;
    this.failed = call;
  }
}

/** The later of two; either may be missing. */
export function later(a: CallExample | null, b: CallExample | null): CallExample | null {
  return a === null || (b !== null && b.endMs > a.endMs) ? b : a;
}
