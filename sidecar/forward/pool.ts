// The HTTP/2 connections of this sidecar to one endpoint: usually one, more when it is out of streams or clogged.

import type { EndpointState } from '../balance/endpoint-state.ts';
import type { Clock } from '../http/clock.ts';
import type { ClientCodec, ConnectionOwner, MessageConnection } from '../http/connection.ts';
import { MAX_CONNECTION_BUFFER } from '../http/limits.ts';
import type { StreamHandler } from '../http/stream.ts';
import type { Duplex } from '../http/transport.ts';
import { CONNECT_FAILED, type ProxyError } from './errors.ts';

const MAX_CONNECTIONS_PER_ENDPOINT = 8;
/** An endpoint that has a connection but accepts no other is dialled again after so many ms. */
const DIAL_AGAIN_MS = 1000;
/** A connection ends so long before its endpoint's certificate does, in ms. */
const BEFORE_EXPIRY_MS = 5000;
/** A connection whose certificate was renewed ends so long before the old one does, in ms. */
const BEFORE_OLD_ENDS_MS = 1000;

/** A call that waits for a connection. One of the two functions is called once, unless the call cancels. */
export interface Waiter {
  onConnection(connection: MessageConnection): void;
  onNoConnection(error: ProxyError, detail: string): void;
}

/** The collaborators of a pool: how it gets connections, and what it reports them to. */
export interface PoolDeps {
  readonly clock: Clock;
  /** Unix time in ms, for certificates. */
  readonly wallClock: () => number;
  /** Starts to dial the endpoint. @returns a function that gives up */
  dial(
    endpoint: EndpointState,
    onOpen: (transport: Duplex, peerNotAfterMs: number) => void,
    onError: (error: ProxyError, detail: string) => void,
  ): () => void;
  /** Speaks with an endpoint on what dial() opened. */
  readonly connect: ClientCodec;
  opened(connection: MessageConnection): void;
  closed(connection: MessageConnection, reason: string): void;
}

export class EndpointPool implements ConnectionOwner {
  private readonly endpoint: EndpointState;
  private readonly deps: PoolDeps;
  private readonly connections: MessageConnection[] = [];
  private readonly notAfterMs = new Map<MessageConnection, number>();
  private waiters: Waiter[] = [];
  private giveUp: (() => void) | null = null;
  private closing = false;
  private dialAgainAtMs = 0;

  constructor(endpoint: EndpointState, deps: PoolDeps) {
    this.endpoint = endpoint;
    this.deps = deps;
  }

  /** @returns a connection with room for a stream now, or null: then wait() */
  acquire(): MessageConnection | null {
    const { connections } = this;
    for (let i = 0; i < connections.length; i++) {
      const connection = connections[i];
      // One that holds much for slow readers would let new calls wait behind them.
      if (connection.canOpen && connection.held <= MAX_CONNECTION_BUFFER / 2) return connection;
    }
    if (connections.length < MAX_CONNECTIONS_PER_ENDPOINT) return null;
    for (const connection of connections) if (connection.canOpen) return connection;
    return null;
  }

  /** Queues a call until a connection has room, and dials if that may help. */
  wait(waiter: Waiter): void {
    if (this.closing) return waiter.onNoConnection(CONNECT_FAILED, `${this.endpoint.key} has left`);
    this.waiters.push(waiter);
    this.dialIfUseful();
  }

  cancel(waiter: Waiter): void {
    const at = this.waiters.indexOf(waiter);
    if (at >= 0) this.waiters.splice(at, 1);
  }

  /** The endpoint has left: what runs may end, nothing new begins. */
  drain(deadlineMs: number): void {
    this.closing = true;
    this.giveUp?.();
    this.giveUp = null;
    for (const connection of [...this.connections]) connection.drain(deadlineMs);
    this.failWaiters(CONNECT_FAILED, `${this.endpoint.key} has left`);
  }

