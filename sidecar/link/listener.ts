// A listening address: each connection is looked at until its protocol is known, then handed to its handler.
import net from 'node:net';
import type { Clock } from '../http/clock.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import { ByteStream, KEEPALIVE_MS } from './byte-stream.ts';
import { type Detected, detect } from './detect.ts';

/**
 * Why a connection is served as it is. Of the two that were not detected, `timeout` sent nothing, and `assumed` was not
 * looked at.
 */
export type DetectionOutcome = Exclude<Detected, 'more'> | 'timeout' | 'assumed';

/** Serves a connection once its protocol is known. `first` holds all octets read so far; the stream goes on reading. */
export interface ConnectionHandler {
  /** It is called before anything is read; the connection waits until ready() is called. */
  onAccept(stream: ByteStream, ready: () => void): void;
  /** A protocol that needs no look: 'tcp' passes the octets on at once, null asks to detect. */
  assumed(): 'tcp' | null;
  /** It is called before onProtocol(), for counters. */
  detected?(outcome: DetectionOutcome): void;
  onProtocol(stream: ByteStream, protocol: Exclude<Detected, 'more'>, first: Buffer): void;
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

  constructor(at: ListenerAddress, handler: ConnectionHandler | HandlerOf, clock: Clock) {
    this.at = at;
    this.handlerOf = typeof handler === 'function' ? handler : () => handler;
    this.clock = clock;
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
    if (handler.assumed() === 'tcp') {
      handler.detected?.('assumed');
      handler.onProtocol(stream, 'tcp', Buffer.alloc(0));
      stream.start();
      return;
    }
    let first: Buffer | null = null;
    const settle = (protocol: Exclude<Detected, 'more'>, octets: Buffer, outcome: DetectionOutcome = protocol): void => {
      clearTimeout(timer);
      stream.onClosed = () => {};
      stream.onEnd = () => {};
      handler.detected?.(outcome);
      handler.onProtocol(stream, protocol, octets);
    };
    // Silence means that the server speaks first, as MySQL and SMTP servers do: the octets are passed as TCP.
    const timer = setTimeout(() => settle('tcp', first ?? Buffer.alloc(0), 'timeout'), HANDSHAKE_TIMEOUT_MS);
    stream.onClosed = () => clearTimeout(timer);
    stream.onEnd = () => settle('tcp', first ?? Buffer.alloc(0));
    stream.onBytes = (buf, length) => {
      const octets = first === null ? buf.subarray(0, length) : Buffer.concat([first, buf.subarray(0, length)]);
      const protocol = detect(octets);
      if (protocol === 'more') first = Buffer.from(octets);
      else settle(protocol, Buffer.from(octets));
    };
    stream.start();
  }
}
