// The endpoints of one backend, which of them gets the next call, and what the ends of calls say of them: power of two
// choices on latency × load, without those that fail.
import { Affinity } from './affinity.ts';
import { type EjectionReason, Ejections, type Random } from './ejections.ts';
import { type EndpointState, endpointKey, isSameEndpoint, newEndpointState, type UsedEndpoint } from './endpoint-state.ts';
import { expectedLatencyMs, observeLatency } from './latency.ts';
import { loadOf } from './load.ts';
import { type MethodRecord, MethodRecords } from './method-record.ts';

/** Latencies within this factor of each other are equal: then the load decides alone. */
const SAME_LATENCY_FACTOR = 2;
/** Draws to find an endpoint that is not ejected before the set is walked. */
const MAX_DRAWS = 4;
/** A stream's answer that began longer ago than this is no news of latency when it ends, in ms. */
const OLD_ANSWER_MS = 10_000;

export class EndpointSet {
  readonly methods = new MethodRecords();
  readonly #ejections: Ejections;
  readonly #byKey = new Map<string, EndpointState>();
  #endpoints: EndpointState[] = [];
  /** The endpoint that answered last, when, and when any other did. */
  #lastToAnswer: EndpointState | null = null;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #otherAnsweredAtMs = Number.NEGATIVE_INFINITY;
  /** null: any call may go to any endpoint. */
  #affinity: Affinity | null = null;

  constructor(onEject: (reason: EjectionReason) => void = () => {}) {
    this.#ejections = new Ejections(onEject);
  }

  /** All endpoints, ejected ones too. A new array after each update. */
  get endpoints(): readonly EndpointState[] {
    return this.#endpoints;
  }

