// The connections of this sidecar to one endpoint: of HTTP/2 usually one, and more when none can open a stream; of
// HTTP/1.1 as many as there are calls at a time.
// A connection that drains is no capacity: it stays until its last stream ends and stands in nobody's way.

import type { EndpointState } from '../balance/endpoint-state.ts';
import { settleTraffic } from '../balance/load.ts';
import type { Clock } from '../http/clock.ts';
import type { ClientCodec, ConnectionOwner, MessageConnection } from '../http/connection.ts';
import { MAX_CONNECTION_BUFFER } from '../http/limits.ts';
import type { StreamHandler } from '../http/stream.ts';
import type { Duplex } from '../http/transport.ts';
import { CONNECT_FAILED, CONNECT_TIMEOUT, ENDPOINT_FULL, type ProxyError } from './errors.ts';
import { Pings } from './ping.ts';
import { MAX_WAITERS_PER_ENDPOINT, type Waiter, Waiters } from './waiters.ts';

/** So many connections that take new streams may one endpoint have: 6,400 streams where it allows 100 on each. */
export const MAX_CONNECTIONS_PER_ENDPOINT = 64;
/** The same of HTTP/1.1, where a connection has one call at a time. */
export const MAX_HTTP1_CONNECTIONS_PER_ENDPOINT = 1024;
/** Beside them so many may drain, each with at least one stream of its own. */
export const MAX_DRAINING_PER_ENDPOINT = 1024;
/** Dials under way at once to an endpoint; and never more than it has connections, so that a weak one is not stormed. */
const MAX_DIALS_AT_ONCE = 8;
/** An endpoint that has a connection but accepts no other is dialled again after so many ms. */
const DIAL_AGAIN_MS = 1000;
/** A connection beside the first one that has no stream for so many ms is closed. */
const SPARE_IDLE_MS = 60_000;
/** A connection ends so long before its endpoint's certificate does, in ms. */
const BEFORE_EXPIRY_MS = 5000;
/** A connection whose certificate was renewed ends so long before the old one does, in ms. */
const BEFORE_OLD_ENDS_MS = 1000;

/** The collaborators of a pool: how it gets connections, and what it reports to them. */
export interface PoolDeps {
  readonly clock: Clock;
  /** Unix time in ms, for certificates. */
  readonly wallClock: () => number;
  /** Starts to dial the endpoint; calls one of the two functions later. @returns a function that gives up */
  dial(
    endpoint: EndpointState,
    onOpen: (transport: Duplex, peerNotAfterMs: number) => void,
    onError: (error: ProxyError, detail: string) => void,
  ): () => void;
  /** Speaks with an endpoint on what dial() opened. */
  readonly connect: ClientCodec;
  readonly connectHttp1: ClientCodec;
  opened(connection: MessageConnection): void;
  closed(connection: MessageConnection, reason: string): void;
  /** So many calls more, or fewer, wait for a connection now. */
  waiting(change: number): void;
}

/** What the pool keeps of a connection. */
interface Upkeep {
  /** End of the endpoint's certificate, Unix ms. */
  readonly notAfterMs: number;
  /** Monotonic ms of the latest tick that saw a stream on it. */
  busyAtMs: number;
}

export class EndpointPool implements ConnectionOwner {
  private readonly endpoint: EndpointState;
  private readonly deps: PoolDeps;
  private readonly connect: ClientCodec;
  /** So many connections it may have. */
  private readonly most: number;
  /** Those that take streams or will. One that drains without our doing is found by sortOut(). */
  private readonly open: MessageConnection[] = [];
  /** Those that take no more, until they are gone. */
  private readonly leaving = new Set<MessageConnection>();
  private readonly upkeep = new Map<MessageConnection, Upkeep>();
  private readonly waiters: Waiters;
  private readonly pings: Pings;
  /** Functions that give up a dial, of those under way. */
  private readonly dials = new Set<{ giveUp: () => void }>();
  private closing = false;
  private dialAgainAtMs = 0;

  constructor(endpoint: EndpointState, deps: PoolDeps, isHttp1: boolean) {
    this.endpoint = endpoint;
    this.deps = deps;
    this.connect = isHttp1 ? deps.connectHttp1 : deps.connect;
    this.most = isHttp1 ? MAX_HTTP1_CONNECTIONS_PER_ENDPOINT : MAX_CONNECTIONS_PER_ENDPOINT;
    this.pings = new Pings(endpoint.identity !== '');
    this.waiters = new Waiters((change) => deps.waiting(change));
  }

