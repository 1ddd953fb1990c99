// The outbound side: what the application in this pod sends to Services. HTTP/2 is routed per request, anything else passes as TCP.
import { type OutboundListener, Protocol } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ALPN_TCP } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { EndpointState } from '../balance/endpoint-state.ts';
import { DownstreamOwner } from '../forward/downstream.ts';
import { NO_CONFIG, NO_ENDPOINTS } from '../forward/errors.ts';
import type { ExchangeDeps, PortHandle } from '../forward/exchange-deps.ts';
import { MAX_STREAMS_OWN_APP } from '../http2/limits.ts';
import type { DownstreamConnections } from '../http2/server.ts';
import type { ByteStream } from '../link/byte-stream.ts';
import { type ClientCredentials, type DialTarget, dial } from '../link/dial.ts';
import type { ConnectionHandler, DetectionOutcome } from '../link/listener.ts';
import { ListenerSet } from '../link/listener-set.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { ServicePortRef } from '../route/records.ts';
import type { TcpObserver } from '../tcp/observer.ts';
import { relay } from '../tcp/relay.ts';
import type { AddressIndex } from './address-index.ts';
import type { DirectPort, DirectPorts } from './direct-ports.ts';

/** Endpoints that a TCP connection is tried on. */
const MAX_TCP_ATTEMPTS = 3;
/** A Service that is not known yet: so long a new connection waits for its configuration, in ms. */
const CONFIG_WAIT_MS = 2000;

export interface OutboundContext {
  readonly proxy: ExchangeDeps;
  readonly credentials: ClientCredentials;
  readonly connections: DownstreamConnections;
  readonly log: Logger;
  readonly wallClock: () => number;
  /** The handle of a Service port; the same for ever. */
  port(ref: ServicePortRef): PortHandle;
  /** Resolves when the Service's configuration is here or it is known not to exist. */
  want(service: string): Promise<unknown>;
  readonly tcp: TcpObserver;
  detected(outcome: DetectionOutcome): void;
  /** An HTTP/2 connection of the application ended. */
  closed(reason: string): void;
  /** The control plane answers. */
  connected(): boolean;
  /** Nobody looks into what is sent to this port. */
  isOpaque(port: number): boolean;
  /** The address to come from when this is our own pod; see capture/rules.ts. */
  hairpin(address: string): string | undefined;
}

/** What captured connections need besides. */
export interface CapturedContext extends OutboundContext {
  readonly addresses: AddressIndex;
  readonly directs: DirectPorts;
}

/** The world outside may be far: the kernel repeats a lost SYN after 1, 3, 7 and 15 s. In ms. */
const OUTSIDE_CONNECT_MS = 30_000;
/** Traffic that no Service accounts for. */
const PASSED_THROUGH = newServicePortRef('', 'passthrough', 0);

export class Outbound {
  private readonly context: OutboundContext;
  private readonly listeners: ListenerSet;

  constructor(context: OutboundContext) {
    this.context = context;
    this.listeners = new ListenerSet(context.proxy.clock);
  }

  /** Opens and closes explicit listeners so that they are those of the list. @returns what could not be opened, and why */
  setListeners(wanted: readonly OutboundListener[]): Promise<string[]> {
    return this.listeners.become(
      wanted.map(({ address, port, namespace, service, servicePort }) => {
        const ref = newServicePortRef(namespace, service, servicePort);
        return {
          key: `outbound ${address}:${port} for ${ref.key}`,
          address,
          port,
          handler: () => () => new OutboundHandler(this.context, ref, null),
        };
      }),
    );
  }

  close(): void {
    this.listeners.close();
  }
}

/** Who serves a connection that was redirected to us. */
export function capturedOutbound(context: CapturedContext, to: OriginalDestination): ConnectionHandler {
  const service = context.addresses.at(to.address);
  if (service === undefined || !service.ports.includes(to.port)) return new DirectHandler(context, to);
  const ref = newServicePortRef(service.namespace, service.name, to.port);
  // With the control plane away, what has neither routes nor sidecars can go where it was going; anything else must wait for its rules.
  return new OutboundHandler(context, ref, service.concerns ? null : to);
}

export function newServicePortRef(namespace: string, name: string, port: number): ServicePortRef {
  return { namespace, name, port, key: `${namespace}/${name}:${port}` };
}

/** One connection to a Service port. */
class OutboundHandler implements ConnectionHandler {
  private readonly context: OutboundContext;
  private readonly ref: ServicePortRef;
  private readonly handle: PortHandle;
  private readonly original: OriginalDestination | null;

  /** @param original where the connection goes if the Service's configuration cannot be had; null: nowhere */
  constructor(context: OutboundContext, ref: ServicePortRef, original: OriginalDestination | null) {
    this.context = context;
    this.ref = ref;
    this.handle = context.port(ref);
    this.original = original;
  }

  onAccept(_stream: ByteStream, ready: () => void): void {
    if (this.handle.current !== null) return ready();
    if (this.original !== null && !this.context.connected()) return ready();
    within(CONFIG_WAIT_MS, ready, (done) => {
      this.context.want(`${this.ref.namespace}/${this.ref.name}`).then(done, done);
      return () => {};
    });
  }

