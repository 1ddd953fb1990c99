// How a call ends: answered by ourselves, refused, broken off; and what is settled at every end.
import { CANCEL, errorName, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM } from '../http/reset-code.ts';
import type { ResetCause } from '../http/stream.ts';
import * as errors from './errors.ts';
import { seriesOf } from './plan.ts';
import { dropRest, dropRestOfMalformed, reply } from './reply.ts';
import { type CallState, Ended, type RunningCall, type Sent, UNANSWERED, type Waiting } from './running-call.ts';

/** Answers with an error of ours; no response has begun. @param grpcStatus if it is another than the error's own */
export function refuse(call: RunningCall, error: errors.ProxyError, message: string, grpcStatus = error.grpc): void {
  answerError(call, error, message, grpcStatus);
  dropRest(call.down);
}

/**
 * Answers a request that breaks a rule, as far as that can be done still; its stream is reset then by the codec.
 * @param code of the fault
 */
export function refuseMalformed(call: RunningCall, error: errors.ProxyError, code: number, reason: string): void {
  const { down, state } = call;
  if (state.at !== 'answering') answerError(call, error, reason, error.grpc);
  else {
    noteError(call, error, reason);
    finish(call, error.grpc, false);
    if (state.grpc) down.sendTrailers(errors.TRAILERS[error.grpc], [errors.messageField(errors.clientText(error, reason))]);
  }
  if (code === PROTOCOL_ERROR) dropRestOfMalformed(down, call.block);
}

function answerError(call: RunningCall, error: errors.ProxyError, message: string, grpcStatus: number): void {
  const { down, plan, variant } = call;
  noteError(call, error, message);
  if (call.series === null && plan !== null) {
    call.series = seriesOf(plan, variant !== null && variant.backend.invalid === '' ? variant : null, false, call.deps.stats);
    call.series.inFlight++;
  }
  finish(call, call.block.template.format === 'other' ? errors.grpcStatusOfHttp(error.http) : grpcStatus, false);
  reply(down, call.block, error, message, grpcStatus);
}

/** Refuses the client's stream, which surely was not processed: the client may send the call again. */
export function refuseStream(call: RunningCall, error: errors.ProxyError, reason: string): void {
  noteError(call, error, reason);
  finish(call, errors.UNAVAILABLE, false);
  call.down.reset(REFUSED_STREAM);
}

/**
 * Resets a response that broke off, so that no client takes it for whole: many take NO_ERROR for the end, node:http2
 * CANCEL too.
 */
export function breakOff(call: RunningCall, code: number): void {
  call.down.reset(code === NO_ERROR || code === CANCEL ? INTERNAL_ERROR : code);
}

/** Notes and counts an error of ours. @param reason in words */
export function noteError(call: RunningCall, error: errors.ProxyError, reason: string): void {
  call.error = error;
  call.reason = reason;
  call.deps.stats.proxyError(error.label);
}

/** The error of a call whose upstream stream was reset. */
export function errorOfReset(cause: ResetCause): errors.ProxyError {
  switch (cause) {
    case 'connection':
      return errors.CONNECTION_LOST;
    case 'shed':
      return errors.SHED;
    case 'malformed':
      return errors.BAD_RESPONSE;
    case 'too_large':
      return errors.RESPONSE_TOO_LARGE;
    case 'peer':
      return errors.UPSTREAM_RESET;
  }
}

/** What happened to an upstream stream that was reset, in words. @param words of the codec, or '' */
export function wordsOfReset(code: number, cause: ResetCause, words: string): string {
  if (words !== '') return words;
  return cause === 'peer' ? `the endpoint reset the stream with ${errorName(code)}` : cause;
}

/** What time is over, in words. */
export function wordsOfTimeout(call: RunningCall, error: errors.ProxyError): string {
  const rule = call.plan?.rule;
  if (error === errors.ATTEMPT_TIMEOUT) return `the attempt took longer than the route allows (${rule?.backendTimeoutMs} ms)`;
  const requestTimeoutMs = rule?.requestTimeoutMs ?? 0;
  const isRoutes = requestTimeoutMs > 0 && call.untilMs >= call.startMs + requestTimeoutMs;
  return isRoutes ? `the call took longer than the route allows (${requestTimeoutMs} ms)` : 'deadline exceeded';
}

/** The gRPC status of a call whose upstream stream was reset. */
export function statusOfReset(code: number, cause: ResetCause): number {
  switch (cause) {
    case 'connection':
      return errors.UNAVAILABLE;
    case 'shed':
      return errors.SHED.grpc;
    case 'malformed':
      return errors.INTERNAL;
    case 'too_large':
      return errors.RESPONSE_TOO_LARGE.grpc;
    case 'peer':
      return errors.grpcStatusOfReset(code);
  }
}

/**
 * Every call comes here once: its endpoint's account, its counters, its observers, its copies and the client's window
 * are settled.
 * @param grpcStatus as it is counted @param failed the answer is the endpoint's failure
 */
export function finish(call: RunningCall, grpcStatus: number, failed: boolean): void {
  const { clock, deadlines, telemetry } = call.deps;
  const { state, series, trace, mirrors, request } = call;
  call.state = endOf(call, state, failed);
  call.grpcStatus = grpcStatus;
  call.endMs = clock.nowMs;
  deadlines.remove(call);
  if (call.backoff !== null) deadlines.remove(call.backoff);
  if (series !== null) {
    series.inFlight--;
    series.ended(call);
  }
  const { spans, accessLog } = telemetry;
  if (spans !== null && trace?.recorded === true) spans.ended(call);
  if (accessLog !== null) accessLog.ended(call);
  if (mirrors !== null && !request.ended) for (const mirror of mirrors) mirror.cancel();
  request.drop();
}

/**
 * Settles the account of the attempt's endpoint. Without an answer its time tells, if it was long: the deadline passed
 * or the client gave up.
 */
function endOf(call: RunningCall, state: CallState, failed: boolean): CallState {
  switch (state.at) {
    case 'answering': {
      const { clock, random } = call.deps;
      const { method, upstream } = call.variant!;
      const { endpoint, startMs, answerMs } = state;
      const { nowMs } = clock;
      let weight = 0;
      if (failed) weight = method.failed(endpoint, nowMs);
      else method.succeeded(endpoint, nowMs);
      method.openStreams--;
      upstream.set.onAnswerEnd(endpoint, startMs, answerMs, failed, nowMs, random, weight);
      return new Ended(state.up);
    }
    case 'waiting':
    case 'sent':
      settleUnanswered(call, state);
      return UNANSWERED;
    case 'unsent':
    case 'ended':
      return UNANSWERED;
  }
}

/** The attempt ended without an answer, by its time or by its caller. */
export function settleUnanswered(call: RunningCall, { endpoint, startMs }: Waiting | Sent): void {
  const { method, upstream } = call.variant!;
  const { clock, random } = call.deps;
  // The endpoint may wait for the rest of the request as we do.
  if (call.request.ended) upstream.set.onUnanswered(endpoint, method, startMs, clock.nowMs, random);
  else upstream.set.onCancel(endpoint);
}
