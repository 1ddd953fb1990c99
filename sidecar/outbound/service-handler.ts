// One connection of the application to a Service port.
import { Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { EndpointState } from '../balance/endpoint-state.ts';
import { DownstreamOwner } from '../forward/downstream.ts';
import { NO_CONFIG, NO_ENDPOINTS } from '../forward/errors.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import { OWN_APPLICATION } from '../http2/peer.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import type { ConnectionHandler, DetectionOutcome } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { ServicePortRef } from '../route/records.ts';
import { readyWhen } from './config-wait.ts';
import type { OutboundDeps } from './deps.ts';
import { joinTcp, passThrough } from './join-tcp.ts';

/** Endpoints that a TCP connection is tried on. */
const MAX_TCP_ATTEMPTS = 3;

export class ServiceHandler implements ConnectionHandler {
  private readonly deps: OutboundDeps;
  private readonly ref: ServicePortRef;
  private readonly handle: PortHandle;
  private readonly original: OriginalDestination | null;

  /** @param original where the connection goes if the Service's configuration cannot be had; null: nowhere */
  constructor(deps: OutboundDeps, ref: ServicePortRef, original: OriginalDestination | null) {
    this.deps = deps;
    this.ref = ref;
    this.handle = deps.port(ref);
    this.original = original;
  }

  onAccept(_stream: ByteStream, ready: () => void): void {
    if (this.handle.current !== null) return ready();
    if (this.original !== null && !this.deps.connected()) return ready();
    readyWhen(ready, (done) => {
      this.deps.want(`${this.ref.namespace}/${this.ref.name}`).then(done, done);
      return () => {};
    });
  }

  assumed(): 'tcp' | null {
    const { current } = this.handle;
    if (current === null) return this.original === null ? null : 'tcp';
    return current.protocol === Protocol.TCP || this.deps.isOpaque(this.ref.port) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.deps.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { deps, handle, original } = this;
    if (protocol === 'http2') {
      const owner = new DownstreamOwner(deps.proxy, handle, (_connection, reason) => deps.closed(reason));
      deps.connections.serve(stream, first, owner, OWN_APPLICATION);
    } else if (handle.current === null && original !== null) passThrough(deps, stream, first, original);
    else this.passTcp(stream, first);
  }

  /**
   * Passes octets to one of the Service's own endpoints, because routes of gRPC and HTTP do not apply to them.
   * @param tried endpoints that could not be connected to: nothing was sent, so another may be tried
   */
  private passTcp(stream: ByteStream, first: Buffer, tried: readonly EndpointState[] = []): void {
    const { proxy, log, tcp } = this.deps;
    stream.pause();
    const backend = this.handle.current?.fallback.backends[0];
    const set = backend === undefined ? null : proxy.upstreams.get(backend.ref).set;
    const endpoint = set?.pickOther(tried, proxy.random, proxy.clock.nowMs) ?? null;
    if (set === null || endpoint === null) {
      const [{ label }, reason] = set === null ? [NO_CONFIG, 'its configuration has not arrived'] : [NO_ENDPOINTS, 'no ready endpoints'];
      proxy.stats.proxyError(label);
      log.debug('TCP connection refused', { service: this.ref.key, reason });
      tcp.failed({ origin: proxy.origin, service: this.ref, endpoint: null }, label, reason);
      return stream.destroy();
    }
    set.onStart(endpoint);
    joinTcp(this.deps, stream, first, endpoint, this.ref, (failed) => {
      if (failed) set.onConnectFailure(endpoint, proxy.clock.nowMs, proxy.random);
      set.onCancel(endpoint);
      const all = [...tried, endpoint];
      const again = failed && all.length < MAX_TCP_ATTEMPTS && set.endpoints.some((other) => !all.includes(other));
      if (again) this.passTcp(stream, first, all);
      return again;
    });
  }
}
