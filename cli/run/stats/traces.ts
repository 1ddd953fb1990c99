// Of the traces that sidecars tell of, those that are shown: a recent slow call and the last failed one. Pure.
import type { FailedTrace, SeenTrace } from './snapshot.ts';

export interface NotedTraces {
  readonly slow?: SeenTrace;
  readonly failed?: FailedTrace;
}

/** A call that ended so much earlier than another is not shown for being slower, in ms. */
export const RECENT_MS = 60_000;

/** The slowest of the recent calls, the newest of the failed ones. */
export function worthALook(a: NotedTraces, b: NotedTraces): NotedTraces {
  const slow = a.slow && b.slow ? slower(a.slow, b.slow) : (a.slow ?? b.slow);
  const failed = a.failed && b.failed ? (b.failed.endedMs > a.failed.endedMs ? b.failed : a.failed) : (a.failed ?? b.failed);
  return { ...(slow && { slow }), ...(failed && { failed }) };
}

function slower(a: SeenTrace, b: SeenTrace): SeenTrace {
  const apartMs = a.endedMs - b.endedMs;
  if (Math.abs(apartMs) > RECENT_MS) return apartMs > 0 ? a : b;
  return b.ms > a.ms ? b : a;
}
