// One call while it runs: what is known of it, and the state it is in. routing.ts, attempt.ts, answer.ts and ending.ts
// move it on.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { MessageConnection } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { MessageStream, ResetCause, StreamHandler } from '../http/stream.ts';
import type { Deadline } from './deadlines.ts';
import type { EndedCall } from './ended-call.ts';
import type { ProxyError } from './errors.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import type { MirrorCall } from './mirror.ts';
import type { CallOrigin } from './outcome.ts';
import type { Plan, Variant } from './plan.ts';
import { RequestBody } from './request-body.ts';
import type { CallSeries } from './series.ts';
import type { CallTrace } from './trace.ts';
import type { Waiter } from './waiters.ts';

/** No attempt is under way: before the first one, between two, and while the call is refused. */
export interface Unsent {
  readonly at: 'unsent';
}

/** An endpoint was picked, and the call waits for a connection to it. */
export interface Waiting {
  readonly at: 'waiting';
  readonly endpoint: EndpointState;
  /** Monotonic ms. */
  readonly startMs: number;
}

/** The request was sent, in whole or in part; no final response headers have come. Another attempt may follow. */
export interface Sent {
  readonly at: 'sent';
  readonly endpoint: EndpointState;
  readonly startMs: number;
  readonly up: MessageStream;
}

/** The final response headers were forwarded: the call is committed to this attempt. */
export interface Answering {
  readonly at: 'answering';
  readonly endpoint: EndpointState;
  readonly startMs: number;
  readonly up: MessageStream;
  /** From the attempt's start to the final response headers. */
  readonly answerMs: number;
  /** content-type is application/grpc: the answer must end with a grpc-status. */
  readonly grpc: boolean;
}

/** The call was counted. */
export interface Ended {
  readonly at: 'ended';
  /** The stream of the answer, a part of which may still be queued towards the client; null: there was no answer. */
  readonly up: MessageStream | null;
}

export type CallState = Unsent | Waiting | Sent | Answering | Ended;

export const UNSENT: Unsent = { at: 'unsent' };
/** Of the calls that ended without an answer. */
export const ENDED: Ended = { at: 'ended', up: null };

export abstract class Call implements StreamHandler, Waiter, Deadline, EndedCall {
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
  plan: Plan | null = null;
  variant: Variant | null = null;
  trace: CallTrace | null = null;
  /** null: the call is not counted in flight. */
  series: CallSeries | null = null;
  mirrors: MirrorCall[] | null = null;
  attempts = 0;
  lastEndpoint: EndpointState | null = null;
  /** Endpoints of the attempts that failed; null: none has. */
  tried: EndpointState[] | null = null;
  requestBytes = 0;
  responseBytes = 0;
  httpStatus = 0;
  grpcStatus = 0;
  error: ProxyError | null = null;
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

  abstract onHeaders(stream: MessageStream, block: HeaderBlock, endStream: boolean): void;
  abstract onData(stream: MessageStream, buf: Buffer, start: number, end: number, endStream: boolean): void;
  abstract onTrailers(stream: MessageStream, block: HeaderBlock): void;
  abstract onReset(stream: MessageStream, code: number, cause: ResetCause, processed: boolean): void;
  abstract onSent(stream: MessageStream, octets: number): void;
  abstract onConnection(connection: MessageConnection): void;
  abstract onNoConnection(error: ProxyError, detail: string): void;
  abstract onDeadline(): void;
}
