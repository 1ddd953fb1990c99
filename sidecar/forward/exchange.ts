// One call: a downstream stream bound to an upstream attempt. The events of both streams come here; what they mean
// depends on the call's state.

import type { EndpointState } from '../balance/endpoint-state.ts';
import type { MessageConnection } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import { CANCEL, errorName } from '../http/reset-code.ts';
import type { MessageStream, ResetCause } from '../http/stream.ts';
import type { CompiledPort } from '../route/records.ts';
import { answerData, answerHeaders, answerTrailers, expireAnswering, resetAnswering } from './answer.ts';
import { notConnected, repeatExpired, resetUnanswered, send } from './attempt.ts';
import type { Deadline } from './deadlines.ts';
import { finish, noteError, refuse, refuseMalformed, wordsOfTimeout } from './ending.ts';
import * as errors from './errors.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import type { MirrorCall } from './mirror.ts';
import type { CallOrigin } from './outcome.ts';
import type { CallPlan, Variant } from './plan.ts';
import { RequestBody } from './request-body.ts';
import { route } from './routing.ts';
import { type CallState, type RunningCall, UNSENT } from './running-call.ts';
import type { CallSeries } from './series.ts';
import type { CallTrace } from './trace.ts';

const NOTHING = Buffer.alloc(0);

/** One class without a base: a derived class's constructor cost 0.3 µs a call. */
export class Exchange implements RunningCall {
  deadlineMs = 0;
  wheelNext: Deadline | null = null;
  wheelPrevious: Deadline | null = null;
  wheelSlot = -1;
  readonly deps: ExchangeDeps;
  readonly down: MessageStream;
  readonly block: HeaderBlock;
  readonly request: RequestBody;
  readonly startMs: number;
  endMs = 0;
  state: CallState = UNSENT;
  plan: CallPlan | null = null;
  variant: Variant | null = null;
  trace: CallTrace | null = null;
  series: CallSeries | null = null;
  mirrors: MirrorCall[] | null = null;
  attempts = 0;
  repeats = 0;
  backoff: Deadline | null = null;
  untilMs = Number.POSITIVE_INFINITY;
  lastEndpoint: EndpointState | null = null;
  tried: EndpointState[] | null = null;
  requestBytes = 0;
  responseBytes = 0;
  httpStatus = 0;
  grpcStatus = 0;
  error: errors.ProxyError | null = null;
  reason = '';
  cancelled = false;

  /** @param endStream the request has no body */
  constructor(deps: ExchangeDeps, down: MessageStream, block: HeaderBlock, endStream: boolean) {
    this.deps = deps;
    this.down = down;
    this.block = block;
    this.request = new RequestBody(down, deps.replay, endStream);
    this.startMs = deps.clock.nowMs;
  }

  get origin(): CallOrigin {
    return this.deps.origin;
  }

  /** Routes the call and sends it on. @param port null: its configuration has not arrived */
  start(port: CompiledPort | null): void {
    route(this, port);
  }

  // === From the pool

  onConnection(connection: MessageConnection): void {
    const { state } = this;
    if (state.at === 'waiting') send(this, connection, state.endpoint, state.startMs);
  }

  onNoConnection(error: errors.ProxyError, detail: string): void {
    const { state } = this;
    if (state.at === 'waiting') notConnected(this, state, error, detail);
  }

  // === From the client and from the endpoint

  /** Only responses come here: the request's headers made this exchange. */
  onHeaders(_up: MessageStream, block: HeaderBlock, endStream: boolean): void {
    const { state } = this;
    if (state.at === 'sent') answerHeaders(this, state, block, endStream);
  }

  onData(stream: MessageStream, buf: Buffer, start: number, end: number, endStream: boolean): void {
    const { state } = this;
    if (stream === this.down) this.onRequestData(buf, start, end, endStream);
    else if (state.at === 'answering') answerData(this, state, buf, start, end, endStream);
    else stream.credit(end - start);
  }

  private onRequestData(buf: Buffer, start: number, end: number, endStream: boolean): void {
    const { down, mirrors, request, state } = this;
    this.requestBytes += end - start;
    if (endStream) request.ended = true;
    if (mirrors !== null) for (const mirror of mirrors) mirror.data(buf, start, end, endStream);
    switch (state.at) {
      case 'unsent':
      case 'waiting':
        return request.keep(buf, start, end);
      case 'sent':
        return request.send(state.up, buf, start, end, true);
      case 'answering':
        state.endpoint.octets += end - start;
        return request.send(state.up, buf, start, end, false);
      case 'ended':
        return down.credit(end - start);
    }
  }

  onTrailers(stream: MessageStream, block: HeaderBlock): void {
    const { mirrors, request, state } = this;
    if (stream !== this.down) {
      if (state.at === 'answering') answerTrailers(this, state, block);
      return;
    }
    if (mirrors !== null) for (const mirror of mirrors) mirror.data(NOTHING, 0, 0, true);
    request.end(block, state.at === 'sent' || state.at === 'answering' ? state.up : null);
  }

  onSent(stream: MessageStream, octets: number): void {
    const { state } = this;
    if (stream !== this.down) this.request.credit(octets);
    else if ((state.at === 'answering' || state.at === 'ended') && state.up !== null) state.up.credit(octets);
  }

  // === Ends

  onReset(stream: MessageStream, code: number, cause: ResetCause, processed: boolean, reason: string): void {
    const { state } = this;
    if (state.at === 'ended') {
      // The answer had ended, but a part of it was still queued here.
      if (stream === this.down && state.up !== null) state.up.release();
    } else if (stream === this.down) {
      this.deps.stats.reset('client', cause === 'peer' ? errorName(code) : cause);
      this.leaveEndpoint();
      const error = errorOfClient(cause);
      if (error === null) this.cancelled = true;
      else if (cause !== 'shed') return refuseMalformed(this, error, code, reason);
      else noteError(this, error, reason);
      finish(this, error === null ? errors.CANCELLED : error.grpc, false);
    } else if (state.at === 'sent') resetUnanswered(this, state, code, cause, processed, reason);
    else if (state.at === 'answering') resetAnswering(this, state, code, cause, reason);
  }

  onDeadline(): void {
    const { state } = this;
    if (state.at === 'ended') return;
    this.deps.clock.update();
    const error = this.deadlineMs < this.untilMs ? errors.ATTEMPT_TIMEOUT : errors.DEADLINE;
    if (state.at === 'answering') return expireAnswering(this, state, error);
    this.leaveEndpoint();
    if (error === errors.ATTEMPT_TIMEOUT && (state.at === 'waiting' || state.at === 'sent') && repeatExpired(this, state)) return;
    refuse(this, error, wordsOfTimeout(this, error));
  }

  /** Gives up the attempt that is under way. */
  private leaveEndpoint(): void {
    const { state } = this;
    switch (state.at) {
      case 'waiting':
        return this.deps.upstreams.poolOf(state.endpoint, this.block.template.fromHttp1).cancel(this);
      case 'sent':
      case 'answering':
        return state.up.reset(CANCEL);
      case 'unsent':
      case 'ended':
        return;
    }
  }
}

/** Why we end the client's stream; null: the client itself or its connection went away. */
function errorOfClient(cause: ResetCause): errors.ProxyError | null {
  switch (cause) {
    case 'peer':
    case 'connection':
      return null;
    case 'malformed':
      return errors.BAD_REQUEST;
    case 'too_large':
      return errors.HEADERS_TOO_LARGE;
    case 'shed':
      return errors.SHED;
  }
}
