// The HTTP/2 connections that peers have opened to us: their preface, their ticks, their graceful end.
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner } from '../http/connection.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import type { Duplex } from '../http/transport.ts';
import { Connection } from './connection.ts';

/** A connection ends so long before its peer's certificate does, in ms, because TLS does not look at it again. */
const BEFORE_EXPIRY_MS = 5000;
/** How long its calls may go on then. */
const EXPIRY_DRAIN_MS = 4000;
/** We do not ping clients: the kernel's keepalive or the next write notices that a peer is gone. */
const NO_PING_TIMEOUT_MS = Number.POSITIVE_INFINITY;

export class DownstreamConnections {
  private readonly open = new Map<Connection, number>();
  private readonly clock: Clock;
  private readonly wallClock: () => number;

  /** @param wallClock Unix time in ms, for certificates */
  constructor(clock: Clock, wallClock: () => number) {
    this.clock = clock;
    this.wallClock = wallClock;
  }

  get size(): number {
    return this.open.size;
  }

  /**
   * Serves HTTP/2 with prior knowledge on a connection.
   * @param first octets already read: the preface or a beginning of it, and what follows
   * @param peerNotAfterMs end of the peer's certificate, Unix ms; infinite for plaintext
   */
  serve(stream: Duplex, first: Buffer, owner: ConnectionOwner, maxPeerStreams: number, peerNotAfterMs: number): Connection {
    const connection = new Connection(stream, owner, this.clock, { client: false, maxPeerStreams });
    this.open.set(connection, peerNotAfterMs);
    let matched = 0;
    stream.onBytes = (buf, length) => {
      let pos = 0;
      while (matched < HTTP2_PREFACE.length && pos < length) {
        if (buf[pos++] !== HTTP2_PREFACE[matched++]) return connection.destroy('no HTTP/2 preface');
      }
      if (matched < HTTP2_PREFACE.length) return;
      stream.onBytes = (more, octets) => connection.receive(more, 0, octets);
      if (pos < length) connection.receive(buf, pos, length);
    };
    stream.onEnd = () => connection.transportClosed('closed by the peer');
    stream.onClosed = (reason) => {
      this.open.delete(connection);
      connection.transportClosed(reason);
    };
    if (first.length > 0) stream.onBytes(first, first.length);
    return connection;
  }

  /** About once a second. */
  tick(nowMs: number): void {
    const wallMs = this.wallClock();
    for (const [connection, notAfterMs] of this.open) {
      if (wallMs > notAfterMs - BEFORE_EXPIRY_MS) connection.drain(nowMs + EXPIRY_DRAIN_MS);
      connection.tick(nowMs, NO_PING_TIMEOUT_MS);
      if (connection.closed) this.open.delete(connection);
    }
  }

  drain(deadlineMs: number): void {
    for (const connection of this.open.keys()) connection.drain(deadlineMs);
  }

  destroy(): void {
    for (const connection of [...this.open.keys()]) connection.destroy('the sidecar stops');
  }
}
