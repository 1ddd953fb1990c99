// The inbound side: what others send to the application in this pod, over mTLS from sidecars and, unless STRICT, in plaintext from anyone.
import { type InboundPort, MtlsMode, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ALPN_TCP } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { DownstreamOwner } from '../forward/downstream.ts';
import type { ExchangeDeps } from '../forward/exchange-deps.ts';
import type { Connection } from '../http2/connection.ts';
import { MAX_STREAMS_MESH_PEER, MAX_STREAMS_PLAINTEXT_PEER } from '../http2/limits.ts';
import type { DownstreamConnections } from '../http2/server.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import { type ClientCredentials, dial } from '../link/dial.ts';
import type { ConnectionHandler, DetectionOutcome } from '../link/listener.ts';
import { ListenerSet } from '../link/listener-set.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import { acceptTls, type ServerCredentials, type TlsPeer } from '../link/tls.ts';
import { newServicePortRef } from '../outbound/outbound.ts';
import { plainPort } from '../route/compile/compile.ts';
import type { CompiledPort, HeaderEdit, ServicePortRef } from '../route/records.ts';
import type { TcpObserver } from '../tcp/observer.ts';
import { relay } from '../tcp/relay.ts';

/** Who we say the caller is; only the name below may carry it, in any spelling an application might read (T22, T56). */
const IDENTITY_HEADER = 'x-forwarded-client-cert';
const SPOOFABLE = IDENTITY_HEADER.split('-').reduce<string[]>(
  (names, part) => (names.length === 0 ? [part] : names.flatMap((name) => [`${name}-${part}`, `${name}_${part}`])),
  [],
);

export interface InboundContext {
  /** The context whose counters belong to a caller: its SPIFFE id, or '' for plaintext. */
  proxyFor(caller: string): ExchangeDeps;
  readonly credentials: ServerCredentials & ClientCredentials;
  readonly connections: DownstreamConnections;
  readonly log: Logger;
  readonly wallClock: () => number;
  /** What the pod is called in counters: namespace and name. */
  workload(): { namespace: string; name: string };
  mtls(): MtlsMode;
  tlsRefused(reason: string, ref: ServicePortRef): void;
  readonly tcp: TcpObserver;
  detected(outcome: DetectionOutcome): void;
  /** An HTTP/2 connection of a client ended. */
  closed(reason: string): void;
  /** Nobody looks into what is sent to this port. */
  isOpaque(port: number): boolean;
}

/** A port of the application: where it is, and what it speaks. */
interface AppPort {
  readonly port: number;
  readonly appAddress: string;
  readonly protocol: Protocol;
}

/** Ports whose records are kept though nobody is connected to them: a scan of all ports must not cost a record each. */
export const MOST_IDLE_PORTS = 64;
/** Calls in plaintext that are under way when STRICT begins may go on for so long, in ms. */
const STRICT_DRAIN_MS = 5000;

export class Inbound {
  private readonly context: InboundContext;
  private readonly listeners: ListenerSet;
  /** Ports that redirected connections were for, by "address:port"; the one used last stands last. */
  private readonly captured = new Map<string, InboundHandler>();
  /** Connections that came in plaintext, and what ends each. */
  private readonly plaintext: Plaintext = new Map();

  constructor(context: InboundContext) {
    this.context = context;
    this.listeners = new ListenerSet(context.proxyFor('').clock);
  }

  /** STRICT holds from now on, for what is open too. */
  endPlaintext(): void {
    for (const end of this.plaintext.values()) end();
  }

  /** Who serves a connection that was redirected to us. */
  capturedHandler({ address, port }: OriginalDestination): ConnectionHandler {
    const key = `${address}:${port}`;
    let handler = this.captured.get(key);
    if (handler === undefined) {
      const protocol = this.context.isOpaque(port) ? Protocol.TCP : Protocol.UNSPECIFIED;
      handler = new InboundHandler(this.context, this.plaintext, { port, appAddress: address, protocol }, key);
    }
    this.captured.delete(key);
    this.forgetIdlePorts();
    this.captured.set(key, handler);
    return handler;
  }

  /** Opens and closes explicit listeners so that they are those of the list. @returns what could not be opened, and why */
  setListeners(wanted: readonly InboundPort[]): Promise<string[]> {
    return this.listeners.become(
      wanted
        .filter(({ listenAddress }) => listenAddress !== '')
        .map((at) => ({
          key: `inbound ${at.listenAddress}:${at.port} to ${at.appAddress} ${at.protocol}`,
          address: at.listenAddress,
          port: at.port,
          handler: () => new InboundHandler(this.context, this.plaintext, at),
        })),
    );
  }

