// One HTTP/2 connection of ours without sockets: frames go in as octets, what it wrote comes out as frames, and time is
// a number.

import { BAD_REQUEST } from '#sidecar/forward/errors.ts';
import { Buffers } from '#sidecar/http/buffers.ts';
import type { Clock } from '#sidecar/http/clock.ts';
import type { ConnectionOwner, RefusalCause } from '#sidecar/http/connection.ts';
import type { HeaderBlock } from '#sidecar/http/header-block.ts';
import type { MessageStream, ResetCause, StreamHandler } from '#sidecar/http/stream.ts';
import type { Transport } from '#sidecar/http/transport.ts';
import { Connection } from '#sidecar/http2/connection.ts';
import type { ConnectionOptions } from '#sidecar/http2/connection-options.ts';
import type { Stream } from '#sidecar/http2/stream.ts';
import { settings } from './raw-peer.ts';

/** What happened to a stream, in order. */
export class Recorder implements StreamHandler {
  readonly events: string[] = [];
  octets = 0;
  sent = 0;
  block: HeaderBlock | null = null;
  /** Give back the window at once. */
  readonly consume: boolean;

  constructor(consume = true) {
    this.consume = consume;
  }

  onHeaders(_stream: Stream, block: HeaderBlock, endStream: boolean): void {
    this.block = block;
    this.events.push(`headers ${block.template.status}${endStream ? ' end' : ''}`);
  }

  onData(stream: Stream, _buf: Buffer, start: number, end: number, endStream: boolean): void {
    this.octets += end - start;
    if (this.consume) stream.credit(end - start);
    if (endStream) this.events.push('end');
  }

  onTrailers(): void {
    this.events.push('trailers');
  }

  onReset(_stream: Stream, code: number, cause: ResetCause, processed: boolean): void {
    this.events.push(`reset ${code} ${cause}${processed ? '' : ' unprocessed'}`);
  }

  onSent(_stream: Stream, octets: number): void {
    this.sent += octets;
  }
}

export interface WireFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A connection with a transport that keeps what was written; `stuck` makes it a peer that does not read. */
export class Wire implements ConnectionOwner {
  readonly clock: Clock = { nowMs: 1000, update() {} };
  readonly connection: Connection;
  readonly requests: { stream: Stream; handler: Recorder }[] = [];
  /** Requests that were refused, and why; those that may be are answered. */
  readonly refused: string[] = [];
  closed = '';
  capacity = 0;
  ended = false;
  destroyed = false;
  stuck = false;
  /** Handlers of requests give back the window at once. */
  consume = true;
  private written: Buffer[] = [];
  private readonly pending: (() => void)[] = [];

  /** @param peerSettings the peer's first SETTINGS frame, which is received at once; null: nothing is */
  constructor(options: Partial<ConnectionOptions> & { client: boolean }, peerSettings: Buffer | null = settings()) {
    const transport: Transport = {
      write: (octets, done) => {
        this.written.push(Buffer.from(octets));
        if (this.stuck) this.pending.push(done);
        else done();
      },
      end: () => {
        this.ended = true;
      },
      destroy: () => {
        this.destroyed = true;
      },
    };
    this.connection = new Connection(transport, this, this.clock, {
      client: options.client,
      trusted: options.trusted ?? false,
      maxPeerStreams: options.maxPeerStreams ?? 100,
      peer: options.peer ?? 'peer',
      buffers: options.buffers ?? new Buffers(),
    });
    if (peerSettings !== null) this.receive(peerSettings);
  }

  receive(...parts: Buffer[]): void {
    const octets = Buffer.concat(parts);
    this.connection.receive(octets, 0, octets.length);
  }

  /** All frames written so far, or since the last call; a client's preface is left out. */
  take(): WireFrame[] {
    this.connection.output.flush();
    let b = Buffer.concat(this.written);
    this.written = [];
    if (b.length >= 24 && b.latin1Slice(0, 3) === 'PRI') b = b.subarray(24);
    const frames: WireFrame[] = [];
    while (b.length >= 9) {
      const end = 9 + b.readUIntBE(0, 3);
      frames.push({ type: b[3], flags: b[4], id: b.readUInt32BE(5), payload: b.subarray(9, end) });
      b = b.subarray(end);
    }
    return frames;
  }

  /** Lets a stuck transport take what it got. */
  drainTransport(): void {
    this.stuck = false;
    for (const done of this.pending.splice(0)) done();
  }

  onRequest(stream: Stream): StreamHandler {
    const handler = new Recorder(this.consume);
    this.requests.push({ stream, handler });
    return handler;
  }

  onRefused(cause: RefusalCause, reason: string, _block: HeaderBlock, stream: MessageStream | null): void {
    this.refused.push(`${cause}: ${reason}`);
    if (stream !== null) stream.sendHeaders(BAD_REQUEST.grpcSource, [], true);
  }

  onCapacity(): void {
    this.capacity++;
  }

  onClosed(_connection: Connection, reason: string): void {
    this.closed = reason;
  }
}
