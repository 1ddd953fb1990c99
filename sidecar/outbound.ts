// The outbound side: what the application in this pod sends to Services. HTTP/2 is routed per request, anything else passes as TCP.
import { type OutboundListener, Protocol } from '#core/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/log.ts';
import { ALPN_TCP } from '#core/names.ts';
import type { ByteStream } from './accept/byte-stream.ts';
import type { DownstreamConnections } from './accept/connections.ts';
import type { ConnectionHandler } from './accept/listener.ts';
import { ListenerSet } from './accept/listener-set.ts';
import { type ClientCredentials, dial } from './forward/dial.ts';
import { DownstreamOwner, type PortHandle, type ProxyContext } from './forward/proxy.ts';
import { MAX_STREAMS_OWN_APP } from './http2/limits.ts';
import type { ServicePortRef } from './route/records.ts';
import { relay } from './tcp/relay.ts';

/** A Service that is not known yet: so long a new connection waits for its configuration, in ms. */
const CONFIG_WAIT_MS = 2000;

export interface OutboundContext {
  readonly proxy: ProxyContext;
  readonly credentials: ClientCredentials;
  readonly connections: DownstreamConnections;
  readonly log: Logger;
  readonly wallClock: () => number;
  /** The handle of a Service port; the same for ever. */
  port(ref: ServicePortRef): PortHandle;
  /** Resolves when the Service's configuration is here or it is known not to exist. */
  want(service: string): Promise<unknown>;
  tcpConnection(ref: ServicePortRef, sent: number, received: number): void;
  /** An HTTP/2 connection of the application ended. */
  closed(reason: string): void;
}

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
        return { key: `outbound ${address}:${port} for ${ref.key}`, address, port, handler: () => new OutboundHandler(this.context, ref) };
      }),
    );
  }

  close(): void {
    this.listeners.close();
  }
}

export function newServicePortRef(namespace: string, name: string, port: number): ServicePortRef {
  return { namespace, name, port, key: `${namespace}/${name}:${port}` };
}

class OutboundHandler implements ConnectionHandler {
  private readonly context: OutboundContext;
  private readonly ref: ServicePortRef;
  private readonly handle: PortHandle;

  constructor(context: OutboundContext, ref: ServicePortRef) {
    this.context = context;
    this.ref = ref;
    this.handle = context.port(ref);
  }

  onAccept(_stream: ByteStream, ready: () => void): void {
    if (this.handle.current !== null) return ready();
    let waiting = true;
    const go = (): void => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      ready();
    };
    const timer = setTimeout(go, CONFIG_WAIT_MS);
    this.context.want(`${this.ref.namespace}/${this.ref.name}`).then(go, go);
  }

  assumed(): 'tcp' | null {
    return this.handle.current?.protocol === Protocol.TCP ? 'tcp' : null;
  }

  onProtocol(stream: ByteStream, protocol: 'tls' | 'http2' | 'tcp', first: Buffer): void {
    const { context } = this;
    if (protocol === 'http2') {
      const owner = new DownstreamOwner(context.proxy, this.handle, (_connection, reason) => context.closed(reason));
      context.connections.serve(stream, first, owner, MAX_STREAMS_OWN_APP, Number.POSITIVE_INFINITY);
      return;
    }
    this.passTcp(stream, first);
  }

  /** To the Service's own endpoints: routes of gRPC and HTTP do not apply to octets. */
  private passTcp(stream: ByteStream, first: Buffer): void {
    const { proxy, credentials, wallClock, log } = this.context;
    stream.pause();
    const backend = this.handle.current?.fallback.backends[0];
    const upstream = backend === undefined ? null : proxy.upstreams.get(backend.ref);
    const endpoint = upstream?.set.pick(proxy.random, proxy.clock.nowMs) ?? null;
    if (upstream === null || endpoint === null) {
      log.debug('TCP connection refused', { service: this.ref.key, reason: 'no ready endpoints' });
      return stream.destroy();
    }
    upstream.set.onStart(endpoint);
    const giveUp = dial(endpoint, ALPN_TCP, credentials, proxy.clock, wallClock, {
      onOpen: (other) => {
        relay(stream, other, first, (sent, received) => {
          upstream.set.onCancel(endpoint);
          this.context.tcpConnection(this.ref, sent, received);
        });
        other.start();
        stream.resume();
      },
      onError: (error, detail) => {
        upstream.set.onConnectFailure(endpoint, proxy.clock.nowMs, proxy.random);
        proxy.stats.proxyError(error.label);
        log.info('TCP connection failed', { service: this.ref.key, error: error.label, detail });
        stream.destroy();
      },
    });
    stream.onClosed = () => {
      giveUp();
      upstream.set.onCancel(endpoint);
    };
  }
}
