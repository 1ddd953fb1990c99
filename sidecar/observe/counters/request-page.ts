// What the metrics page says of calls. Methods multiply with statuses only; the rest is per Service, so that a page
// stays within its budget.

import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import type { Exemplar, Exposition } from '#core/program/exposition.ts';
import { boundText } from '#core/program/exposition.ts';
import { type CallExample, unixEnd } from './examples.ts';
import { EXPOSED_BOUNDS, EXPOSED_BUCKETS } from './histogram.ts';
import { type RequestSeries, type SeriesKey, STATUSES } from './request-series.ts';
import type { Rollup } from './rollup.ts';

const DURATION = 'weft_request_duration_seconds';
const BOUNDS = [...EXPOSED_BOUNDS, Number.POSITIVE_INFINITY];
const BOUND_TEXTS = BOUNDS.map(boundText);

/** What is counted of calls, in the sums in which the page shows it. */
export interface CountedRequests {
  all(): Iterable<RequestSeries>;
  /** By direction, Service, route, rule and backend. */
  durationRollups(): Iterable<Rollup>;
  /** By direction and Service. */
  serviceRollups(): Iterable<Rollup>;
  /** gRPC calls by method. */
  handledRollups(direction: SeriesKey['direction']): Iterable<Rollup>;
}

/** @param unixMs turns the monotonic ms of calls into Unix ms */
export function writeRequests(out: Exposition, stats: CountedRequests, unixMs: (monotonicMs: number) => number): void {
  out.family('weft_requests_total', 'counter', 'Calls ended, by their gRPC status.');
  for (const { labels, statuses, examples } of stats.all()) {
    for (let status = 0; status < STATUSES; status++) {
      if (statuses[status] === 0) continue;
      const example = examples === null ? null : exemplarOf(examples.failures[status], 1, unixMs);
      out.sample('weft_requests_total', `${labels},grpc_code="${GRPC_CODES[status]}"`, statuses[status], example);
    }
  }
  writeDurations(out, stats.durationRollups(), unixMs);
  out.family('weft_requests_in_flight', 'gauge', 'Calls under way.');
  for (const rollup of stats.serviceRollups()) out.sample('weft_requests_in_flight', rollup.labels, rollup.inFlight());
  out.family('weft_request_bytes_total', 'counter', 'Octets of the bodies of requests.');
  for (const rollup of stats.serviceRollups()) out.sample('weft_request_bytes_total', rollup.labels, rollup.requestBytes());
  out.family('weft_response_bytes_total', 'counter', 'Octets of the bodies of responses.');
  for (const rollup of stats.serviceRollups()) out.sample('weft_response_bytes_total', rollup.labels, rollup.responseBytes());
  writeHandled(out, 'grpc_client_handled_total', 'made', stats.handledRollups('outbound'), unixMs);
  writeHandled(out, 'grpc_server_handled_total', 'served', stats.handledRollups('inbound'), unixMs);
}

function writeDurations(out: Exposition, rollups: Iterable<Rollup>, unixMs: (monotonicMs: number) => number): void {
  out.family(DURATION, 'histogram', 'From the first octet of a call to its end.');
  for (const rollup of rollups) {
    const { labels } = rollup;
    const latency = rollup.latency();
    const examples = rollup.bucketExamples();
    const upTo = [...latency.cumulative(EXPOSED_BUCKETS), latency.count];
    upTo.forEach((calls, i) => {
      const example = examples[i];
      // Our buckets meet the bounds to within half a percent: what lies just beyond is shown at the bound.
      const seconds = example === null ? 0 : Math.min(example.ms / 1000, BOUNDS[i]);
      out.sample(`${DURATION}_bucket`, `${labels},le="${BOUND_TEXTS[i]}"`, calls, exemplarOf(example, seconds, unixMs));
    });
    out.sample(`${DURATION}_sum`, labels, latency.sumMs / 1000);
    out.sample(`${DURATION}_count`, labels, latency.count);
  }
}

/** The names that instrumented gRPC programs use, so that alerts written for them work on programs that are not. */
function writeHandled(
  out: Exposition,
  name: string,
  done: string,
  rollups: Iterable<Rollup>,
  unixMs: (monotonicMs: number) => number,
): void {
  out.family(name, 'counter', `gRPC calls that this workload ${done}, whatever the application counts itself.`);
  for (const rollup of rollups) {
    const failures = rollup.failureExamples();
    for (let status = 0; status < STATUSES; status++) {
      const calls = rollup.ended(status);
      if (calls === 0) continue;
      const labels = `${rollup.labels},grpc_code="${GRPC_CODES[status]}"`;
      out.sample(name, labels, calls, exemplarOf(failures[status], 1, unixMs));
    }
  }
}

function exemplarOf(example: CallExample | null, value: number, unixMs: (monotonicMs: number) => number): Exemplar | null {
  return example === null ? null : { traceId: example.trace.traceId, value, atMs: unixEnd(example, unixMs) };
}
