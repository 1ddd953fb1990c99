// The series of calls as GET /stats shows them.
import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import type { StatsCall, StatsSeries } from '#core/contract/stats.ts';
import { type CallExample, unixEnd } from '../observe/counters/examples.ts';
import type { RequestSeries } from '../observe/counters/request-series.ts';

/** @param unixMs turns the monotonic ms of calls into Unix ms; absent: they are it */
export function statsOf({ key, statuses, latency, inFlight, examples }: RequestSeries, unixMs = (ms: number): number => ms): StatsSeries {
  const byStatus: Record<string, number> = {};
  statuses.forEach((count, status) => {
    if (count > 0) byStatus[status] = count;
  });
  const { direction, caller, service, route, rule, method, backend, mtls } = key;
  const shown = (call: CallExample): StatsCall => ({ traceId: call.trace.traceId, ms: call.ms, endedMs: unixEnd(call, unixMs) });
  return {
    direction,
    caller,
    service,
    route,
    rule,
    method,
    backend,
    mtls,
    statuses: byStatus,
    count: latency.count,
    inFlight,
    latency: latency.filled(),
    ...(examples?.slow ? { slow: shown(examples.slow) } : {}),
    ...(examples?.failed ? { failed: { ...shown(examples.failed), code: GRPC_CODES[examples.failed.status] } } : {}),
  };
}