  /** @returns a connection with room for a stream now, or null: then wait() */
  acquire(): MessageConnection | null {
    const { open } = this;
    for (let i = 0; i < open.length; i++) {
      const connection = open[i];
      // One that holds much for slow readers would let new calls wait behind them.
      if (connection.canOpen && connection.held <= MAX_CONNECTION_BUFFER / 2) return connection;
    }
    if (open.length < this.most) return null;
    for (const connection of open) if (connection.canOpen) return connection;
    return null;
  }

  /** No connection has room, and none is on its way or may be dialled now: a call does better elsewhere. */
  get full(): boolean {
    return this.waiters.full || (this.opening() === 0 && !this.mayDial());
  }

  /** Queues a call until a connection has room, and dials if that may help. */
  wait(waiter: Waiter): void {
    if (this.closing) return waiter.onNoConnection(CONNECT_FAILED, `${this.endpoint.key} has left`);
    if (this.waiters.full)
      return waiter.onNoConnection(
        ENDPOINT_FULL,
        `${this.endpoint.key}: MAX_WAITERS_PER_ENDPOINT (${MAX_WAITERS_PER_ENDPOINT}) calls wait`,
      );
    this.waiters.add(waiter, this.deps.clock.nowMs);
    this.dialIfUseful();
  }

  cancel(waiter: Waiter): void {
    this.waiters.cancel(waiter);
  }

  /** The endpoint has left: what runs may end, nothing new begins. */
  drain(deadlineMs: number): void {
    this.closing = true;
    for (const { giveUp } of this.dials) giveUp();
    this.dials.clear();
    for (const connection of [...this.open, ...this.leaving]) connection.drain(deadlineMs);
    this.waiters.failAll(CONNECT_FAILED, `${this.endpoint.key} has left`);
  }

  /**
   * This sidecar's certificate was renewed, or its roots: new calls go to new connections, and those made with the old
   * one may end before it does. @param ownNotAfterMs end of the old certificate, Unix ms
   */
  renewed(ownNotAfterMs: number): void {
    if (this.endpoint.identity === '') return;
    const { nowMs } = this.deps.clock;
    const wallMs = this.deps.wallClock();
    for (const connection of [...this.open, ...this.leaving]) {
      const notAfterMs = Math.min(this.upkeep.get(connection)!.notAfterMs, ownNotAfterMs);
      connection.drain(nowMs + Math.max(0, notAfterMs - BEFORE_OLD_ENDS_MS - wallMs));
    }
  }

  /** About once a second. */
  tick(nowMs: number): void {
    settleTraffic(this.endpoint, nowMs);
    const wallMs = this.deps.wallClock();
    const pingTimeoutMs = this.pings.timeoutMs(nowMs);
    for (const connection of [...this.open, ...this.leaving]) {
      const upkeep = this.upkeep.get(connection)!;
      // TLS does not check a certificate again: the connection ends before the certificate does.
      if (wallMs > upkeep.notAfterMs - BEFORE_EXPIRY_MS) connection.drain(nowMs + BEFORE_EXPIRY_MS);
      if (connection.openStreams > 0 || connection === this.open[0]) upkeep.busyAtMs = nowMs;
      else if (nowMs - upkeep.busyAtMs > SPARE_IDLE_MS) connection.drain(nowMs + SPARE_IDLE_MS);
      this.pings.tick(connection, nowMs);
      connection.tick(nowMs, pingTimeoutMs);
    }
    this.sortOut();
    this.expireWaiters(nowMs);
    this.dialIfUseful();
  }

  /** No connections are left. */
  get empty(): boolean {
    return this.open.length === 0 && this.leaving.size === 0;
  }

  // === ConnectionOwner

  onRequest(): StreamHandler {
    throw new Error('a client connection has no requests'); // the receiver never asks: HEADERS on new streams are errors there
  }

  onRefused(): void {} // likewise

  onCapacity(connection: MessageConnection): void {
    if (this.waiters.length === 0) return;
    this.waiters.serve(connection);
    this.dialIfUseful();
  }

  onClosed(connection: MessageConnection, reason: string): void {
    const at = this.open.indexOf(connection);
    if (at >= 0) this.open.splice(at, 1);
    this.leaving.delete(connection);
    this.upkeep.delete(connection);
    this.pings.closed(reason);
    this.deps.closed(connection, reason);
    if (this.waiters.length > 0) {
      // If it served no call, the next one would not either.
      if (connection.used) this.dialIfUseful();
      else this.dialFailed(CONNECT_FAILED, `${this.endpoint.key}: ${reason} before the first call`);
    }
  }

