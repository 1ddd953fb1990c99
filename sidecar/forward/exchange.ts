// One call: a downstream stream bound to an upstream attempt. Deadline, retry, mirror and reset logic lives here and nowhere else.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { Chunk } from '../http/chunk.ts';
import { appendChunk } from '../http/chunk.ts';
import { type Field, makeField } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, errorName, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM } from '../http/reset-code.ts';
import type { ResetCause, StreamHandler } from '../http/stream.ts';
import type { Connection } from '../http2/connection.ts';
import type { Stream } from '../http2/stream.ts';
import { chooseBackend, shouldMirror } from '../route/choose.ts';
import type { CompiledPort } from '../route/records.ts';
import { type Deadline, formatGrpcTimeout, parseGrpcTimeout } from './deadlines.ts';
import type { CallOrigin, CallTrace, EndedCall } from './ended-call.ts';
import * as errors from './errors.ts';
import { MirrorCall } from './mirror.ts';
import { editWhole, type Plan, planFor, responseSource, seriesOf, touchesVarying, type Variant } from './plan.ts';
import type { Waiter } from './pool.ts';
import type { ProxyContext } from './proxy.ts';
import { reply } from './reply.ts';
import type { CallSeries } from './series.ts';

/** Attempts of one call; a further one is only made when the one before surely was not processed (gRFC A6). */
const MAX_ATTEMPTS = 4;
/** A body in one DATA frame up to this size is kept until the response begins, so that a refused call can be sent again. */
const REPLAY_OCTETS = 16 * 1024;
/** Values of `replayAt` beside a position in the ring. */
const NO_BODY_YET = -1;
const NOT_REPLAYABLE = -2;

const NOTHING = Buffer.alloc(0);

// States. The union is of numbers, not objects: one less allocation per call.
/** No upstream stream: waiting for a connection. The body is kept. */
const WAITING = 0;
/** Sent, no final response headers yet. */
const SENT = 1;
/** Response headers were forwarded: the call is committed. */
const RESPONDING = 2;
const DONE = 3;

export class Exchange implements StreamHandler, Waiter, Deadline, EndedCall {
  deadlineMs = 0;
  wheelNext: Deadline | null = null;
  wheelPrevious: Deadline | null = null;
  wheelSlot = -1;
  private readonly proxy: ProxyContext;
  private readonly down: Stream;
  readonly block: HeaderBlock;
  readonly startMs: number;
  endMs = 0;
  private state = WAITING;
  plan: Plan | null = null;
  variant: Variant | null = null;
  lastEndpoint: EndpointState | null = null;
  trace: CallTrace | null = null;
  error: errors.ProxyError | null = null;
  cancelled = false;
  requestBytes = 0;
  responseBytes = 0;
  private series: CallSeries | null = null;
  private endpoint: EndpointState | null = null;
  /** Endpoints of the attempts that failed; null: none has. */
  private tried: EndpointState[] | null = null;
  private up: Stream | null = null;
  attempts = 0;
  private attemptMs = 0;
  /** From the attempt's start to the final response headers; -1: they have not come. */
  private answerMs = -1;
  /** Body octets that came while there was no upstream stream to send them on. */
  private body: Chunk[] | null = null;
  /** Where the whole body sent so far lies in the replay ring. */
  private replayAt = NO_BODY_YET;
  private replayOctets = 0;
  private bodyEnded: boolean;
  private trailers: HeaderBlock | null = null;
  /** Octets of the body for which the client has not got its window back. */
  private uncredited = 0;
  private mirrors: MirrorCall[] | null = null;
  /** Final response headers came with content-type application/grpc: it must end in a grpc-status. */
  private grpcResponse = false;
  httpStatus = 0;
  grpcStatus = 0;

  constructor(proxy: ProxyContext, down: Stream, block: HeaderBlock, endStream: boolean) {
    this.proxy = proxy;
    this.down = down;
    this.block = block;
    this.bodyEnded = endStream;
    this.startMs = proxy.clock.nowMs;
  }