  /**
   * This sidecar's certificate was renewed, or its roots: new calls go to new connections, and those made with the old
   * one may end before it does. @param ownNotAfterMs end of the old certificate, Unix ms
   */
  renewed(ownNotAfterMs: number): void {
    if (this.endpoint.identity === '') return;
    const { nowMs } = this.deps.clock;
    const wallMs = this.deps.wallClock();
    for (const connection of [...this.connections]) {
      const notAfterMs = Math.min(this.notAfterMs.get(connection)!, ownNotAfterMs);
      connection.drain(nowMs + Math.max(0, notAfterMs - BEFORE_OLD_ENDS_MS - wallMs));
    }
  }

  tick(nowMs: number, pingAfterMs: number, pingTimeoutMs: number): void {
    const wallMs = this.deps.wallClock();
    for (const connection of [...this.connections]) {
      // TLS does not check a certificate again: the connection ends before the certificate does.
      if (wallMs > this.notAfterMs.get(connection)! - BEFORE_EXPIRY_MS) connection.drain(nowMs + BEFORE_EXPIRY_MS);
      if (this.endpoint.identity !== '' && connection.idleMs(nowMs) > pingAfterMs) connection.ping(nowMs);
      connection.tick(nowMs, pingTimeoutMs);
    }
    if (this.waiters.length > 0) this.dialIfUseful();
  }

  /** No connections are left. */
  get empty(): boolean {
    return this.connections.length === 0;
  }

  // === ConnectionOwner

  onRequest(): StreamHandler {
    throw new Error('a client connection has no requests'); // the receiver never asks: HEADERS on new streams are errors there
  }

  onRefused(): void {} // likewise

  onCapacity(connection: MessageConnection): void {
    while (this.waiters.length > 0 && connection.canOpen) this.waiters.shift()!.onConnection(connection);
    if (this.waiters.length > 0) this.dialIfUseful();
  }

  onClosed(connection: MessageConnection, reason: string): void {
    const at = this.connections.indexOf(connection);
    if (at >= 0) this.connections.splice(at, 1);
    this.notAfterMs.delete(connection);
    this.deps.closed(connection, reason);
    if (this.waiters.length > 0) {
      // If it served no call, the next one would not either.
      if (connection.used) this.dialIfUseful();
      else this.dialFailed(CONNECT_FAILED, `${this.endpoint.key}: ${reason} before the first call`);
    }
  }

  /** There is no new connection; the waiters may still get room on one that is there. */
  private dialFailed(error: ProxyError, detail: string): void {
    if (this.hasLivingConnection()) this.dialAgainAtMs = this.deps.clock.nowMs + DIAL_AGAIN_MS;
    else this.failWaiters(error, detail);
  }

  private hasLivingConnection(): boolean {
    for (const connection of this.connections) if (connection.ready && !connection.draining && !connection.stopped) return true;
    return false;
  }

  private failWaiters(error: ProxyError, detail: string): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter.onNoConnection(error, detail);
  }

  private dialIfUseful(): void {
    if (this.giveUp !== null || this.closing) return;
    // A connection whose SETTINGS are still to come will serve the waiters.
    for (const connection of this.connections) if (!connection.ready && !connection.stopped) return;
    if (this.connections.length >= MAX_CONNECTIONS_PER_ENDPOINT) return;
    if (this.deps.clock.nowMs < this.dialAgainAtMs && this.hasLivingConnection()) return;
    this.giveUp = this.deps.dial(
      this.endpoint,
      (transport, peerNotAfterMs) => this.onOpen(transport, peerNotAfterMs),
      (error, detail) => {
        this.giveUp = null;
        this.dialFailed(error, detail);
      },
    );
  }

  private onOpen(transport: Duplex, peerNotAfterMs: number): void {
    this.giveUp = null;
    const connection = this.deps.connect(transport, this, this.deps.clock, this.endpoint);
    this.connections.push(connection);
    this.notAfterMs.set(connection, peerNotAfterMs);
    this.deps.opened(connection);
    transport.start();
    if (this.closing) connection.drain(this.deps.clock.nowMs);
  }
}
