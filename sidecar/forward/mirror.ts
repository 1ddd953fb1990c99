// A copy of a call to one endpoint of another backend. Its answer is dropped; if it is slow or fails, nobody waits.

import type { EndpointState } from '../balance/endpoint-state.ts';
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { CANCEL, NO_ERROR } from '../http2/codes.ts';
import type { Connection } from '../http2/connection.ts';
import { appendChunk } from '../http2/send-queue.ts';
import type { Chunk, Stream, StreamHandler } from '../http2/stream.ts';
import type { ExchangeDeps } from './exchange-deps.ts';
import type { Waiter } from './pool.ts';
import type { CallTrace } from './trace.ts';
import type { Upstream } from './upstreams.ts';

/** Body octets that a mirror may be behind; past it the copy is given up. */
const MAX_BEHIND = 64 * 1024;
/** Calls on their way to an endpoint past which it gets no copies: one that never answers must not collect them. */
const MAX_IN_FLIGHT = 256;

export class MirrorCall implements StreamHandler, Waiter {
  private readonly deps: ExchangeDeps;
  private readonly upstream: Upstream;
  private readonly source: HeaderSource;
  private readonly varying: readonly Field[];
  private readonly trace: CallTrace | null;
  private endpoint: EndpointState | null;
  private stream: Stream | null = null;
  private body: Chunk[] = [];
  private bodyOctets = 0;
  private ended: boolean;
  private done = false;

  /** @param trace of the call, which the copy belongs to @param ended the call has no body */
  constructor(
    deps: ExchangeDeps,
    upstream: Upstream,
    source: HeaderSource,
    varying: readonly Field[],
    trace: CallTrace | null,
    ended: boolean,
  ) {
    this.deps = deps;
    this.upstream = upstream;
    this.source = source;
    this.varying = varying;
    this.trace = trace;
    this.ended = ended;
    this.endpoint = upstream.set.pick(deps.random, deps.clock.nowMs);
    if (this.endpoint === null || this.endpoint.inFlight >= MAX_IN_FLIGHT) {
      this.endpoint = null;
      this.done = true;
      return;
    }
    upstream.set.onStart(this.endpoint);
    const pool = deps.upstreams.poolOf(this.endpoint);
    const connection = pool.acquire();
    if (connection !== null) this.onConnection(connection);
    else pool.wait(this);
  }

  onConnection(connection: Connection): void {
    if (this.done) return;
    // Only now: it may have waited for the connection, and trace context is valid until the next call.
    const varying = this.trace === null ? this.varying : this.trace.outgoing(this.varying);
    const stream = connection.open(this, this.source, varying, this.ended && this.body.length === 0);
    this.stream = stream;
    this.body.forEach((chunk, i) => {
      connection.sendData(stream, chunk.buf, chunk.start, chunk.end, this.ended && i === this.body.length - 1);
    });
    this.body = [];
  }

  onNoConnection(): void {
    this.finish(true);
  }

  /** The call's next body octets, which are only valid now. */
  data(buf: Buffer, start: number, end: number, endStream: boolean): void {
    if (this.done) return;
    this.ended = endStream;
    const { stream } = this;
    const behind = stream === null ? (this.bodyOctets += end - start) : stream.queuedOctets;
    if (behind > MAX_BEHIND) return this.cancel();
    if (stream === null) appendChunk(this.body, buf, start, end);
    else stream.connection.sendData(stream, buf, start, end, endStream);
  }

  /** The call ended before its body did. */
  cancel(): void {
    if (this.done) return;
    const { stream, endpoint } = this;
    if (stream !== null) stream.connection.reset(stream, CANCEL);
    else if (endpoint !== null) this.deps.upstreams.poolOf(endpoint).cancel(this);
    this.finish(false);
  }

  private finish(failed: boolean): void {
    if (this.done) return;
    this.done = true;
    const { endpoint, deps, stream } = this;
    this.endpoint = null;
    // It answered before it had the whole call: the rest is not wanted.
    if (stream !== null && !stream.closed && !stream.localClosed) stream.connection.reset(stream, NO_ERROR);
    if (endpoint !== null) {
      const { set } = this.upstream;
      set.onCancel(endpoint); // a mirror's latency is not a call's
      if (failed && this.stream === null) set.onConnectFailure(endpoint, deps.clock.nowMs, deps.random);
    }
  }

  onHeaders(_stream: Stream, _block: HeaderBlock, endStream: boolean): void {
    if (endStream) this.finish(false);
  }

  onData(stream: Stream, _buf: Buffer, start: number, end: number, endStream: boolean): void {
    stream.connection.credit(stream, end - start);
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
