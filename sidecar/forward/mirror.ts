// A copy of a call to one endpoint of another backend. Its answer is dropped, and the call does not
// wait for it if it is slow or fails.

import type { EndpointState } from '../balance/endpoint-state.ts';
import { appendChunk, type Chunk } from '../http/chunk.ts';
import type { MessageConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, NO_ERROR } from '../http/reset-code.ts';
import type { MessageStream, StreamHandler } from '../http/stream.ts';
import { ENDPOINT_FULL, type ProxyError } from './errors.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import type { CallTrace } from './trace.ts';
import type { Upstream } from './upstreams.ts';
import type { Waiter } from './waiters.ts';

/** Body octets that a mirror may be behind; past them the copy is given up. */
const MAX_BEHIND = 64 * 1024;
/** An endpoint with so many calls in flight gets no copies, so that one that never answers does not collect them. */
const MAX_IN_FLIGHT = 256;

export class MirrorCall implements StreamHandler, Waiter {
  private readonly deps: ExchangeDeps;
  private readonly upstream: Upstream;
  private readonly source: HeaderSource;
  private readonly varying: readonly Field[];
  private readonly trace: CallTrace | null;
  private readonly fromHttp1: boolean;
  private endpoint: EndpointState | null;
  private stream: MessageStream | null = null;
  private body: Chunk[] = [];
  private bodyOctets = 0;
  private ended: boolean;
  /** Its answer has begun. */
  private answering = false;
  private done = false;

  /**
   * @param trace of the call, which the copy belongs to
   * @param ended the call has no body
   * @param fromHttp1 it began as HTTP/1.1
   */
  constructor(
    deps: ExchangeDeps,
    upstream: Upstream,
    source: HeaderSource,
    varying: readonly Field[],
    trace: CallTrace | null,
    ended: boolean,
    fromHttp1: boolean,
  ) {
    this.deps = deps;
    this.upstream = upstream;
    this.source = source;
    this.varying = varying;
    this.trace = trace;
    this.ended = ended;
    this.fromHttp1 = fromHttp1;
    this.endpoint = upstream.set.pick(deps.random, deps.clock.nowMs);
    if (this.endpoint === null || this.endpoint.inFlight + this.endpoint.streams >= MAX_IN_FLIGHT) {
      this.endpoint = null;
      this.done = true;
      return;
    }
    upstream.set.onStart(this.endpoint);
    const pool = deps.upstreams.poolOf(this.endpoint, fromHttp1);
    const connection = pool.acquire();
    if (connection !== null) this.onConnection(connection);
    else pool.wait(this);
  }

  onConnection(connection: MessageConnection): void {
    if (this.done) return;
    // Trace context is valid until the next call, and the copy may have waited for the connection: it is written now.
    const varying = this.trace === null ? this.varying : this.trace.outgoing(this.varying);
    const stream = connection.open(this, this.source, varying, this.ended && this.body.length === 0);
    this.stream = stream;
    this.body.forEach((chunk, i) => {
      stream.sendData(chunk.buf, chunk.start, chunk.end, this.ended && i === this.body.length - 1);
    });
    this.body = [];
  }

  onNoConnection(error: ProxyError): void {
    this.finish(error !== ENDPOINT_FULL);
  }

  /** The call's next body octets, which are only valid now. */
  data(buf: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.done) return;
    this.ended = endStream;
    const { stream } = this;
    const behind = stream === null ? (this.bodyOctets += end - start) : stream.queuedOctets;
    if (behind > MAX_BEHIND) return this.cancel();
    if (stream === null) appendChunk(this.body, buf, start, end);
    else stream.sendData(buf, start, end, endStream);
  }

  /** The call ended before its body did. */
  cancel(): void {
    if (this.done) return;
    const { stream, endpoint } = this;
    if (stream !== null) stream.reset(CANCEL);
    else if (endpoint !== null) this.deps.upstreams.poolOf(endpoint, this.fromHttp1).cancel(this);
    this.finish(false);
  }

  private finish(failed: boolean): void {
    if (this.done) return;
    this.done = true;
    const { endpoint, deps, stream } = this;
    this.endpoint = null;
    // The shadow answered before it had the whole call: the rest is not needed.
    if (stream !== null && !stream.closed && !stream.localClosed) stream.reset(NO_ERROR);
    if (endpoint !== null) {
      const { set } = this.upstream;
      // A copy's latency says nothing about calls.
      if (this.answering) set.onAnswerDropped(endpoint);
      else set.onCancel(endpoint);
      if (failed && this.stream === null) set.onConnectFailure(endpoint, deps.clock.nowMs, deps.random);
    }
  }

  onHeaders(_stream: MessageStream, { template }: HeaderBlock, endStream: boolean): void {
    if (endStream) return this.finish(false);
    if (this.endpoint === null || this.answering || template.status < 200) return;
    this.answering = true;
    this.upstream.set.onAnswer(this.endpoint, this.deps.clock.nowMs);
  }

  onData(stream: MessageStream, _buf: Buffer, start: number, end: number, endStream: boolean): void {
    stream.credit(end - start);
    if (endStream) this.finish(false);
  }

  onTrailers(): void {
    this.finish(false);
  }

  onReset(): void {
    this.finish(true);
  }

  onSent(): void {}
}
