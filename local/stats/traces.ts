// Of the traces that sidecars report, those that are shown: a recent slow call and the last failed one. Pure.
import { newerOf, slowerOf } from '#control-plane/publish/call-reports.ts';
import type { StatsCall } from '#core/contract/stats.ts';
import type { FailedTrace } from './snapshot.ts';

export interface NotedTraces {
  readonly slow?: StatsCall;
  readonly failed?: FailedTrace;
}

/** The slowest of the recent calls, the newest of the failed ones. */
export function worthALook(a: NotedTraces, b: NotedTraces): NotedTraces {
  const slow = a.slow && b.slow ? slowerOf(a.slow, b.slow) : (a.slow ?? b.slow);
  const failed = a.failed && b.failed ? newerOf(a.failed, b.failed) : (a.failed ?? b.failed);
  return { ...(slow && { slow }), ...(failed && { failed }) };
}