  /** Routes the call and sends it on. */
  start(port: CompiledPort | null): void {
    const { block, proxy } = this;
    const plan = port === null ? null : planFor(block, port, proxy.upstreams);
    this.plan = plan;
    const { tracer } = proxy.telemetry;
    if (tracer !== null) this.trace = tracer.begin(block, plan === null ? null : plan.rule);
    if (plan === null) return this.refuse(errors.NO_CONFIG, 'the configuration of this Service has not arrived');
    if (block.tooLarge) return this.refuse(errors.HEADERS_TOO_LARGE, 'request headers exceed 64 KiB or 100 fields');
    if (block.template.method === 'CONNECT') return this.refuse(errors.NOT_SERVED, 'CONNECT is not served');
    const { rule } = plan;
    if (rule === null) return this.refuse(errors.NO_ROUTE, `no route of ${plan.port.service.key} matches ${plan.method}`);
    if (rule.invalid !== '') return this.refuse(errors.INVALID_RULE, rule.invalid);
    if (rule.backends.length === 0) return this.refuse(errors.INVALID_RULE, 'the rule has no backend with weight');
    const variant = plan.variants[chooseBackend(rule)];
    this.variant = variant;
    if (variant.backend.invalid !== '') return this.refuse(errors.INVALID_BACKEND, variant.backend.invalid);
    const timeout = block.varyingValue('grpc-timeout');
    if (timeout !== undefined) {
      const timeoutMs = parseGrpcTimeout(timeout);
      if (timeoutMs >= 0) proxy.deadlines.add(this, this.startMs + timeoutMs);
    }
    for (const { mirror, upstream } of variant.mirrors) {
      if (!shouldMirror(mirror)) continue;
      (this.mirrors ??= []).push(new MirrorCall(proxy, upstream, variant.source, block.varying, this.trace, this.bodyEnded));
    }
    this.attempt();
  }

  get origin(): CallOrigin {
    return this.proxy.origin;
  }

  private withTrace(varying: readonly Field[]): readonly Field[] {
    return this.trace === null ? varying : this.trace.outgoing(varying);
  }

  // === Attempts

  private attempt(): void {
    const { proxy } = this;
    const upstream = this.variant!.upstream;
    this.attempts++;
    const { tried } = this;
    const { nowMs } = proxy.clock;
    const endpoint = tried === null ? upstream.set.pick(proxy.random, nowMs) : upstream.set.pickOther(tried, proxy.random, nowMs);
    if (endpoint === null) return this.refuse(errors.NO_ENDPOINTS, `${upstream.ref.key} has no ready endpoints`);
    this.endpoint = endpoint;
    this.lastEndpoint = endpoint;
    this.attemptMs = nowMs;
    upstream.set.onStart(endpoint);
    if (this.series === null) {
      this.series = seriesOf(this.plan!, this.variant, endpoint.identity !== '', proxy.stats);
      this.series.inFlight++;
    }
    const pool = proxy.upstreams.poolOf(endpoint);
    const connection = pool.acquire();
    this.state = WAITING;
    if (connection !== null) this.onConnection(connection);
    else pool.wait(this);
  }

  onConnection(connection: Connection): void {
    this.state = SENT;
    const { block } = this;
    const variant = this.variant!;
    let source: HeaderSource = variant.source;
    let { varying } = block;
    if (variant.editsVarying) ({ source, varying } = editWhole(block, variant.backend.requestEdits!));
    if (this.wheelSlot >= 0 && this.proxy.clock.nowMs - this.startMs >= 1) varying = this.remainingTime(varying);
    const { body } = this;
    varying = this.withTrace(varying);
    const bare = body === null && this.bodyEnded && this.trailers === null;
    const up = connection.open(this, source, varying, bare);
    this.up = up;
    if (block.template.method === 'HEAD') up.head = true;
    if (body !== null) {
      for (let i = 0; i < body.length; i++) {
        const { buf, start, end } = body[i];
        const last = i === body.length - 1 && this.bodyEnded && this.trailers === null;
        if (body.length === 1) this.keepForReplay(buf, start, end);
        else this.replayAt = NOT_REPLAYABLE;
        this.creditDown(up.sendData(buf, start, end, last));
      }
      this.body = null;
    }
    if (this.trailers !== null) up.sendTrailers(this.trailers.template.source, this.trailers.varying);
  }

