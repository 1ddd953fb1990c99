// How much an endpoint has to do, in calls: those that wait for its answer, and the answers that it is busy sending.
import type { EndpointState } from './endpoint-state.ts';

/** A stream whose answer has begun weighs as one call when it moves so many octets a second, and less in proportion. */
const OCTETS_PER_SECOND_OF_A_CALL = 64 * 1024;
/** Traffic is settled about so often, in ms. */
const SETTLE_MS = 1_000;

/**
 * Calls on their way, as the balancer compares them. A stream that only stands open is no work: thousands of them must
 * not keep unary calls away.
 * @param byStreams the next call is of a kind that stays open: then open streams are what is spread
 */
export function loadOf(state: EndpointState, byStreams: boolean): number {
  return state.inFlight + (byStreams ? state.streams : state.traffic);
}

/** Takes the octets of the time since the last settling into the load. To be called about once a second. */
export function settleTraffic(state: EndpointState, nowMs: number): void {
  const elapsedMs = nowMs - state.settledAtMs;
  if (elapsedMs < SETTLE_MS / 2) return;
  const calls = (state.octets * 1_000) / elapsedMs / OCTETS_PER_SECOND_OF_A_CALL;
  state.octets = 0;
  state.settledAtMs = nowMs;
  // Half of the past stays, so that streams that send in bursts are not forgotten between two.
  const smoothed = (state.traffic + Math.min(calls, state.streams)) / 2;
  state.traffic = smoothed < 1 / 64 ? 0 : Math.min(smoothed, state.streams);
}