  /**
   * Takes the new list of endpoints. Those that stay keep their record, counters and connections; those that left are
   * never picked again. What stands where it stood, from either end of the list, costs a comparison.
   * @returns the records that left, for the pool to drain: calls in flight on them may end
   */
  update(endpoints: readonly UsedEndpoint[]): EndpointState[] {
    const before = this.#endpoints;
    const most = Math.min(before.length, endpoints.length);
    let head = 0;
    while (head < most && isSameRecord(before[head], endpoints[head])) head++;
    let tail = 0;
    while (tail < most - head && isSameRecord(before[before.length - 1 - tail], endpoints[endpoints.length - 1 - tail])) tail++;
    const replaced = before.slice(head, before.length - tail);
    const leaving = new Set(replaced);
    const { meanMs, latestMs } = known(before);
    const middle: EndpointState[] = [];
    for (const endpoint of endpoints.slice(head, endpoints.length - tail)) {
      const key = endpointKey(endpoint);
      const state = this.#byKey.get(key);
      if (state !== undefined && isSameEndpoint(state, endpoint)) {
        // Otherwise it stands in the list twice.
        if (leaving.delete(state)) middle.push(state);
      } else if (state === undefined || leaving.has(state)) {
        const fresh = newEndpointState(endpoint, meanMs, latestMs);
        this.#byKey.set(key, fresh);
        middle.push(fresh);
      }
    }
    for (const state of leaving) {
      state.listed = false;
      if (state.ejected) this.#ejections.count--;
      if (this.#byKey.get(state.key) === state) this.#byKey.delete(state.key);
    }
    if (this.#lastToAnswer?.listed === false) this.#lastToAnswer = null;
    this.#endpoints = [...before.slice(0, head), ...middle, ...before.slice(before.length - tail)];
    return [...leaving];
  }

  /** From now on calls keep to one endpoint until none was made for so long, in ms; 0: they do not. */
  setAffinity(ms: number): void {
    if (ms === 0) this.#affinity = null;
    else if (this.#affinity === null) this.#affinity = new Affinity(ms);
    else this.#affinity.lengthMs = ms;
  }

  /**
   * The endpoint for the next call, or null: there is none at all. Allocates nothing. The caller calls onStart() when
   * it uses it.
   * @param method of the call; null: it is not known
   */
  pick(random: Random, nowMs: number, method: MethodRecord | null = null): EndpointState | null {
    if (this.#affinity === null) return this.#pickAny(random, nowMs, method);
    const kept = this.#usable(this.#affinity.at(nowMs), nowMs) ?? this.#usable(this.#affinity.substituteAt(nowMs), nowMs);
    return this.#affinity.keep(kept ?? this.#pickAny(random, nowMs, method), nowMs);
  }

  #pickAny(random: Random, nowMs: number, method: MethodRecord | null): EndpointState | null {
    const endpoints = this.#endpoints;
    const { length } = endpoints;
    if (length < 2) return length === 0 ? null : endpoints[0];
    const byStreams = method !== null && method.openStreams >= length;
    if (this.#ejections.count > 0) return this.#pickAround(random, nowMs, byStreams);
    const first = Math.floor(random() * length);
    return better(endpoints[first], endpoints[otherThan(first, length, random)], random, nowMs, byStreams);
  }

  /**
   * As pick(), for a further attempt: not an endpoint that was tried already, as long as there is another. Without this
   * a pod that refuses everything would be drawn again and again because no other has fewer calls in flight.
   */
  pickOther(tried: readonly EndpointState[], random: Random, nowMs: number): EndpointState | null {
    if (this.#affinity === null) return this.#pickUntried(tried, random, nowMs);
    const kept = this.#usable(this.#affinity.at(nowMs), nowMs);
    if (kept !== null && !tried.includes(kept)) return this.#affinity.keep(kept, nowMs);
    const substitute = this.#usable(this.#affinity.substituteAt(nowMs), nowMs);
    const picked = substitute !== null && !tried.includes(substitute) ? substitute : this.#pickUntried(tried, random, nowMs);
    // An endpoint that was only full, or refused this one call, keeps its client.
    return kept === null ? this.#affinity.keep(picked, nowMs) : this.#affinity.lend(picked);
  }

  /** The endpoint, if it may get a call now. */
  #usable(endpoint: EndpointState | null, nowMs: number): EndpointState | null {
    if (endpoint === null || !this.#ejections.isUsable(endpoint, nowMs)) return null;
    this.#ejections.picked(endpoint, nowMs);
    return endpoint;
  }

  #pickUntried(tried: readonly EndpointState[], random: Random, nowMs: number): EndpointState | null {
    const others = this.#endpoints.filter((state) => !tried.includes(state));
    if (others.length === 0) return this.pick(random, nowMs);
    const usable = others.filter((state) => this.#ejections.isUsable(state, nowMs));
    const from = usable.length > 0 ? usable : others;
    const first = Math.floor(random() * from.length);
    const picked = from.length === 1 ? from[0] : better(from[first], from[otherThan(first, from.length, random)], random, nowMs, false);
    this.#ejections.picked(picked, nowMs);
    return picked;
  }

  /** A call goes to the endpoint. */
  onStart(state: EndpointState): void {
    state.inFlight++;
  }

  /** The endpoint has begun to answer a call: it is load by its traffic from now on, until onAnswerEnd(). */
  onAnswer(state: EndpointState, nowMs: number): void {
    state.inFlight--;
    state.streams++;
    this.#noteAnswer(state, nowMs);
  }

  /** An answer ended. The arguments are those of onEnd(). @param startMs of the call */
  onAnswerEnd(state: EndpointState, startMs: number, latencyMs: number, failed: boolean, nowMs: number, random: Random, weight = 1): void {
    this.onAnswerDropped(state);
    const old = nowMs - startMs - latencyMs > OLD_ANSWER_MS;
    this.#judge(state, old ? -1 : latencyMs, failed, nowMs, random, weight);
  }

  /** An answer ended, or was given up, and says nothing. */
  onAnswerDropped(state: EndpointState): void {
    state.streams--;
  }

  /**
   * A call has ended, in one step with its answer or without one.
   * @param latencyMs from its start to the first octet of the answer
   * @param failed the endpoint's failure (reset, connection lost, UNAVAILABLE, 502 to 504), not the application's
   * answer to a bad request
   * @param random for the jitter of an ejection
   * @param weight of the failure, 0 to 1 (MethodRecord.failed())
   */
  onEnd(state: EndpointState, latencyMs: number, failed: boolean, nowMs: number, random: Random, weight = 1): void {
    state.inFlight--;
    if (!failed) this.#noteAnswer(state, nowMs);
    this.#judge(state, latencyMs, failed, nowMs, random, weight);
  }

  /**
   * A call ended because its connection did: all calls of a connection are one failure.
   * @param answering the answer had begun
   */
  onLost(state: EndpointState, answering: boolean, nowMs: number, random: Random): void {
    if (answering) state.streams--;
    else state.inFlight--;
    if (state.lostAtMs === nowMs) return;
    state.lostAtMs = nowMs;
    this.#ejections.failed(state, 1, this.#endpoints.length, nowMs, random);
  }

  /**
   * A call that got no answer ended by its deadline or by its caller. One that waited much longer than answers to its
   * method take tells that this endpoint is at least so slow. If the endpoint answered nothing at all in that time,
   * while another did, it is a failure.
   * @param startMs of the attempt
   */
  onUnanswered(state: EndpointState, method: MethodRecord, startMs: number, nowMs: number, random: Random): void {
    state.inFlight--;
    const waitedMs = nowMs - startMs;
    if (!method.isLong(waitedMs)) return;
    if (waitedMs > state.ewmaMs) observeLatency(state, waitedMs, nowMs);
    if (state.answeredAtMs >= startMs) return;
    const otherMs = state === this.#lastToAnswer ? this.#otherAnsweredAtMs : this.#answeredAtMs;
    // Where calls come one after another the others answered before this one began.
    if (otherMs >= startMs - waitedMs) this.#ejections.failed(state, 1, this.#endpoints.length, nowMs, random);
  }

  /** The endpoint refused a call that it surely did not process: its way to be full or to leave. */
  onRefused(state: EndpointState, nowMs: number, random: Random): void {
    state.inFlight--;
    this.#ejections.refused(state, this.#endpoints.length, nowMs, random);
  }

  /** A call has ended without a verdict: it was never sent. */
  onCancel(state: EndpointState): void {
    state.inFlight--;
  }

  /**
   * A connect to the endpoint has failed (refused, timed out, wrong certificate). Ejects at once and without the limit
   * of half: nothing can be served there.
   */
  onConnectFailure(state: EndpointState, nowMs: number, random: Random): void {
    this.#ejections.unreachable(state, nowMs, random);
  }

  #noteAnswer(state: EndpointState, nowMs: number): void {
    state.answeredAtMs = nowMs;
    if (state !== this.#lastToAnswer) {
      this.#otherAnsweredAtMs = this.#answeredAtMs;
      this.#lastToAnswer = state;
    }
    this.#answeredAtMs = nowMs;
  }

  /** @param latencyMs -1: it is not news */
  #judge(state: EndpointState, latencyMs: number, failed: boolean, nowMs: number, random: Random, weight: number): void {
    if (!failed) {
      if (latencyMs >= 0) observeLatency(state, latencyMs, nowMs);
      this.#ejections.succeeded(state, nowMs);
      return;
    }
    // A quick failure is not speed: it must not make the endpoint attractive.
    if (latencyMs > state.ewmaMs) observeLatency(state, latencyMs, nowMs);
    this.#ejections.failed(state, weight, this.#endpoints.length, nowMs, random);
  }

  #pickAround(random: Random, nowMs: number, byStreams: boolean): EndpointState {
    const endpoints = this.#endpoints;
    const first = this.#drawUsable(-1, random, nowMs);
    if (first < 0) {
      // All are ejected: any of them is better than none.
      const any = Math.floor(random() * endpoints.length);
      return better(endpoints[any], endpoints[otherThan(any, endpoints.length, random)], random, nowMs, byStreams);
    }
    const second = this.#drawUsable(first, random, nowMs);
    const picked = second < 0 ? endpoints[first] : better(endpoints[first], endpoints[second], random, nowMs, byStreams);
    this.#ejections.picked(picked, nowMs);
    return picked;
  }

  /** Index of a random endpoint that is not ejected and not `except`; -1: there is none. */
  #drawUsable(except: number, random: Random, nowMs: number): number {
    const endpoints = this.#endpoints;
    const { length } = endpoints;
    let index = 0;
    for (let draw = 0; draw < MAX_DRAWS; draw++) {
      index = Math.floor(random() * length);
      if (index !== except && this.#ejections.isUsable(endpoints[index], nowMs)) return index;
    }
    for (let step = 0; step < length; step++) {
      index = index + 1 < length ? index + 1 : 0;
      if (index !== except && this.#ejections.isUsable(endpoints[index], nowMs)) return index;
    }
    return -1;
  }
}

function otherThan(first: number, length: number, random: Random): number {
  const second = Math.floor(random() * (length - 1));
  return second >= first ? second + 1 : second;
}

/**
 * The better of two. Alike in latency: the one with less load, `a` on a tie (it was drawn first, so ties are fair).
 * Else by dice weighted with the square of the other's cost: a slow endpoint still gets a few calls, by which it can
 * show that it has recovered.
 */
function better(a: EndpointState, b: EndpointState, random: Random, nowMs: number, byStreams: boolean): EndpointState {
  const latencyA = expectedLatencyMs(a, nowMs);
  const latencyB = expectedLatencyMs(b, nowMs);
  const loadA = loadOf(a, byStreams);
  const loadB = loadOf(b, byStreams);
  if (latencyA <= SAME_LATENCY_FACTOR * latencyB && latencyB <= SAME_LATENCY_FACTOR * latencyA) return loadA <= loadB ? a : b;
  const costA = latencyA * (loadA + 1);
  const costB = latencyB * (loadB + 1);
  return random() * (costA * costA + costB * costB) < costB * costB ? a : b;
}

function isSameRecord(state: EndpointState, endpoint: UsedEndpoint): boolean {
  return state.address === endpoint.address && state.port === endpoint.port && isSameEndpoint(state, endpoint);
}

/** What a new endpoint is taken for: the mean of those that are there, as of the latest of them. */
function known(endpoints: readonly EndpointState[]): { meanMs: number; latestMs: number } {
  let sumMs = 0;
  let latestMs = 0;
  for (const { ewmaMs, ewmaAtMs } of endpoints) {
    sumMs += ewmaMs;
    if (ewmaAtMs > latestMs) latestMs = ewmaAtMs;
  }
  return { meanMs: endpoints.length === 0 ? 0 : sumMs / endpoints.length, latestMs };
}