  private forgetIdlePorts(): void {
    for (const [key, handler] of this.captured) {
      if (this.captured.size < MOST_IDLE_PORTS) return;
      if (handler.connections > 0) continue;
      this.captured.delete(key);
      handler.forget();
    }
  }

  close(): void {
    this.listeners.close();
  }
}

type Plaintext = Map<ByteStream, () => void>;

class InboundHandler implements ConnectionHandler {
  private readonly context: InboundContext;
  private readonly plaintext: Plaintext;
  private readonly at: AppPort;
  private readonly ref: ServicePortRef;
  /** Connections from acceptance to their end. */
  connections = 0;

  /** @param key of the records behind it; default: those of the port */
  constructor(context: InboundContext, plaintext: Plaintext, at: AppPort, key?: string) {
    this.context = context;
    this.plaintext = plaintext;
    this.at = at;
    const { namespace, name } = context.workload();
    const ref = newServicePortRef(namespace, name, at.port);
    this.ref = key === undefined ? ref : { ...ref, key };
    // Only the application's address is behind it; nobody else balances here.
    context
      .proxyFor('')
      .upstreams.update(this.ref, [
        { $typeName: 'weft.v1.Endpoint', address: at.appAddress, port: at.port, identity: '', pod: '', zone: '' },
      ]);
  }

  /** Its records go: nobody is connected. */
  forget(): void {
    this.context.proxyFor('').upstreams.forget(this.ref);
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    this.connections++;
    stream.socket.once('close', () => {
      this.connections--;
    });
    ready();
  }

  assumed(): 'tcp' | null {
    return null; // even an opaque port is looked at: sidecars send TLS
  }

  detected(outcome: DetectionOutcome): void {
    this.context.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { context } = this;
    if (protocol === 'tls') {
      const { clock } = context.proxyFor('');
      acceptTls(
        stream,
        first,
        context.credentials,
        clock,
        context.wallClock,
        (secure, peer) => this.onSecure(secure, peer),
        (reason) => context.tlsRefused(reason, this.ref),
      );
      return;
    }
    if (context.mtls() === MtlsMode.STRICT) {
      context.tlsRefused('plaintext', this.ref);
      return stream.destroy();
    }
    stream.socket.once('close', () => this.plaintext.delete(stream));
    if (protocol === 'http2' && this.at.protocol !== Protocol.TCP) {
      const connection = this.serve(stream, first, '', MAX_STREAMS_PLAINTEXT_PEER, Number.POSITIVE_INFINITY);
      this.plaintext.set(stream, () => connection.drain(context.proxyFor('').clock.nowMs + STRICT_DRAIN_MS));
    } else {
      this.plaintext.set(stream, () => stream.reset());
      this.passTcp(stream, first, '');
    }
  }

  private onSecure(stream: ByteStream, peer: TlsPeer): void {
    if (peer.alpn === ALPN_TCP) this.passTcp(stream, Buffer.alloc(0), peer.identity);
    else this.serve(stream, Buffer.alloc(0), peer.identity, MAX_STREAMS_MESH_PEER, peer.notAfterMs);
    stream.start();
  }

  private serve(stream: ByteStream, first: Buffer, caller: string, maxStreams: number, notAfterMs: number): Connection {
    const owner = new DownstreamOwner(this.context.proxyFor(caller), { current: inboundPort(this.ref, caller) }, (_connection, reason) =>
      this.context.closed(reason),
    );
    return this.context.connections.serve(stream, first, owner, maxStreams, notAfterMs);
  }

  /** @param caller SPIFFE id, '' in plaintext */
  private passTcp(stream: ByteStream, first: Buffer, caller: string): void {
    const { clock, origin } = this.context.proxyFor(caller);
    stream.pause();
    const target = { address: this.at.appAddress, port: this.at.port, identity: '' };
    const connection = { origin, service: this.ref, endpoint: target };
    const { tcp } = this.context;
    const giveUp = dial(target, '', this.context.credentials, clock, this.context.wallClock, {
      onOpen: (other) => {
        relay(stream, other, first, tcp.opened(connection));
        other.start();
        stream.resume();
      },
      onError: (failure, detail) => {
        tcp.failed(connection, failure, detail);
        stream.destroy();
      },
    });
    stream.onClosed = giveUp;
  }
}

/** What one peer's calls to a port of this pod become: to the application, with the peer's identity and nobody else's claims. */
export function inboundPort(ref: ServicePortRef, caller: string): CompiledPort {
  const edits: HeaderEdit[] = SPOOFABLE.map((name) => ({ op: 'remove', name, value: '' }));
  if (caller !== '') edits.push({ op: 'set', name: IDENTITY_HEADER, value: `URI=${caller}` });
  return plainPort(ref, edits);
}
