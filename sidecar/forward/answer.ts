// The endpoint's answer on its way to the client: complete only when its end was seen and, for gRPC, its status.
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, errorName, NO_ERROR } from '../http/reset-code.ts';
import type { ResetCause } from '../http/stream.ts';
import { corsEdits } from '../route/cors.ts';
import { repeatAnswered } from './attempt.ts';
import { breakOff, errorOfReset, finish, noteError, statusOfReset, wordsOfReset, wordsOfTimeout } from './ending.ts';
import * as errors from './errors.ts';
import { editWhole, responseSource, touchesVarying } from './plan.ts';
import { dropRest } from './reply.ts';
import { Answering, type RunningCall, type Sent, UNSENT } from './running-call.ts';

const NO_STATUS = 'the response ended without a grpc-status';

/** Forwards a header section of the response; the final one commits the call to this attempt. */
export function answerHeaders(call: RunningCall, state: Sent, block: HeaderBlock, endStream: boolean): void {
  const { template } = block;
  const { down } = call;
  const { cors, responseEdits: edits } = call.variant!.backend;
  const { retry } = call.plan!.rule!;
  if (retry?.codes.has(template.status) && repeatAnswered(call, state, template.status, endStream)) return;
  let source: HeaderSource;
  let varying = block.varying;
  if (cors !== null) ({ source, varying } = editWhole(block, [...(edits ?? []), ...corsEdits(cors, call.block.value('origin') ?? null)]));
  else if (edits !== null && touchesVarying(varying, edits)) ({ source, varying } = editWhole(block, edits));
  else source = responseSource(template, edits);
  if (template.status < 200) return down.sendHeaders(source, varying, false);
  const { grpc } = template;
  const { nowMs } = call.deps.clock;
  const answering = new Answering(state, nowMs, grpc);
  call.state = answering;
  const { method, upstream } = call.variant!;
  upstream.set.onAnswer(state.endpoint, nowMs);
  method.openStreams++;
  method.answered(answering.answerMs);
  call.request.forget();
  call.httpStatus = template.status;
  const missing = endStream && grpc && template.grpcStatus < 0;
  down.sendHeaders(source, varying, endStream && !missing);
  if (missing) endWithoutStatus(call, template.status === 200 ? errors.INTERNAL : errors.grpcStatusOfHttp(template.status));
  else if (endStream) answered(call, template.grpcStatus);
}

/** Forwards buf[start, end) of the response's body. */
export function answerData(
  call: RunningCall,
  { endpoint, up, grpc }: Answering,
  buf: Buffer,
  start: number,
  end: number,
  endStream: boolean,
): void {
  const missing = endStream && grpc;
  call.responseBytes += end - start;
  endpoint.octets += end - start;
  const { down } = call;
  const sent = down.sendData(buf, start, end, endStream && !missing);
  up.credit(sent);
  if (missing) endWithoutStatus(call, errors.INTERNAL);
  else if (endStream) answered(call, -1);
}

/** Forwards the response's trailers, which end it. */
export function answerTrailers(call: RunningCall, { grpc }: Answering, { template, varying }: HeaderBlock): void {
  if (grpc && template.grpcStatus < 0) return endWithoutStatus(call, errors.INTERNAL);
  const { down } = call;
  down.sendTrailers(template.source, varying);
  answered(call, template.grpcStatus);
}

/** The endpoint's stream was reset after the response had begun. @param words of the codec, or '' */
export function resetAnswering(call: RunningCall, state: Answering, code: number, cause: ResetCause, words: string): void {
  const { clock, random, stats } = call.deps;
  const { endpoint, startMs } = state;
  const { method, upstream } = call.variant!;
  const { nowMs } = clock;
  // The endpoint's account is settled here: the time until it broke off counts, not that until it began to answer.
  method.openStreams--;
  if (cause === 'connection') upstream.set.onLost(endpoint, true, nowMs, random);
  else if (cause === 'shed')
    upstream.set.onAnswerDropped(endpoint); // our memory, not its failure
  else upstream.set.onAnswerEnd(endpoint, startMs, nowMs - startMs, true, nowMs, random, method.failed(endpoint, nowMs));
  call.state = UNSENT;
  stats.reset('endpoint', cause === 'peer' ? errorName(code) : cause);
  const status = statusOfReset(code, cause);
  const error = errorOfReset(cause);
  const reason = `${call.variant!.upstream.ref.key}: ${wordsOfReset(code, cause, words)}`;
  noteError(call, error, reason);
  if (state.grpc) return endWithStatus(call, status, errors.clientText(error, reason));
  finish(call, status, true);
  breakOff(call, error === errors.CONNECTION_LOST ? CANCEL : code);
}

/** The time of the call, or of its attempt, passed after the response had begun. */
export function expireAnswering(call: RunningCall, { up, grpc }: Answering, error: errors.ProxyError): void {
  const words = wordsOfTimeout(call, error);
  up.reset(CANCEL);
  noteError(call, error, words);
  if (grpc) return endWithStatus(call, error.grpc, errors.clientText(error, words));
  finish(call, error.grpc, false);
  breakOff(call, CANCEL);
}

/** Ends a gRPC response that has no status with one of ours. */
function endWithoutStatus(call: RunningCall, status: number): void {
  const reason = `${call.variant!.upstream.ref.key}: ${NO_STATUS}`;
  noteError(call, errors.BAD_RESPONSE, reason);
  endWithStatus(call, status, errors.clientText(errors.BAD_RESPONSE, reason));
}

/** Ends a response whose headers were sent with trailers of ours. */
function endWithStatus(call: RunningCall, status: number, message: string): void {
  const { down } = call;
  down.sendTrailers(errors.TRAILERS[status], [errors.messageField(message)]);
  answered(call, status);
}

/** The response was forwarded to its end. @param grpcStatus -1: the response has none */
function answered(call: RunningCall, grpcStatus: number): void {
  const { httpStatus, state } = call;
  const status = grpcStatus >= 0 ? grpcStatus : statusWithout(httpStatus, call.plan!.grpc);
  finish(call, status, status === errors.UNAVAILABLE || httpStatus >= 502);
  // The endpoint answered before it had the whole request: the rest is not needed (RFC 9113 §8.1).
  if (state.at === 'answering' && !state.up.closed && !state.up.localClosed) state.up.reset(NO_ERROR);
  dropRest(call.down);
}

/** The gRPC status that stands for an HTTP status without one. */
function statusWithout(httpStatus: number, grpc: boolean): number {
  return httpStatus === 200 || (httpStatus < 400 && !grpc) ? 0 : errors.grpcStatusOfHttp(httpStatus);
}
