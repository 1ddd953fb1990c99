// A listening address: each connection is looked at until its protocol is known, then handed to its handler.
import net from 'node:net';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import type { Clock } from '../http/clock.ts';
import { DETECTION_MS, HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import { ByteStream, KEEPALIVE_MS } from './byte-stream.ts';
import { Look } from './look.ts';

/** What a connection speaks: 'tcp' is all else; 'silent': nothing was sent, so that the server may be to speak first. */
export type Spoken = 'tls' | 'http1' | 'http2' | 'tcp' | 'silent';

/**
 * Why a connection is served as it is. Of the two that were not detected, `timeout` sent nothing, and `assumed` was not
 * looked at; `refused` did not become the HTTP/2 that it began as.
 */
export type DetectionOutcome = Exclude<Spoken, 'silent'> | 'timeout' | 'assumed' | 'refused';

/** Serves a connection once its protocol is known. `first` holds all octets read so far; the stream goes on reading. */
export interface ConnectionHandler {
  /** It is called before anything is read; the connection waits until ready() is called. */
  onAccept(stream: ByteStream, ready: () => void): void;
  /**
   * What is known of its protocol: 'tcp' passes the octets on at once, without a look; 'http2' gives the preface
   * HANDSHAKE_TIMEOUT_MS instead of DETECTION_MS; null asks to detect.
   */
  assumed(): 'tcp' | 'http2' | null;
  /** It is called before onProtocol(), for counters. */
  detected?(outcome: DetectionOutcome): void;
  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void;
  /**
   * The octets began as the HTTP/2 preface and did not become it: closes the connection. Absent: it is just closed.
   * @param reason for people
   */
  onRefused?(stream: ByteStream, reason: string): void;
}

/**
 * The handler of an accepted connection, where that depends on its original destination; null closes the connection.
 */
export type HandlerOf = (socket: net.Socket) => ConnectionHandler | null;

export interface ListenerAddress {
  readonly address: string;
  readonly port: number;
}

export class Listener {
  private readonly server: net.Server;
  private readonly at: ListenerAddress;
  private readonly handlerOf: HandlerOf;
  private readonly clock: Clock;
  private readonly timers: Timers;

  /** @param timers of the detection */
  constructor(at: ListenerAddress, handler: ConnectionHandler | HandlerOf, clock: Clock, timers: Timers = systemTimers) {
    this.at = at;
    this.handlerOf = typeof handler === 'function' ? handler : () => handler;
    this.clock = clock;
    this.timers = timers;
    this.server = net.createServer(
      { pauseOnConnect: true, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS },
      (socket) => this.accept(socket),
    );
  }

  /** Resolves when the address is bound. @throws the system's error (EADDRINUSE, EADDRNOTAVAIL, …) */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen({ host: this.at.address, port: this.at.port, backlog: 1024 }, () => {
        this.server.removeListener('error', reject);
        // Later errors are of single accepts (EMFILE): the listener goes on.
        this.server.on('error', () => {});
        resolve();
      });
    });
  }

  /** The port, also where 0 was asked for. */
  get port(): number {
    return (this.server.address() as net.AddressInfo).port;
  }

  /** Takes no new connections; those that are open stay. */
  close(): void {
    this.server.close();
  }

  private accept(socket: net.Socket): void {
    this.clock.update();
    const handler = this.handlerOf(socket);
    if (handler === null) return void socket.destroy();
    const stream = new ByteStream(socket, this.clock);
    handler.onAccept(stream, () => {
      if (!socket.destroyed) this.classify(stream, handler);
    });
  }

  private classify(stream: ByteStream, handler: ConnectionHandler): void {
    const assumed = handler.assumed();
    if (assumed === 'tcp') {
      handler.detected?.('assumed');
      handler.onProtocol(stream, 'tcp', Buffer.alloc(0));
      stream.start();
      return;
    }
    const waitMs = assumed === 'http2' ? HANDSHAKE_TIMEOUT_MS : DETECTION_MS;
    const release = (outcome: DetectionOutcome): void => {
      cancelSilence();
      look.stop();
      stream.onClosed = () => {};
      stream.onEnd = () => {};
      handler.detected?.(outcome);
    };
    const look = new Look(this.timers, waitMs, {
      found: (protocol, first) => {
        release(protocol);
        handler.onProtocol(stream, protocol, first);
      },
      refused: (reason) => {
        release('refused');
        if (handler.onRefused === undefined) stream.destroy();
        else handler.onRefused(stream, reason);
      },
    });
    // Silence means that the server may speak first, as MySQL and SMTP servers do.
    const cancelSilence = this.timers.after(waitMs, () => {
      release('timeout');
      handler.onProtocol(stream, 'silent', Buffer.alloc(0));
    });
    stream.onClosed = () => {
      cancelSilence();
      look.stop();
    };
    stream.onEnd = () => look.end();
    stream.onBytes = (buf, length) => {
      cancelSilence();
      look.take(buf, length);
    };
    stream.start();
  }
}
