// One call while it runs: what is known of it, and the state it is in. routing.ts, attempt.ts, answer.ts and ending.ts
// move it on.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { MessageStream, StreamHandler } from '../http/stream.ts';
import type { Deadline } from './deadlines.ts';
import type { EndedCall } from './ended-call.ts';
import type { ProxyError } from './errors.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import type { MirrorCall } from './mirror.ts';
import type { CallPlan, Variant } from './plan.ts';
import type { RequestBody } from './request-body.ts';
import type { CallSeries } from './series.ts';
import type { CallTrace } from './trace.ts';
import type { Waiter } from './waiters.ts';

/*
 * The states are classes because V8 keeps deprecating the maps of literals with such fields: route() and attempt() then
 * stay unoptimized.
 */

/** No attempt is under way: before the first one, between two, and while the call is refused. */
export class Unsent {
  readonly at = 'unsent';
}

/** An endpoint was picked, and the call waits for a connection to it. */
export class Waiting {
  readonly at = 'waiting';
  readonly endpoint: EndpointState;
  /** Start of the attempt, monotonic ms. */
  readonly startMs: number;

  constructor(endpoint: EndpointState, startMs: number) {
    this.endpoint = endpoint;
    this.startMs = startMs;
  }
}

/** The request was sent, in whole or in part; no final response headers have come. Another attempt may follow. */
export class Sent {
  readonly at = 'sent';
  readonly endpoint: EndpointState;
  readonly startMs: number;
  readonly up: MessageStream;

  constructor(endpoint: EndpointState, startMs: number, up: MessageStream) {
    this.endpoint = endpoint;
    this.startMs = startMs;
    this.up = up;
  }
}

/** The final response headers were forwarded: the call is committed to this attempt. */
export class Answering {
  readonly at = 'answering';
  readonly endpoint: EndpointState;
  readonly startMs: number;
  readonly up: MessageStream;
  /** From the attempt's start to the final response headers. */
  readonly answerMs: number;
  /** content-type is application/grpc: the answer must end with a grpc-status. */
  readonly grpc: boolean;

  constructor({ endpoint, startMs, up }: Sent, nowMs: number, grpc: boolean) {
    this.endpoint = endpoint;
    this.startMs = startMs;
    this.up = up;
    this.answerMs = nowMs - startMs;
    this.grpc = grpc;
  }
}

/** The call was counted. */
export class Ended {
  readonly at = 'ended';
  /** The stream of the answer, a part of which may still be queued towards the client; null: there was no answer. */
  readonly up: MessageStream | null;

  constructor(up: MessageStream | null) {
    this.up = up;
  }
}

/** Where a call stands: what belongs to a state is only there in it. */
export type CallState = Unsent | Waiting | Sent | Answering | Ended;

export const UNSENT = new Unsent();
/** The state of calls that ended without an answer. */
export const UNANSWERED = new Ended(null);

/**
 * The record that the functions of forwarding work on. exchange.ts makes it and passes the events of both streams to
 * them.
 */
export interface RunningCall extends StreamHandler, Waiter, Deadline, EndedCall {
  readonly deps: ExchangeDeps;
  readonly down: MessageStream;
  readonly request: RequestBody;
  state: CallState;
  plan: CallPlan | null;
  variant: Variant | null;
  trace: CallTrace | null;
  /** null: the call is not counted in flight. */
  series: CallSeries | null;
  mirrors: MirrorCall[] | null;
  attempts: number;
  /** Those of them that the route asked for. */
  repeats: number;
  /** Begins an attempt that was put off; null: none was. */
  backoff: Deadline | null;
  /** The end of the whole call's time, monotonic ms; Infinity: it has none. An attempt's may be sooner. */
  untilMs: number;
  lastEndpoint: EndpointState | null;
  /** Endpoints of the attempts that failed; null: none has. */
  tried: EndpointState[] | null;
  endMs: number;
  requestBytes: number;
  responseBytes: number;
  httpStatus: number;
  grpcStatus: number;
  error: ProxyError | null;
  /** Of the error, in words; '' without one. */
  reason: string;
}
