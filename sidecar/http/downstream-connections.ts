// The connections that clients have opened to us, whatever they speak: how many there may be, their ticks, their graceful
// end.
import type { Buffers } from './buffers.ts';
import type { Clock } from './clock.ts';
import type { ConnectionOwner, ServedConnection, ServerCodec } from './connection.ts';
import { MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PEER, STALL_TIMEOUT_MS } from './limits.ts';
import { type ConnectionPeer, OWN_APPLICATION } from './peer.ts';
import type { Duplex } from './transport.ts';

/** How each protocol is served. */
export interface ServerCodecs {
  readonly http1: ServerCodec;
  /** With prior knowledge (RFC 9113 §3.3). */
  readonly http2: ServerCodec;
}

/** A connection ends so long before its peer's certificate does, in ms, because TLS does not look at it again. */
const BEFORE_EXPIRY_MS = 5000;
/** How long its calls may go on then. */
const EXPIRY_DRAIN_MS = 4000;
/** A connection whose certificate was renewed ends so long before the old one does, in ms. */
const BEFORE_OLD_ENDS_MS = 1000;

export class DownstreamConnections {
  private readonly open = new Map<ServedConnection, ConnectionPeer>();
  /** Open connections by their peer's key. */
  private readonly counts = new Map<string, number>();
  /** Dismissed connections, until their sockets are gone. */
  private readonly leaving = new Set<ServedConnection>();
  private readonly buffers: Buffers;
  private readonly clock: Clock;
  private readonly wallClock: () => number;
  private readonly codecs: ServerCodecs;

  /**
   * @param wallClock Unix time in ms, for certificates
   * @param buffers the account of all connections of the sidecar
   */
  constructor(clock: Clock, wallClock: () => number, buffers: Buffers, codecs: ServerCodecs) {
    this.buffers = buffers;
    this.clock = clock;
    this.wallClock = wallClock;
    this.codecs = codecs;
  }

  get size(): number {
    return this.open.size;
  }

  /**
   * Serves a connection.
   * @param first octets already read: for HTTP/2 its preface or a beginning of it
   */
  serve(protocol: keyof ServerCodecs, stream: Duplex, first: Buffer, owner: ConnectionOwner, peer: ConnectionPeer): ServedConnection {
    const connection = this.codecs[protocol](stream, owner, this.clock, peer, this.buffers);
    this.open.set(connection, peer);
    this.counts.set(peer.key, (this.counts.get(peer.key) ?? 0) + 1);
    if (!this.makeRoom(peer.key)) connection.turnAway('too many connections');
    const { onClosed } = stream;
    stream.onClosed = (reason) => {
      this.forget(connection);
      onClosed(reason);
    };
    if (first.length > 0) stream.onBytes(first, first.length);
    return connection;
  }

  /** About once a second. */
  tick(nowMs: number): void {
    const wallMs = this.wallClock();
    for (const [connection, { notAfterMs }] of this.open) {
      if (wallMs > notAfterMs - BEFORE_EXPIRY_MS) connection.drain(nowMs + EXPIRY_DRAIN_MS);
      connection.tick(nowMs, STALL_TIMEOUT_MS); // clients are pinged only for L6
      if (connection.closed) this.forget(connection);
    }
    for (const connection of this.leaving) {
      connection.tick(nowMs, STALL_TIMEOUT_MS);
      if (connection.closed) this.leaving.delete(connection);
    }
  }

  /**
   * This sidecar's certificate was renewed, or its roots: the connections made with the old one end, at the latest
   * before it does. @param ownNotAfterMs end of the old certificate, Unix ms
   */
  renewed(ownNotAfterMs: number): void {
    const { nowMs } = this.clock;
    const wallMs = this.wallClock();
    for (const [connection, { notAfterMs }] of this.open) {
      if (notAfterMs !== Number.POSITIVE_INFINITY)
        connection.drain(nowMs + Math.max(0, Math.min(notAfterMs, ownNotAfterMs) - BEFORE_OLD_ENDS_MS - wallMs));
    }
  }

  drain(deadlineMs: number): void {
    for (const connection of this.open.keys()) connection.drain(deadlineMs);
  }

  destroy(): void {
    for (const connection of [...this.open.keys(), ...this.leaving]) connection.destroy('the sidecar stops');
  }

  private forget(connection: ServedConnection): void {
    const peer = this.open.get(connection);
    if (peer === undefined) return;
    this.open.delete(connection);
    const left = this.counts.get(peer.key)! - 1;
    if (left === 0) this.counts.delete(peer.key);
    else this.counts.set(peer.key, left);
  }

  /** Closes an idle connection if there are too many. @returns false when none is idle: the newest one is too many */
  private makeRoom(key: string): boolean {
    if (this.open.size > MAX_CONNECTIONS) return this.dismissIdlest(this.greediest());
    if (key === OWN_APPLICATION.key || this.counts.get(key)! <= MAX_CONNECTIONS_PER_PEER) return true;
    return this.dismissIdlest(key);
  }

  private greediest(): string {
    let most = 0;
    let greediest = '';
    for (const [key, count] of this.counts) {
      if (count <= most) continue;
      most = count;
      greediest = key;
    }
    return greediest;
  }

  private dismissIdlest(key: string): boolean {
    let idlest: ServedConnection | null = null;
    let newest: ServedConnection | null = null;
    for (const [connection, peer] of this.open) {
      newest = connection;
      if (peer.key !== key || connection.openStreams > 0 || connection.stopped) continue;
      if (idlest === null || connection.idleSinceMs < idlest.idleSinceMs) idlest = connection;
    }
    if (idlest === null || idlest === newest) return false;
    this.forget(idlest); // it is served no more, and its socket is gone soon
    this.leaving.add(idlest);
    idlest.dismiss('too many connections');
    return true;
  }
}
