// One attempt to get a call to an endpoint, and the next one where the call surely was not processed.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { MessageConnection } from '../http/connection.ts';
import { type Field, makeField } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { errorName, REFUSED_STREAM } from '../http/reset-code.ts';
import type { ResetCause } from '../http/stream.ts';
import { formatGrpcTimeout } from './deadlines.ts';
import { errorOfReset, refuse, refuseStream, statusOfReset, wordsOfReset } from './ending.ts';
import * as errors from './errors.ts';
import { editWhole, seriesOf } from './plan.ts';
import { type RunningCall, Sent, UNSENT, Waiting } from './running-call.ts';

/** Attempts of one call; a further one is only made when the one before surely was not processed (gRFC A6). */
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
  if (variant.editsVarying) ({ source, varying } = editWhole(block, variant.backend.requestEdits!));
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
  // Another sidecar takes a refused stream as unprocessed and tries another endpoint, where an error would end the
  // call.
  if (call.deps.refuseUnprocessed) return refuseStream(call, error, detail);
  refuse(call, error, detail);
}

function mayTryOther(call: RunningCall, endpoint: EndpointState): boolean {
  const { endpoints } = call.variant!.upstream.set;
  // The one endpoint that is left may be a new one: the one that was tried has left then.
  return call.attempts < MAX_ATTEMPTS && (endpoints.length > 1 || (endpoints.length === 1 && endpoints[0] !== endpoint));
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
  if (!processed && call.attempts < MAX_ATTEMPTS) {
    if (call.request.rewind()) return retry(call, reason);
    // The client has the body still and may send the call again by itself (RFC 9113 §8.7, gRFC A6).
    return refuseStream(call, errors.REFUSED, detail);
  }
  refuse(call, error, detail, statusOfReset(code, cause));
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
