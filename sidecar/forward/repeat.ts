// Further attempts that a route asks for (HTTPRouteRule.retry), beside those of calls that surely were not processed:
// whether there may be one, and the time until it.
import type { Deadline } from './deadlines.ts';
import type { RunningCall } from './running-call.ts';

/** Between attempts where the route says nothing, in ms; doubled each time, as a route's own is. */
const USUAL_BACKOFF_MS = 25;
const MOST_DOUBLINGS = 4;
/** RFC 9110 §9.2.2: what was perhaps processed may be asked again. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** The time until a call's next attempt, on the wheel of deadlines. */
export class Backoff implements Deadline {
  deadlineMs = 0;
  wheelNext: Deadline | null = null;
  wheelPrevious: Deadline | null = null;
  wheelSlot = -1;
  private readonly call: RunningCall;
  private readonly over: (call: RunningCall) => void;

  /** @param over begins the attempt */
  constructor(call: RunningCall, over: (call: RunningCall) => void) {
    this.call = call;
    this.over = over;
  }

  onDeadline(): void {
    this.call.deps.clock.update();
    this.over(this.call);
  }
}

/**
 * How long to wait for the next attempt; -1: there is none, because the route asks for no more, the call's time would
 * be over, the backend's budget is used up, or the request's body is not kept. Otherwise the request is rewound.
 */
export function waitBeforeRepeat(call: RunningCall): number {
  const retry = call.plan!.rule!.retry;
  if (retry === null || call.repeats >= retry.attempts) return -1;
  const { clock, random } = call.deps;
  const baseMs = (retry.backoffMs || USUAL_BACKOFF_MS) * 2 ** Math.min(call.repeats, MOST_DOUBLINGS);
  const waitMs = baseMs * (1 + random() / 2);
  if (clock.nowMs + waitMs >= call.untilMs) return -1;
  if (!call.variant!.upstream.budget.take(clock.nowMs) || !call.request.rewind()) return -1;
  return waitMs;
}

/** Whether a call that an endpoint may have begun to process may be sent again. */
export function isIdempotent(call: RunningCall): boolean {
  return IDEMPOTENT.has(call.block.template.method);
}