  assumed(): 'tcp' | null {
    const { current } = this.handle;
    if (current === null) return this.original === null ? null : 'tcp';
    return current.protocol === Protocol.TCP || this.context.isOpaque(this.ref.port) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.context.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { context, handle, original } = this;
    if (protocol === 'http2') {
      const owner = new DownstreamOwner(context.proxy, handle, (_connection, reason) => context.closed(reason));
      context.connections.serve(stream, first, owner, MAX_STREAMS_OWN_APP, Number.POSITIVE_INFINITY);
    } else if (handle.current === null && original !== null) passThrough(context, stream, first, original);
    else this.passTcp(stream, first);
  }

  /**
   * To the Service's own endpoints: routes of gRPC and HTTP do not apply to octets.
   * @param tried endpoints that could not be connected to: nothing was sent, so another may be tried
   */
  private passTcp(stream: ByteStream, first: Buffer, tried: readonly EndpointState[] = []): void {
    const { proxy, log, tcp } = this.context;
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
    joinTcp(this.context, stream, first, endpoint, this.ref, (failed) => {
      if (failed) set.onConnectFailure(endpoint, proxy.clock.nowMs, proxy.random);
      set.onCancel(endpoint);
      const all = [...tried, endpoint];
      const again = failed && all.length < MAX_TCP_ATTEMPTS && set.endpoints.some((other) => !all.includes(other));
      if (again) this.passTcp(stream, first, all);
      return again;
    });
  }
}

/** One connection to an address that is no Service's: a pod, an endpoint of a headless Service, or the world outside. Routes do not apply. */
class DirectHandler implements ConnectionHandler {
  private readonly context: CapturedContext;
  private readonly to: OriginalDestination;
  /** null: pass it on as it is. */
  private direct: DirectPort | null = null;
  /** Somebody else is at the address. */
  private gone: () => void = () => {};

  constructor(context: CapturedContext, to: OriginalDestination) {
    this.context = context;
    this.to = to;
  }

  onAccept(stream: ByteStream, ready: () => void): void {
    const { context, to } = this;
    if (!context.connected() && !context.directs.knows(to.address)) return ready();
    within(CONFIG_WAIT_MS, ready, (done) =>
      context.directs.find(to, context.proxy.clock.nowMs, (direct) => {
        this.direct = direct;
        if (direct !== null) this.use(stream);
        done();
      }),
    );
  }

  assumed(): 'tcp' | null {
    return this.direct === null || this.context.isOpaque(this.to.port) ? 'tcp' : null;
  }

  detected(outcome: DetectionOutcome): void {
    this.context.detected(outcome);
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { context, direct, to } = this;
    if (direct === null) return passThrough(context, stream, first, to);
    if (protocol === 'http2') {
      const owner = new DownstreamOwner(context.proxy, direct.handle, (_connection, reason) => context.closed(reason));
      const connection = context.connections.serve(stream, first, owner, MAX_STREAMS_OWN_APP, Number.POSITIVE_INFINITY);
      // The pod is gone, its connection would be too: the client must look for another address, not fail on this one for ever.
      this.gone = () => connection.drain(Number.POSITIVE_INFINITY);
      return;
    }
    stream.pause();
    joinTcp(context, stream, first, { ...to, identity: direct.identity }, direct.ref, () => false);
  }

  private use(stream: ByteStream): void {
    if (stream.socket.destroyed) return;
    const { context, to } = this;
    this.gone = () => stream.reset();
    const ended = context.directs.use(to.address, () => this.gone());
    stream.socket.once('close', () => ended(context.proxy.clock.nowMs));
  }
}

/** Calls `ready` when `begin` says that it is done, or after so many ms. */
function within(ms: number, ready: () => void, begin: (done: () => void) => () => void): void {
  let over = false;
  let giveUp = (): void => {};
  const finish = (): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    giveUp();
    ready();
  };
  const timer = setTimeout(finish, ms);
  const stop = begin(finish);
  if (!over) giveUp = stop;
}

/**
 * Dials and relays octets over mTLS, or plaintext where nobody speaks it.
 * @param done called once, when it has ended or there was no connection; true: somebody else goes on with the stream
 */
function joinTcp(
  context: OutboundContext,
  stream: ByteStream,
  first: Buffer,
  target: DialTarget,
  ref: ServicePortRef,
  done: (failed: boolean) => boolean,
): void {
  const { proxy, credentials, wallClock, log } = context;
  const { address, port, identity, connectTimeoutMs } = target;
  const to = { address, port, identity, connectTimeoutMs, localAddress: context.hairpin(address) };
  const connection = { origin: proxy.origin, service: ref, endpoint: target };
  const giveUp = dial(to, ALPN_TCP, credentials, proxy.clock, wallClock, {
    onOpen: (other) => {
      const ended = context.tcp.opened(connection);
      relay(stream, other, first, (sent, received) => {
        done(false);
        ended(sent, received);
      });
      other.start();
      stream.resume();
    },
    onError: (failure, detail) => {
      stream.onClosed = () => {};
      proxy.stats.proxyError(failure);
      log.info('TCP connection failed', { service: ref.key, error: failure, detail });
      if (done(true)) return;
      context.tcp.failed(connection, failure, detail);
      stream.destroy();
    },
  });
  stream.onClosed = () => {
    giveUp();
    done(false);
  };
}

/** To where it was going, untouched: neither balanced nor encrypted. */
function passThrough(context: OutboundContext, stream: ByteStream, first: Buffer, to: OriginalDestination): void {
  stream.pause();
  joinTcp(context, stream, first, { ...to, identity: '', connectTimeoutMs: OUTSIDE_CONNECT_MS }, PASSED_THROUGH, () => false);
}