  /** There is one new connection less; the waiters may still get room on one that is there or on its way. */
  private dialFailed(error: ProxyError, detail: string): void {
    if (this.reached()) {
      this.dialAgainAtMs = this.deps.clock.nowMs + DIAL_AGAIN_MS;
      for (const connection of [...this.open]) this.waiters.serve(connection); // one that was left out because it holds much
    } else if (this.opening() === 0) this.waiters.failAll(error, detail);
  }

  /** A connection is there that serves calls, if perhaps no more of them. */
  private reached(): boolean {
    for (const connection of this.open) if (connection.ready && !connection.draining && !connection.stopped) return true;
    return false;
  }

  /** Connections on their way: dials, and those whose SETTINGS are still to come. */
  private opening(): number {
    let count = this.dials.size;
    for (const connection of this.open) if (!connection.ready && !connection.stopped) count++;
    return count;
  }

  private mayDial(): boolean {
    if (this.closing || this.leaving.size >= MAX_DRAINING_PER_ENDPOINT) return false;
    this.sortOut();
    if (this.open.length + this.dials.size >= this.most) return false;
    // One that was never used and has no room: the endpoint allows no streams now, and would not on another either.
    for (const connection of this.open) if (connection.ready && !connection.used && !connection.canOpen) return false;
    return this.deps.clock.nowMs >= this.dialAgainAtMs || !this.reached();
  }

  private dialIfUseful(): void {
    if (this.waiters.length === 0) return;
    // Each new connection is expected to take as many streams as the fullest one has.
    let streams = 1;
    for (const connection of this.open) streams = Math.max(streams, connection.openStreams);
    const wanted = Math.min(Math.ceil(this.waiters.length / streams), Math.max(1, this.open.length), MAX_DIALS_AT_ONCE);
    for (let opening = this.opening(); opening < wanted && this.mayDial(); opening++) this.dial();
  }

  private dial(): void {
    const dial = { giveUp: () => {} };
    this.dials.add(dial);
    dial.giveUp = this.deps.dial(
      this.endpoint,
      (transport, peerNotAfterMs) => {
        this.dials.delete(dial);
        this.onOpen(transport, peerNotAfterMs);
      },
      (error, detail) => {
        this.dials.delete(dial);
        this.dialFailed(error, detail);
      },
    );
  }

  private onOpen(transport: Duplex, peerNotAfterMs: number): void {
    const { nowMs } = this.deps.clock;
    const connection = this.connect(transport, this, this.deps.clock, this.endpoint);
    this.open.push(connection);
    this.upkeep.set(connection, { notAfterMs: peerNotAfterMs, busyAtMs: nowMs });
    this.deps.opened(connection);
    transport.start();
    if (this.closing) connection.drain(nowMs);
    // Not every protocol has a word of the endpoint to wait for.
    else if (connection.canOpen) this.onCapacity(connection);
  }

  /** Sets apart those that take no more streams. */
  private sortOut(): void {
    const { open } = this;
    let kept = 0;
    for (let i = 0; i < open.length; i++) {
      if (open[i].draining || open[i].stopped) this.leaving.add(open[i]);
      else open[kept++] = open[i];
    }
    open.length = kept;
  }

  private expireWaiters(nowMs: number): void {
    for (let waiter = this.waiters.expired(nowMs); waiter !== null; waiter = this.waiters.expired(nowMs)) {
      if (this.reached()) waiter.onNoConnection(ENDPOINT_FULL, this.whyFull());
      else waiter.onNoConnection(CONNECT_TIMEOUT, `${this.endpoint.key}: no connection that takes calls within MAX_WAIT_MS`);
    }
  }

  private whyFull(): string {
    const { key } = this.endpoint;
    if (this.leaving.size >= MAX_DRAINING_PER_ENDPOINT)
      return `${key}: MAX_DRAINING_PER_ENDPOINT (${MAX_DRAINING_PER_ENDPOINT}) connections drain`;
    if (this.open.length >= this.most) {
      const name = this.most === MAX_CONNECTIONS_PER_ENDPOINT ? 'MAX_CONNECTIONS_PER_ENDPOINT' : 'MAX_HTTP1_CONNECTIONS_PER_ENDPOINT';
      return `${key}: ${name} (${this.most}) have no stream left`;
    }
    return `${key} allows no more streams and no more connections (MAX_WAIT_MS)`;
  }
}
