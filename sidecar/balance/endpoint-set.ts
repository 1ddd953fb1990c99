// The endpoints of one backend, and which of them gets the next call: power of two choices on latency × calls in
// flight, without those that fail.
import type { Endpoint } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { type EndpointState, endpointKey, isSameEndpoint, newEndpointState } from './endpoint-state.ts';
import { expectedLatencyMs, observeLatency } from './latency.ts';

/** Failed calls in a row that eject an endpoint. A failed connect ejects at once. */
export const EJECT_AFTER_FAILURES = 5;
export const EJECTION_BASE_MS = 1_000;
export const EJECTION_MAX_MS = 30_000;
/** Latencies within this factor of each other are equal: then the calls in flight decide alone. */
const SAME_LATENCY_FACTOR = 2;
/** Draws to find an endpoint that is not ejected before the set is walked. */
const MAX_DRAWS = 4;

/** Random numbers in [0, 1), like Math.random. */
export type Random = () => number;

/** `failures`: calls failed in a row. `unreachable`: no connection could be made. */
export type EjectionReason = 'failures' | 'unreachable';

export class EndpointSet {
  readonly #onEject: (reason: EjectionReason) => void;
  #endpoints: EndpointState[] = [];
  #ejected = 0;

  constructor(onEject: (reason: EjectionReason) => void = () => {}) {
    this.#onEject = onEject;
  }

  /** All endpoints, ejected ones too. A new array after each update. */
  get endpoints(): readonly EndpointState[] {
    return this.#endpoints;
  }

