// Endpoints of one backend that get no calls for a while because calls failed there, and the way back.
import type { EndpointState } from './endpoint-state.ts';

/** Failed calls in a row that eject an endpoint. A failed connect ejects at once. */
export const EJECT_AFTER_FAILURES = 5;
export const EJECTION_BASE_MS = 1_000;
export const EJECTION_MAX_MS = 30_000;
/** When its time is over an endpoint gets one call in so many ms until one is answered. */
const PROBE_EVERY_MS = 1_000;
/** Refused calls, which surely were not processed, count as one failure in so many ms, if nothing is answered. */
const REFUSALS_COUNT_EVERY_MS = 1_000;

/** Random numbers in [0, 1), like Math.random. */
export type Random = () => number;

/** `failures`: calls failed in a row. `unreachable`: no connection could be made. */
export type EjectionReason = 'failures' | 'unreachable';

export class Ejections {
  /** Endpoints that are listed and get no calls, or only one now and then. */
  count = 0;
  private readonly onEject: (reason: EjectionReason) => void;

  constructor(onEject: (reason: EjectionReason) => void) {
    this.onEject = onEject;
  }

  /** Whether the endpoint may get a call now. */
  isUsable(state: EndpointState, nowMs: number): boolean {
    if (!state.ejected) return true;
    return nowMs >= state.ejectedUntilMs && nowMs - state.probedAtMs >= PROBE_EVERY_MS;
  }

  /** The endpoint was picked. On probation the next failure ejects again, for twice as long. */
  picked(state: EndpointState, nowMs: number): void {
    if (!state.ejected || nowMs < state.ejectedUntilMs) return;
    state.probedAtMs = nowMs;
    state.consecutiveFailures = EJECT_AFTER_FAILURES - 1;
  }

  succeeded(state: EndpointState, nowMs: number): void {
    state.consecutiveFailures = 0;
    if (state.unreachable) state.ejections = 0;
    if (!state.ejected || nowMs < state.ejectedUntilMs) return;
    state.ejected = false;
    if (state.listed) this.count--;
  }

  /**
   * A call failed, or several as one.
   * @param weight 0 to 1: how much it says of this endpoint
   * @param size endpoints of the set
   */
  failed(state: EndpointState, weight: number, size: number, nowMs: number, random: Random): void {
    state.consecutiveFailures += weight;
    if (state.consecutiveFailures < EJECT_AFTER_FAILURES || (state.ejected && nowMs < state.ejectedUntilMs)) return;
    // Errors of more than half of the endpoints are rather an overload or a bad request than bad endpoints; and the
    // others get the calls: with half of them gone each has twice as many.
    const others = this.count - (state.ejected ? 1 : 0);
    if ((others + 1) * 2 <= size) this.eject(state, false, nowMs, random);
  }

  /** The endpoint refused a call unprocessed. */
  refused(state: EndpointState, size: number, nowMs: number, random: Random): void {
    if (nowMs - state.refusedAtMs < REFUSALS_COUNT_EVERY_MS) return;
    state.refusedAtMs = nowMs;
    this.failed(state, 1, size, nowMs, random);
  }

  /** No connection could be made: it ejects at once, and without the limit of half, because nothing can be served. */
  unreachable(state: EndpointState, nowMs: number, random: Random): void {
    state.consecutiveFailures++;
    if (!state.ejected || nowMs >= state.ejectedUntilMs) this.eject(state, true, nowMs, random);
  }

  private eject(state: EndpointState, unreachable: boolean, nowMs: number, random: Random): void {
    // After a quiet time as long as the longest ejection the endpoint starts afresh.
    if (nowMs - state.ejectedUntilMs > EJECTION_MAX_MS) state.ejections = 0;
    const lengthMs = Math.min(EJECTION_MAX_MS, EJECTION_BASE_MS * 2 ** state.ejections) * (0.8 + 0.4 * random());
    state.ejections++;
    state.unreachable = unreachable;
    if (!state.ejected && state.listed) this.count++;
    state.ejected = true;
    state.ejectedUntilMs = nowMs + lengthMs;
    if (state.listed) this.onEject(unreachable ? 'unreachable' : 'failures');
  }
}