  onNoConnection(error: errors.ProxyError, detail: string): void {
    const failed = this.endpoint;
    this.endpointFailed(false);
    // The one endpoint there is may be another by now: this one has left.
    const { endpoints } = this.variant!.upstream.set;
    if (this.attempts < MAX_ATTEMPTS && (endpoints.length > 1 || (endpoints.length === 1 && endpoints[0] !== failed)))
      return this.retry(error.label);
    // Towards another sidecar a refusal says that nothing was processed: it tries another endpoint, where an error would end the call.
    if (this.proxy.refuseUnprocessed) return this.refuseStream(error);
    this.refuse(error, detail);
  }

  /** @param reason why the attempt before failed */
  private retry(reason: string): void {
    this.proxy.stats.retried();
    this.trace?.retried(this.proxy.clock.nowMs, this.lastEndpoint!.key, reason);
    this.attempt();
  }

  /** @param connected false: the call never left, for want of a connection */
  private endpointFailed(connected: boolean): void {
    const { endpoint } = this;
    if (endpoint === null) return;
    this.endpoint = null;
    if (this.tried === null) this.tried = [endpoint];
    else this.tried.push(endpoint);
    const { clock, random } = this.proxy;
    const { set } = this.variant!.upstream;
    if (!connected) {
      set.onCancel(endpoint);
      set.onConnectFailure(endpoint, clock.nowMs, random);
    } else {
      set.onEnd(endpoint, clock.nowMs - this.attemptMs, true, clock.nowMs, random);
    }
  }

  private remainingTime(varying: readonly Field[]): readonly Field[] {
    const leftMs = Math.max(0, this.deadlineMs - this.proxy.clock.nowMs);
    return varying.map((field) => (field.name === 'grpc-timeout' ? makeField(field.name, formatGrpcTimeout(leftMs), false, 0) : field));
  }

  // === From the client

  onData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void {
    if (stream === this.down) this.onRequestData(buf, start, end, endStream);
    else if (stream === this.up) this.onResponseData(stream, buf, start, end, endStream);
    else stream.connection.credit(stream, end - start);
  }

  private onRequestData(buf: Buffer, start: number, end: number, endStream: boolean): void {
    const octets = end - start;
    this.requestBytes += octets;
    if (endStream) this.bodyEnded = true;
    if (this.mirrors !== null) for (const mirror of this.mirrors) mirror.data(buf, start, end, endStream);
    if (this.state === DONE) return this.down.connection.credit(this.down, octets);
    this.uncredited += octets;
    const { up } = this;
    if (up === null) {
      // The client's window bounds its octets, chunks what they cost.
      if (octets > 0) appendChunk((this.body ??= []), buf, start, end);
      return;
    }
    if (this.state === SENT) this.keepForReplay(buf, start, end);
    this.creditDown(up.sendData(buf, start, end, endStream));
  }

  private keepForReplay(buf: Buffer, start: number, end: number): void {
    const octets = end - start;
    if (octets === 0 || this.replayAt === NOT_REPLAYABLE) return;
    if (this.replayAt !== NO_BODY_YET || octets > REPLAY_OCTETS) this.replayAt = NOT_REPLAYABLE;
    else {
      this.replayAt = this.proxy.replay.put(buf, start, end);
      this.replayOctets = octets;
    }
  }

  /** Takes back what was sent, for another attempt. @returns false if it cannot be sent again */
  private rewind(): boolean {
    if (this.replayAt === NOT_REPLAYABLE) return false;
    if (this.replayAt !== NO_BODY_YET) {
      const kept = this.proxy.replay.get(this.replayAt, this.replayOctets);
      if (kept === null) return false;
      this.replayAt = NO_BODY_YET;
      appendChunk((this.body = []), kept, 0, kept.length);
    } else if (this.bodyEnded && this.trailers === null) {
      this.body = null;
    }
    return true;
  }

  private creditDown(octets: number): void {
    const credit = Math.min(octets, this.uncredited);
    if (credit === 0) return;
    this.uncredited -= credit;
    this.down.connection.credit(this.down, credit);
  }

  onSent(stream: Stream, octets: number): void {
    if (stream === this.up) this.creditDown(octets);
    else if (stream === this.down && this.up !== null) this.up.connection.credit(this.up, octets);
  }

