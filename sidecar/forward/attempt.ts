// One attempt to get a call to an endpoint, and the next one where the call surely was not processed.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { MessageConnection } from '../http/connection.ts';
import { type Field, makeField } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, errorName, REFUSED_STREAM } from '../http/reset-code.ts';
import type { ResetCause } from '../http/stream.ts';
import { formatGrpcTimeout } from './deadlines.ts';
import { errorOfReset, refuse, refuseStream, settleUnanswered, statusOfReset, wordsOfReset } from './ending.ts';
import * as errors from './errors.ts';
import { editedRequest, seriesOf } from './plan.ts';
import { Backoff, isIdempotent, waitBeforeRepeat } from './repeat.ts';
import { type RunningCall, Sent, UNSENT, Waiting } from './running-call.ts';

/**
 * Attempts of one call, but for those that its route asks for; a further one is only made when the one before surely
 * was not processed (gRFC A6).
 */
const MAX_ATTEMPTS = 4;

/** Picks an endpoint of the call's backend and sends the call there as soon as there is a connection. */
export function attempt(call: RunningCall): void {
  const { deps, tried } = call;
  const { upstream, method } = call.variant!;
  call.attempts++;
  const { nowMs } = deps.clock;
  const endpoint = tried === null ? upstream.set.pick(deps.random, nowMs, method) : upstream.set.pickOther(tried, deps.random, nowMs);
  if (endpoint === null) return refuse(call, errors.NO_ENDPOINTS, `${upstream.ref.key} has no ${upstream.lacks}`);
  call.lastEndpoint = endpoint;
  upstream.set.onStart(endpoint);
  const { backendTimeoutMs } = call.plan!.rule!;
  if (backendTimeoutMs > 0) setTimer(call, nowMs + backendTimeoutMs);
  if (call.series === null) {
    call.series = seriesOf(call.plan!, call.variant, endpoint.identity !== '', deps.stats);
    call.series.inFlight++;
  }
  const pool = deps.upstreams.poolOf(endpoint, call.block.template.fromHttp1);
  const connection = pool.acquire();
  if (connection !== null) return send(call, connection, endpoint, nowMs);
  if (pool.full && mayTryOther(call, endpoint)) return passBy(call, endpoint);
  call.state = new Waiting(endpoint, nowMs);
  pool.wait(call);
}

/** Sends the request on a connection with room for it. @param startMs start of the attempt */
export function send(call: RunningCall, connection: MessageConnection, endpoint: EndpointState, startMs: number): void {
  const { block, request } = call;
  const variant = call.variant!;
  let source: HeaderSource = variant.source;
  let { varying } = block;
  if (variant.editsVarying) ({ source, varying } = editedRequest(block, variant));
  if (call.wheelSlot >= 0 && call.deps.clock.nowMs - call.startMs >= 1) varying = withRemainingTime(call, varying);
  if (call.trace !== null) varying = call.trace.outgoing(varying);
  const up = connection.open(call, source, varying, request.bare);
  call.state = new Sent(endpoint, startMs, up);
  if (block.template.method === 'HEAD') up.head = true;
  request.sendKept(up);
}

/** There is no connection to the endpoint. */
export function notConnected(call: RunningCall, state: Waiting, error: errors.ProxyError, detail: string): void {
  const failed = state.endpoint;
  const { set } = call.variant!.upstream;
  const { clock, random } = call.deps;
  setTried(call, failed);
  set.onCancel(failed);
  const isOurs = error === errors.OWN_CERTIFICATE_EXPIRED;
  if (error !== errors.ENDPOINT_FULL && !isOurs) set.onConnectFailure(failed, clock.nowMs, random);
  if (!isOurs && mayTryOther(call, failed)) return retry(call, error.label);
  if (!isOurs && repeat(call, error.label)) return;
  // Another sidecar takes a refused stream as unprocessed and tries another endpoint, where an error would end the
  // call.
  if (call.deps.refuseUnprocessed) return refuseStream(call, error, detail);
  refuse(call, error, detail);
}

function mayTryOther(call: RunningCall, endpoint: EndpointState): boolean {
  const { endpoints } = call.variant!.upstream.set;
  // The one endpoint that is left may be a new one: the one that was tried has left then.
  return mayTryAgain(call) && (endpoints.length > 1 || (endpoints.length === 1 && endpoints[0] !== endpoint));
}

/** A route that says `attempts: 0` wants none. */
function mayTryAgain({ attempts, plan, repeats }: RunningCall): boolean {
  return attempts - repeats < MAX_ATTEMPTS && plan!.rule!.retry?.attempts !== 0;
}

/** The endpoint has no room: another may have some. */
function passBy(call: RunningCall, endpoint: EndpointState): void {
  setTried(call, endpoint);
  call.variant!.upstream.set.onCancel(endpoint);
  attempt(call);
}

