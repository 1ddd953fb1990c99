// The HTTP/2 connections that peers have opened to us: their preface, their ticks, their graceful end.
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner } from '../http/connection.ts';
import { STALL_TIMEOUT_MS } from '../http/limits.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import type { Duplex } from '../http/transport.ts';
import type { Buffers } from './buffers.ts';
import { Connection } from './connection.ts';
import type { Peer } from './peer.ts';

/** A connection ends so long before its peer's certificate does, in ms, because TLS does not look at it again. */
const BEFORE_EXPIRY_MS = 5000;
/** How long its calls may go on then. */
const EXPIRY_DRAIN_MS = 4000;

export class DownstreamConnections {
  private readonly open = new Map<Connection, number>();
  private readonly buffers: Buffers;
  private readonly clock: Clock;
  private readonly wallClock: () => number;

  /**
   * @param wallClock Unix time in ms, for certificates
   * @param buffers the account of all connections of the sidecar
   */
  constructor(clock: Clock, wallClock: () => number, buffers: Buffers) {
    this.buffers = buffers;
    this.clock = clock;
    this.wallClock = wallClock;
  }

  get size(): number {
    return this.open.size;
  }

  /**
   * Serves HTTP/2 with prior knowledge on a connection.
   * @param first octets already read: the preface or a beginning of it, and what follows
   */
  serve(stream: Duplex, first: Buffer, owner: ConnectionOwner, peer: Peer): Connection {
    const connection = new Connection(stream, owner, this.clock, {
      client: false,
      trusted: peer.trusted,
      maxPeerStreams: peer.maxStreams,
      peer: peer.key,
      buffers: this.buffers,
    });
    this.open.set(connection, peer.notAfterMs);
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
      connection.tick(nowMs, STALL_TIMEOUT_MS); // clients are pinged only for L6
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