  // === From the endpoint

  onHeaders(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    if (stream !== this.up) return;
    const { template } = block;
    const edits = this.variant!.backend.responseEdits;
    let source: HeaderSource;
    let varying = block.varying;
    if (edits !== null && touchesVarying(varying, edits)) ({ source, varying } = editWhole(block, edits));
    else source = responseSource(template, edits);
    if (template.status < 200) return this.down.connection.sendHeaders(this.down, source, varying, false);
    this.state = RESPONDING;
    this.answerMs = this.proxy.clock.nowMs - this.attemptMs;
    this.httpStatus = template.status;
    this.grpcResponse = template.grpc;
    const missing = endStream && template.grpc && template.grpcStatus < 0;
    this.down.connection.sendHeaders(this.down, source, varying, endStream && !missing);
    if (missing)
      this.endWithStatus(
        template.status === 200 ? 13 : errors.grpcStatusOfHttp(template.status),
        'the response ended without a grpc-status',
      );
    else if (endStream) this.responseEnded(template.grpcStatus);
  }

  private onResponseData(up: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void {
    const missing = endStream && this.grpcResponse;
    this.responseBytes += end - start;
    const { down } = this;
    const sent = down.connection.sendData(down, buf, start, end, endStream && !missing);
    up.connection.credit(up, sent);
    if (missing) this.endWithStatus(13, 'the response ended without a grpc-status');
    else if (endStream) this.responseEnded(-1);
  }

  onTrailers(stream: Stream, block: HeaderBlock): void {
    if (stream === this.down) {
      this.bodyEnded = true;
      this.trailers = block;
      if (this.mirrors !== null) for (const mirror of this.mirrors) mirror.data(NOTHING, 0, 0, true);
      if (this.up !== null) this.up.sendTrailers(block.template.source, block.varying);
      return;
    }
    if (stream !== this.up) return;
    const missing = this.grpcResponse && block.template.grpcStatus < 0;
    if (missing) return this.endWithStatus(13, 'the response ended without a grpc-status');
    this.down.connection.sendTrailers(this.down, block.template.source, block.varying);
    this.responseEnded(block.template.grpcStatus);
  }

  /** Ends a response whose headers were sent with trailers of ours. */
  private endWithStatus(status: number, message: string): void {
    this.down.connection.sendTrailers(this.down, errors.TRAILERS[status], [errors.messageField(message)]);
    this.responseEnded(status);
  }

  private responseEnded(grpcStatus: number): void {
    const status =
      grpcStatus >= 0
        ? grpcStatus
        : this.httpStatus === 200 || (this.httpStatus < 400 && !this.plan!.grpc)
          ? 0
          : errors.grpcStatusOfHttp(this.httpStatus);
    this.finish(status, status === 14 || this.httpStatus >= 502);
    const { up, down } = this;
    if (up !== null && !up.closed && !up.localClosed) up.connection.reset(up, NO_ERROR);
    // The server answered before the client had sent all: the rest is not wanted (RFC 9113 §8.1).
    if (!down.closed && down.localClosed && !down.remoteClosed) down.connection.reset(down, NO_ERROR);
  }

  // === Ends

  onReset(stream: Stream, code: number, cause: ResetCause, processed: boolean): void {
    if (this.state === DONE) {
      // The answer had ended, but a part of it was still queued here.
      if (stream === this.down && this.up !== null) this.up.connection.release(this.up);
      return;
    }
    if (stream === this.down) {
      this.proxy.stats.reset('client', cause === 'peer' ? errorName(code) : cause);
      return this.abandon();
    }
    if (stream !== this.up) return;
    this.up = null;
    this.endpointFailed(true);
    const reason = cause === 'peer' ? errorName(code) : cause;
    this.proxy.stats.reset('endpoint', reason);
    if (this.state === SENT && !processed && this.attempts < MAX_ATTEMPTS && this.rewind()) return this.retry(reason);
    const lost = cause === 'connection' || cause === 'stalled';
    const status = lost ? 14 : cause === 'malformed' ? 13 : errors.grpcStatusOfReset(code);
    if (this.state === SENT) {
      const error = lost
        ? errors.CONNECTION_LOST
        : cause === 'malformed'
          ? errors.BAD_RESPONSE
          : code === REFUSED_STREAM
            ? errors.REFUSED
            : errors.UPSTREAM_RESET;
      return this.refuse(error, `${this.variant!.upstream.ref.key}: ${error.label}`, status);
    }
    this.failed(lost ? errors.CONNECTION_LOST : errors.UPSTREAM_RESET);
    if (this.grpcResponse)
      return this.endWithStatus(status, lost ? 'the connection to the endpoint broke' : 'the endpoint reset the stream');
    this.finish(status, true);
    this.breakOff(lost ? CANCEL : code);
  }

  /** Resets an answer that broke off, so that no client takes it for whole: many take NO_ERROR for the end, node:http2 CANCEL too. */
  private breakOff(code: number): void {
    this.down.connection.reset(this.down, code === NO_ERROR || code === CANCEL ? INTERNAL_ERROR : code);
  }

  onDeadline(): void {
    if (this.state === DONE) return;
    this.proxy.clock.update();
    const { up } = this;
    if (up !== null) up.connection.reset(up, CANCEL);
    else this.leaveLine();
    this.up = null;
    if (this.state === RESPONDING) {
      this.failed(errors.DEADLINE);
      if (!this.grpcResponse) {
        this.finish(errors.DEADLINE.grpc, false);
        return this.breakOff(CANCEL);
      }
      return this.endWithStatus(errors.DEADLINE.grpc, 'deadline exceeded');
    }
    this.refuse(errors.DEADLINE, 'deadline exceeded');
  }

  /** The client gave up. */
  private abandon(): void {
    this.cancelled = true;
    if (this.up !== null) this.up.connection.reset(this.up, CANCEL);
    else this.leaveLine();
    this.finish(1, false);
  }

  private leaveLine(): void {
    if (this.state === WAITING && this.endpoint !== null) this.proxy.upstreams.poolOf(this.endpoint).cancel(this);
  }

  private failed(error: errors.ProxyError): void {
    this.error = error;
    this.proxy.stats.proxyError(error.label);
  }

  private refuseStream(error: errors.ProxyError): void {
    this.failed(error);
    this.finish(14, false);
    this.down.connection.reset(this.down, REFUSED_STREAM);
  }

  /** Answers with an error of ours. @param grpcStatus if it is another than the error's own */
  private refuse(error: errors.ProxyError, message: string, grpcStatus = error.grpc): void {
    this.failed(error);
    const grpc = this.block.template.grpc;
    if (this.series === null && this.plan !== null) {
      this.series = seriesOf(
        this.plan,
        this.variant !== null && this.variant.backend.invalid === '' ? this.variant : null,
        false,
        this.proxy.stats,
      );
      this.series.inFlight++;
    }
    this.finish(grpc ? grpcStatus : errors.grpcStatusOfHttp(error.http), false);
    reply(this.down, error, message, grpc, grpcStatus, this.block.template.method === 'HEAD');
  }

  private finish(grpcStatus: number, failed: boolean): void {
    this.state = DONE;
    this.body = null;
    this.grpcStatus = grpcStatus;
    const { clock, deadlines, random, telemetry } = this.proxy;
    this.endMs = clock.nowMs;
    deadlines.remove(this);
    const { endpoint, series } = this;
    if (endpoint !== null) {
      this.endpoint = null;
      const { set } = this.variant!.upstream;
      // Without an answer there is no verdict: a client that gives up early says nothing about the endpoint.
      if (this.answerMs < 0) set.onCancel(endpoint);
      else set.onEnd(endpoint, this.answerMs, failed, clock.nowMs, random);
    }
    if (series !== null) {
      series.inFlight--;
      series.ended(this);
    }
    const { spans, accessLog } = telemetry;
    if (spans !== null && this.trace?.recorded === true) spans.ended(this);
    if (accessLog !== null) accessLog.ended(this);
    if (this.mirrors !== null && !this.bodyEnded) for (const mirror of this.mirrors) mirror.cancel();
    // What the client still sends is dropped, and its window goes back.
    if (this.uncredited > 0) this.creditDown(this.uncredited);
  }
}