/**
 * The stream of the attempt was reset before the response began.
 * @param processed the endpoint may have begun to process the call
 * @param words what the codec has to say of it, or ''
 */
export function resetUnanswered(call: RunningCall, state: Sent, code: number, cause: ResetCause, processed: boolean, words: string): void {
  const { clock, random, stats } = call.deps;
  const { endpoint, startMs } = state;
  const { method, upstream } = call.variant!;
  const { set } = upstream;
  const { nowMs } = clock;
  setTried(call, endpoint);
  if (!processed) set.onRefused(endpoint, nowMs, random);
  else if (cause === 'connection') set.onLost(endpoint, false, nowMs, random);
  else if (cause === 'shed')
    set.onCancel(endpoint); // our memory, not its failure
  else set.onEnd(endpoint, nowMs - startMs, true, nowMs, random, method.failed(endpoint, nowMs));
  const reason = cause === 'peer' ? errorName(code) : cause;
  stats.reset('endpoint', reason);
  const error = cause === 'peer' && code === REFUSED_STREAM ? errors.REFUSED : errorOfReset(cause);
  const detail = `${upstream.ref.key}: ${wordsOfReset(code, cause, words)}`;
  if (!processed && mayTryAgain(call)) {
    if (call.request.rewind()) return retry(call, reason);
    // The client has the body still and may send the call again by itself (RFC 9113 §8.7, gRFC A6).
    return refuseStream(call, errors.REFUSED, detail);
  }
  if ((cause === 'peer' || cause === 'connection') && isIdempotent(call) && repeat(call, reason)) return;
  refuse(call, error, detail, statusOfReset(code, cause));
}

/**
 * The endpoint answered with a status after which the route asks for another attempt.
 * @returns false: it is the answer
 */
export function repeatAnswered(call: RunningCall, state: Sent, status: number, endStream: boolean): boolean {
  const waitMs = waitBeforeRepeat(call);
  if (waitMs < 0) return false;
  const { clock, random } = call.deps;
  const { nowMs } = clock;
  const { endpoint, startMs, up } = state;
  const { method, upstream } = call.variant!;
  const failed = status >= 502;
  upstream.set.onAnswer(endpoint, nowMs);
  upstream.set.onAnswerEnd(endpoint, startMs, nowMs - startMs, failed, nowMs, random, failed ? method.failed(endpoint, nowMs) : 0);
  setTried(call, endpoint);
  if (!endStream || !up.localClosed) up.reset(CANCEL);
  putOff(call, waitMs, `${status}`);
  return true;
}

/** The time of an attempt is over, and the endpoint was left. @returns false: there is no other attempt */
export function repeatExpired(call: RunningCall, state: Waiting | Sent): boolean {
  if (state.at === 'sent' && !isIdempotent(call)) return false;
  const waitMs = waitBeforeRepeat(call);
  if (waitMs < 0) return false;
  settleUnanswered(call, state);
  setTried(call, state.endpoint);
  putOff(call, waitMs, errors.ATTEMPT_TIMEOUT.label);
  return true;
}

/** Another attempt that the route asks for, after a failure. @returns false: there is none */
function repeat(call: RunningCall, reason: string): boolean {
  const waitMs = waitBeforeRepeat(call);
  if (waitMs >= 0) putOff(call, waitMs, reason);
  return waitMs >= 0;
}

function putOff(call: RunningCall, waitMs: number, reason: string): void {
  const { clock, deadlines } = call.deps;
  call.repeats++;
  // No attempt is under way, which could be late.
  setTimer(call, call.untilMs);
  call.backoff ??= new Backoff(call, attempt);
  call.deps.stats.retried();
  call.trace?.retried(clock.nowMs, call.lastEndpoint!.key, reason);
  deadlines.add(call.backoff, clock.nowMs + waitMs);
}

/** The call's timer goes off at a time, or when the time of the whole call is over. */
function setTimer(call: RunningCall, atMs: number): void {
  const { deadlines } = call.deps;
  deadlines.remove(call);
  const soonerMs = Math.min(atMs, call.untilMs);
  if (soonerMs < Number.POSITIVE_INFINITY) deadlines.add(call, soonerMs);
}

/** The attempt is over without an answer. */
function setTried(call: RunningCall, endpoint: EndpointState): void {
  call.state = UNSENT;
  if (call.tried === null) call.tried = [endpoint];
  else call.tried.push(endpoint);
}

/** @param reason why the attempt before failed */
function retry(call: RunningCall, reason: string): void {
  call.deps.stats.retried();
  call.trace?.retried(call.deps.clock.nowMs, call.lastEndpoint!.key, reason);
  attempt(call);
}

function withRemainingTime(call: RunningCall, varying: readonly Field[]): readonly Field[] {
  const leftMs = Math.max(0, call.deadlineMs - call.deps.clock.nowMs);
  return varying.map((field) => (field.name === 'grpc-timeout' ? makeField(field.name, formatGrpcTimeout(leftMs), false, 0) : field));
}
