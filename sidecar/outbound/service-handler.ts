// One connection of the application to a Service port.
import { Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { EndpointState } from '../balance/endpoint-state.ts';
import { DownstreamOwner } from '../forward/downstream.ts';
import { NO_CONFIG, NO_ENDPOINTS } from '../forward/errors.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { Upstream } from '../forward/upstreams.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import { OWN_APPLICATION } from '../http/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome, Spoken } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { ServicePortRef } from '../route/records.ts';
import { refuseConnection } from '../tcp/refuse.ts';
import { readyWhen } from './config-wait.ts';
import type { OutboundDeps } from './deps.ts';
import { joinTcp, passThrough, refuseNotHttp2, type Undecided } from './join-tcp.ts';

/** Endpoints that a TCP connection is tried on. */
const MAX_TCP_ATTEMPTS = 3;

export class ServiceHandler implements ConnectionHandler {
  private readonly deps: OutboundDeps;
  private readonly ref: ServicePortRef;
  private readonly handle: PortHandle;
  private readonly original: OriginalDestination | null;
  /** Why there is no configuration, where there is none. */
  private missing = 'its configuration has not arrived';

  /** @param original where the connection goes if the Service's configuration cannot be had; null: nowhere */
  constructor(deps: OutboundDeps, ref: ServicePortRef, original: OriginalDestination | null) {
    this.deps = deps;
    this.ref = ref;
    this.handle = deps.port(ref);
    this.original = original;
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const accept = (): void => (this.isFutile() ? this.refuseEmpty(stream) : ready());
    if (this.handle.current !== null) return accept();
    if (this.original !== null && !this.deps.connected()) return ready();
    if (!this.deps.connected()) this.missing = 'its configuration has not arrived, because the control plane is away';
    readyWhen(this.deps.timers, accept, (done) => {
      const answered = (presence: unknown): void => {
        if (presence === 'unknown') this.missing = 'this sidecar asks about too many Services already';
        done();
      };
      this.deps.want(`${this.ref.namespace}/${this.ref.name}`).then(answered, done);
      return () => {};
    });
  }

  /**
   * Nothing can come of the connection, and it carries no call that could be answered with the reason: it is refused
   * before it is read, which is as near to a refused connect as a captured connection comes.
   */
  private isFutile(): boolean {
    const upstream = this.upstream();
    return upstream !== null && this.assumed() === 'tcp' && upstream.known && upstream.set.endpoints.length === 0;
  }

  /** Where octets go: the Service's own endpoints. null: its configuration is not here. */
  private upstream(): Upstream | null {
    const backend = this.handle.current?.fallback.backends[0];
    return backend === undefined ? null : this.deps.proxy.upstreams.get(backend.ref);
  }

  private refuseEmpty(stream: ByteStream): void {
    const upstream = this.upstream();
    if (upstream === null) this.refuseTcp(stream, NO_CONFIG.label, this.missing);
    else this.refuseTcp(stream, NO_ENDPOINTS.label, `no ${upstream.lacks}`);
  }

  assumed(): 'tcp' | 'http2' | null {
    const { current } = this.handle;
    if (current === null) return this.original === null ? null : 'tcp';
    const isDeclared = current.protocol !== Protocol.UNSPECIFIED || current.table !== null;
    if (current.protocol === Protocol.TCP || this.deps.isOpaque(this.ref.port, isDeclared)) return 'tcp';
    // Octets would pass the routes by.
    return current.protocol === Protocol.HTTP2 || current.table !== null ? 'http2' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: Spoken, first: Buffer): void {
    const { deps, handle, original } = this;
    if (protocol === 'http2' || (protocol === 'http1' && this.mayBeHttp1())) this.serve(protocol, stream, first);
    else if (handle.current === null && original !== null) passThrough(deps, stream, first, original);
    else if (this.assumed() === 'http2') this.refuseOctets(stream, protocol, first);
    else this.passTcp(stream, first, protocol === 'silent' ? { serve: (spoken, octets) => this.serve(spoken, stream, octets) } : null);
  }

  /** Not where the port is declared HTTP/2 and has no routes: its endpoints would not understand. */
  private mayBeHttp1(): boolean {
    const { current } = this.handle;
    return current !== null && (current.table !== null || current.protocol !== Protocol.HTTP2);
  }

  onRefused(stream: ByteStream, reason: string): void {
    refuseNotHttp2(this.deps, stream, this.ref, reason);
  }

  private serve(protocol: 'http1' | 'http2', stream: ByteStream, first: Buffer): void {
    const { deps, handle } = this;
    const owner = new DownstreamOwner(deps.proxy, handle, (_connection, reason) => deps.closed(reason));
    deps.connections.serve(protocol, stream, first, owner, OWN_APPLICATION);
  }

  /** The port is HTTP/2, declared or by its routes: other octets would pass these by. */
  private refuseOctets(stream: ByteStream, protocol: Exclude<Spoken, 'http2'>, first: Buffer): void {
    // To connect and end is what health checks do. Nothing was asked, so nothing is refused.
    if (protocol === 'tcp' && first.length === 0) return stream.destroy();
    const sent = protocol === 'silent' ? `nothing was sent within ${HANDSHAKE_TIMEOUT_MS} ms` : 'the first octets are not its preface';
    refuseNotHttp2(this.deps, stream, this.ref, `the port is HTTP/2, and ${sent}`);
  }

  /**
   * Passes octets to one of the Service's own endpoints, because routes of gRPC and HTTP do not apply to them.
   * @param undecided see joinTcp()
   * @param tried endpoints that could not be connected to: nothing was sent, so another may be tried
   */
  private passTcp(stream: ByteStream, first: Buffer, undecided: Undecided | null, tried: readonly EndpointState[] = []): void {
    const { proxy } = this.deps;
    stream.pause();
    const set = this.upstream()?.set;
    const endpoint = set?.pickOther(tried, proxy.random, proxy.clock.nowMs) ?? null;
    if (set === undefined || endpoint === null) return this.refuseEmpty(stream);
    set.onStart(endpoint);
    const done = (failed: boolean): boolean => {
      if (failed) set.onConnectFailure(endpoint, proxy.clock.nowMs, proxy.random);
      set.onCancel(endpoint);
      const all = [...tried, endpoint];
      const again = failed && all.length < MAX_TCP_ATTEMPTS && set.endpoints.some((other) => !all.includes(other));
      if (again) this.passTcp(stream, first, undecided, all);
      return again;
    };
    joinTcp(this.deps, stream, first, endpoint, this.ref, done, undecided);
  }

  /** Clients that wait for a server connect again and again: that is no news for the log. */
  private refuseTcp(stream: ByteStream, label: string, reason: string): void {
    refuseConnection(this.deps, this.deps.proxy, stream, this.ref, label, reason, 'debug');
  }
}
