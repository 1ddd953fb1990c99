// One port of the application and the connections to it: mTLS from sidecars and, unless STRICT, plaintext from anything
// else.
import { MtlsMode, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ALPN_TCP } from '#core/contract/names.ts';
import { DownstreamOwner } from '../forward/downstream.ts';
import { NOT_HTTP2 } from '../forward/errors.ts';
import type { ServedConnection } from '../http/connection.ts';
import { type ConnectionPeer, meshPeer, strangerAt } from '../http/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import { dial } from '../link/dial.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import { acceptTls, type TlsPeer } from '../link/tls.ts';
import type { ServicePortRef } from '../route/records.ts';
import { newServicePortRef } from '../route/service-port.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import { relay } from '../tcp/relay.ts';
import { joinUndecided } from '../tcp/undecided.ts';
import type { InboundDeps } from './deps.ts';
import { inboundPort } from './peer-identity.ts';

/** Calls in plaintext that are under way when STRICT begins may go on for so long, in ms. */
const STRICT_DRAIN_MS = 5000;

/** Where a port of the application is, and what it speaks. */
export interface AppPort {
  readonly port: number;
  readonly appAddress: string;
  readonly protocol: Protocol;
}

/** Connections that came in plaintext, and what ends each. */
export type PlaintextConnections = Map<ByteStream, () => void>;

export class AppPortHandler implements ConnectionHandler {
  private readonly deps: InboundDeps;
  private readonly plaintext: PlaintextConnections;
  private readonly at: AppPort;
  private readonly ref: ServicePortRef;
  /** Connections from acceptance to their end. */
  connections = 0;

  /**
   * @param plaintext gets the connections that come in plaintext
   * @param key of the records behind it; default: those of the port
   */
  constructor(deps: InboundDeps, plaintext: PlaintextConnections, at: AppPort, key?: string) {
    this.deps = deps;
    this.plaintext = plaintext;
    this.at = at;
    const { namespace, name } = deps.workload();
    const ref = newServicePortRef(namespace, name, at.port);
    this.ref = key === undefined ? ref : { ...ref, key };
    // One endpoint, the application's address: nothing is balanced here.
    deps
      .proxyFor('')
      .upstreams.update(this.ref, [
        { $typeName: 'weft.v1.Endpoint', address: at.appAddress, port: at.port, identity: '', pod: '', zone: '' },
      ]);
  }

  /** Drops its records; it has no connections. */
  forget(): void {
    this.deps.proxyFor('').upstreams.forget(this.ref);
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    this.connections++;
    stream.socket.once('close', () => {
      this.connections--;
    });
    ready();
  }

  assumed(): 'tcp' | null {
    return null; // even the octets of an opaque port are looked at, because sidecars send TLS
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    if (protocol === 'tls') this.acceptTls(stream, first);
    else if (this.deps.mtls() === MtlsMode.STRICT) this.refusePlaintext(stream);
    else this.takePlaintext(stream, protocol, first);
  }

  onRefused(stream: ByteStream, reason: string): void {
    if (this.deps.mtls() === MtlsMode.STRICT) this.refusePlaintext(stream);
    else this.refuse(stream, '', reason);
  }

  private refusePlaintext(stream: ByteStream): void {
    this.deps.tlsRefused('plaintext', this.ref);
    stream.destroy();
  }

  /** Refuses a connection that is not the HTTP/2 that it began as. @param caller SPIFFE id, '' in plaintext */
  private refuse(stream: ByteStream, caller: string, reason: string): void {
    refuseConnection(this.deps, this.deps.proxyFor(caller), stream, this.ref, NOT_HTTP2, reason);
  }

  private acceptTls(stream: ByteStream, first: Buffer): void {
    const { deps } = this;
    const { clock } = deps.proxyFor('');
    acceptTls(
      stream,
      first,
      deps.credentials,
      clock,
      deps.wallClock,
      (secure, peer) => this.takeSecure(secure, peer),
      (reason, detail) => deps.tlsRefused(reason, this.ref, detail),
    );
  }

  private takePlaintext(stream: ByteStream, protocol: Exclude<Spoken, 'tls'>, first: Buffer): void {
    const { deps, plaintext } = this;
    const serve = (spoken: 'http1' | 'http2', octets: Buffer): void => {
      const connection = this.serve(spoken, stream, octets, '', strangerAt(stream.socket.remoteAddress ?? ''));
      plaintext.set(stream, () => connection.drain(deps.proxyFor('').clock.nowMs + STRICT_DRAIN_MS));
    };
    stream.socket.once('close', () => plaintext.delete(stream));
    if ((protocol === 'http1' || protocol === 'http2') && !this.isOpaque) return serve(protocol, first);
    plaintext.set(stream, () => stream.reset());
    this.passTcp(stream, first, '', protocol === 'silent' && !this.isOpaque ? serve : null);
  }

  private takeSecure(stream: ByteStream, peer: TlsPeer): void {
    const nothing = Buffer.alloc(0);
    const serve = (spoken: 'http1' | 'http2', octets: Buffer): unknown =>
      this.serve(spoken, stream, octets, peer.identity, meshPeer(peer.identity, peer.notAfterMs));
    // The other sidecar relays what its application gave it as octets, by a declaration of its own: look at them here.
    if (peer.alpn === ALPN_TCP) this.passTcp(stream, nothing, peer.identity, this.isOpaque ? null : serve);
    else serve('http2', nothing);
    stream.start();
  }

  private get isOpaque(): boolean {
    return this.at.protocol === Protocol.TCP;
  }

  private serve(protocol: 'http1' | 'http2', stream: ByteStream, first: Buffer, caller: string, peer: ConnectionPeer): ServedConnection {
    const { deps, ref } = this;
    const port = { current: inboundPort(ref, caller) };
    const owner = new DownstreamOwner(deps.proxyFor(caller), port, (_connection, reason) => deps.closed(reason));
    return deps.connections.serve(protocol, stream, first, owner, peer);
  }

  /**
   * Passes octets to the application.
   * @param caller SPIFFE id, '' in plaintext
   * @param serve serves the client where nothing is known of it yet and it is HTTP; null: its octets pass
   * without a look
   */
  private passTcp(
    stream: ByteStream,
    first: Buffer,
    caller: string,
    serve: ((protocol: 'http1' | 'http2', first: Buffer) => void) | null,
  ): void {
    const { tcp, credentials, wallClock, timers } = this.deps;
    const { clock, origin } = this.deps.proxyFor(caller);
    stream.pause();
    const target = { address: this.at.appAddress, port: this.at.port, identity: '' };
    const connection = { origin, service: this.ref, endpoint: target };
    stream.onClosed = dial(target, '', credentials, clock, wallClock, {
      onOpen: (other) => {
        const join = (octets: Buffer): void => relay(stream, other, octets, tcp.opened(connection));
        if (serve === null) join(first);
        else {
          joinUndecided(stream, other, timers, {
            join,
            serve,
            refused: (reason) => {
              other.reset();
              this.refuse(stream, caller, reason);
            },
          });
        }
        other.start();
        stream.resume();
      },
      onError: (failure, detail) => {
        tcp.failed(connection, failure, detail);
        stream.reset();
      },
    });
  }
}