  /**
   * Takes the new list of endpoints. Those that stay keep their record, counters and connections; those that left are
   * never picked again.
   * @returns the records that left, for the pool to drain: calls in flight on them may end
   */
  update(endpoints: readonly Endpoint[]): EndpointState[] {
    const before = new Map(this.#endpoints.map((state) => [state.key, state]));
    const meanMs = mean(this.#endpoints);
    const latestMs = this.#endpoints.reduce((latest, state) => Math.max(latest, state.ewmaAtMs), 0);
    const after = new Map<string, EndpointState>();
    for (const endpoint of endpoints) {
      const key = endpointKey(endpoint);
      const known = before.get(key);
      const stays = known !== undefined && isSameEndpoint(known, endpoint);
      after.set(key, stays ? known : newEndpointState(endpoint, meanMs, latestMs));
    }
    const left = this.#endpoints.filter((state) => after.get(state.key) !== state);
    for (const state of left) state.listed = false;
    this.#endpoints = Array.from(after.values());
    this.#ejected = this.#endpoints.filter((state) => state.ejected).length;
    return left;
  }

  /**
   * The endpoint for the next call, or null: there is none at all. Allocates nothing. The caller calls onStart() when
   * it uses it.
   */
  pick(random: Random, nowMs: number): EndpointState | null {
    const endpoints = this.#endpoints;
    const { length } = endpoints;
    if (length < 2) return length === 0 ? null : endpoints[0];
    if (this.#ejected > 0) return this.#pickAround(random, nowMs);
    const first = Math.floor(random() * length);
    return better(endpoints[first], endpoints[otherThan(first, length, random)], random, nowMs);
  }

  /**
   * As pick(), for a further attempt: not an endpoint that was tried already, as long as there is another. Without this
   * a pod that refuses everything would be drawn again and again because no other has fewer calls in flight.
   */
  pickOther(tried: readonly EndpointState[], random: Random, nowMs: number): EndpointState | null {
    const others = this.#endpoints.filter((state) => !tried.includes(state));
    if (others.length === 0) return this.pick(random, nowMs);
    const usable = others.filter((state) => this.#isUsable(state, nowMs));
    const from = usable.length > 0 ? usable : others;
    const first = Math.floor(random() * from.length);
    return from.length === 1 ? from[0] : better(from[first], from[otherThan(first, from.length, random)], random, nowMs);
  }

  /** A call goes to the endpoint. */
  onStart(state: EndpointState): void {
    state.inFlight++;
  }

  /**
   * A call has ended.
   * @param latencyMs from its start to the first octet of the answer
   * @param failed the endpoint's failure (reset, connection lost, UNAVAILABLE, 502 to 504), not the application's
   * answer to a bad request
   * @param random for the jitter of an ejection
   */
  onEnd(state: EndpointState, latencyMs: number, failed: boolean, nowMs: number, random: Random): void {
    state.inFlight--;
    if (!failed) {
      observeLatency(state, latencyMs, nowMs);
      state.consecutiveFailures = 0;
      if (state.unreachable) state.ejections = 0;
      return;
    }
    // A quick failure is not speed: it must not make the endpoint attractive.
    if (latencyMs > state.ewmaMs) observeLatency(state, latencyMs, nowMs);
    state.consecutiveFailures++;
    if (state.consecutiveFailures < EJECT_AFTER_FAILURES || state.ejected) return;
    // Errors of more than half of the endpoints are rather an overload or a bad request than bad endpoints: ejecting
    // would make it worse.
    if ((this.#ejected + 1) * 2 <= this.#endpoints.length) this.#eject(state, false, nowMs, random);
  }

  /** A call has ended without a verdict: the caller gave up, or the call was never sent. */
  onCancel(state: EndpointState): void {
    state.inFlight--;
  }

  /**
   * A connect to the endpoint has failed (refused, timed out, wrong certificate). Ejects at once and without the limit
   * of half: nothing can be served there.
   */
  onConnectFailure(state: EndpointState, nowMs: number, random: Random): void {
    state.consecutiveFailures++;
    if (!state.ejected) this.#eject(state, true, nowMs, random);
  }

  #eject(state: EndpointState, unreachable: boolean, nowMs: number, random: Random): void {
    // After a quiet time as long as the longest ejection the endpoint starts afresh.
    if (nowMs - state.ejectedUntilMs > EJECTION_MAX_MS) state.ejections = 0;
    const lengthMs = Math.min(EJECTION_MAX_MS, EJECTION_BASE_MS * 2 ** state.ejections) * (0.8 + 0.4 * random());
    state.ejections++;
    state.unreachable = unreachable;
    state.ejected = true;
    state.ejectedUntilMs = nowMs + lengthMs;
    if (!state.listed) return;
    this.#ejected++;
    this.#onEject(unreachable ? 'unreachable' : 'failures');
  }

  #isUsable(state: EndpointState, nowMs: number): boolean {
    if (!state.ejected) return true;
    if (nowMs < state.ejectedUntilMs) return false;
    // On probation: the next failure ejects again, for twice as long.
    state.ejected = false;
    state.consecutiveFailures = EJECT_AFTER_FAILURES - 1;
    this.#ejected--;
    return true;
  }

  #pickAround(random: Random, nowMs: number): EndpointState {
    const endpoints = this.#endpoints;
    const first = this.#drawUsable(-1, random, nowMs);
    if (first < 0) {
      // All are ejected: any of them is better than none.
      const any = Math.floor(random() * endpoints.length);
      return better(endpoints[any], endpoints[otherThan(any, endpoints.length, random)], random, nowMs);
    }
    const second = this.#drawUsable(first, random, nowMs);
    return second < 0 ? endpoints[first] : better(endpoints[first], endpoints[second], random, nowMs);
  }

  /** Index of a random endpoint that is not ejected and not `except`; -1: there is none. */
  #drawUsable(except: number, random: Random, nowMs: number): number {
    const endpoints = this.#endpoints;
    const { length } = endpoints;
    let index = 0;
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      index = Math.floor(random() * length);
      if (index !== except && this.#isUsable(endpoints[index], nowMs)) return index;
    }
    for (let step = 0; step < length; step++) {
      index = index + 1 < length ? index + 1 : 0;
      if (index !== except && this.#isUsable(endpoints[index], nowMs)) return index;
    }
    return -1;
  }
}

function otherThan(first: number, length: number, random: Random): number {
  const second = Math.floor(random() * (length - 1));
  return second >= first ? second + 1 : second;
}

/**
 * The better of two. Alike in latency: the one with fewer calls in flight, `a` on a tie (it was drawn first, so ties
 * are fair). Else by dice weighted with the square of the other's cost: a slow endpoint still gets a few calls, by which
 * it can show that it has recovered.
 */
function better(a: EndpointState, b: EndpointState, random: Random, nowMs: number): EndpointState {
  const latencyA = expectedLatencyMs(a, nowMs);
  const latencyB = expectedLatencyMs(b, nowMs);
  if (latencyA <= SAME_LATENCY_FACTOR * latencyB && latencyB <= SAME_LATENCY_FACTOR * latencyA) return a.inFlight <= b.inFlight ? a : b;
  const costA = latencyA * (a.inFlight + 1);
  const costB = latencyB * (b.inFlight + 1);
  return random() * (costA * costA + costB * costB) < costB * costB ? a : b;
}

function mean(endpoints: readonly EndpointState[]): number {
  return endpoints.length === 0 ? 0 : endpoints.reduce((sum, state) => sum + state.ewmaMs, 0) / endpoints.length;
}
