// The data plane in this process: a listener in front of real endpoints, with counters to look at and a clock to push.

import type { EndpointState } from '#sidecar/balance/endpoint-state.ts';
import { DeadlineWheel } from '#sidecar/forward/deadlines.ts';
import { DownstreamOwner } from '#sidecar/forward/downstream.ts';
import type { CallTelemetry } from '#sidecar/forward/ended-call.ts';
import { DIAL_ERRORS, type ProxyError } from '#sidecar/forward/errors.ts';
import type { ExchangeDeps, PortHandle } from '#sidecar/forward/exchange-deps.ts';
import { ReplayRing } from '#sidecar/forward/replay.ts';
import type { CallSeries } from '#sidecar/forward/series.ts';
import { Upstreams } from '#sidecar/forward/upstreams.ts';
import { Buffers } from '#sidecar/http/buffers.ts';
import { type Clock, newClock } from '#sidecar/http/clock.ts';
import { DownstreamConnections } from '#sidecar/http/downstream-connections.ts';
import { MAX_STREAMS_PLAINTEXT_PEER } from '#sidecar/http/limits.ts';
import { strangerAt } from '#sidecar/http/peer.ts';
import { http1Client } from '#sidecar/http1/client.ts';
import { http2Client } from '#sidecar/http2/client.ts';
import type { Connection } from '#sidecar/http2/connection.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { type ClientCredentials, dial } from '#sidecar/link/dial.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { SERVER_CODECS } from '#sidecar/program/codecs.ts';
import type { BackendRecord, CompiledPort, CompiledTable, MirrorRecord, RuleRecord, ServicePortRef } from '#sidecar/route/records.ts';

export function ref(name: string): ServicePortRef {
  return { namespace: 'shop', name, port: 80, key: `shop/${name}:80` };
}

export function backend(name: string, more: Partial<BackendRecord> = {}): BackendRecord {
  return {
    ref: ref(name),
    weight: 1,
    invalid: '',
    requestEdits: null,
    responseEdits: null,
    mirrors: [],
    rewrite: null,
    redirect: null,
    cors: null,
    ...more,
  };
}

export function mirrorOf(name: string): MirrorRecord {
  return { backend: ref(name), fraction: 1, turn: 0 };
}

export function rule(backends: readonly BackendRecord[], more: Partial<RuleRecord> = {}): RuleRecord {
  let totalWeight = 0;
  const cumulative = backends.map((b) => (totalWeight += b.weight));
  return {
    route: null,
    index: 0,
    name: '',
    invalid: '',
    redirect: null,
    cors: null,
    requestTimeoutMs: 0,
    backendTimeoutMs: 0,
    retry: null,
    backends,
    cumulative,
    totalWeight,
    mirrors: [],
    traceSampling: -1,
    turn: 0,
    ...more,
  };
}

/** A Service port whose every call meets one rule. */
export function portOf(fallback: RuleRecord, table: CompiledTable | null = null): CompiledPort {
  return { service: ref('payment'), table, fallback, headersThatMatter: new Set(), protocol: 0 };
}

/** A table that matches nothing. */
export function emptyTable(): CompiledTable {
  return {
    kind: 'grpc',
    rules: [],
    candidates: [],
    byPath: new Map(),
    byService: new Map(),
    byMethod: new Map(),
    general: { plain: [], byHeader: null },
  };
}

const NO_CREDENTIALS: ClientCredentials = { tlsClientContext: () => null, trustDomain: () => 'cluster.local' };

export type TestDial = (
  endpoint: EndpointState,
  onOpen: (stream: ByteStream, peerNotAfterMs: number) => void,
  onError: (error: ProxyError, detail: string) => void,
) => () => void;

export interface ProxyOptions {
  /** Ports on 127.0.0.1 of the endpoints of Service shop/payment, or of others by name. */
  endpoints: readonly number[] | Readonly<Record<string, readonly number[]>>;
  /** Default: everything goes to shop/payment. */
  port?: CompiledPort | null;
  maxPeerStreams?: number;
  /** Its clients are other sidecars or the own application. Default: if they may have more streams than strangers. */
  trusted?: boolean;
  refuseUnprocessed?: boolean;
  dial?: TestDial;
}

/** One running proxy. `count` has an entry per gRPC status (as a number), per error label and for `retried`. */
export class TestProxy {
  readonly clock: Clock;
  readonly upstreams: Upstreams;
  readonly handle: PortHandle;
  readonly count: Record<string, number> = {};
  /** Why connections closed. */
  readonly downClosed: string[] = [];
  readonly upClosed: string[] = [];
  /** Calls that wait for a connection. */
  waiting = 0;
  /** Connections that are open to endpoints, and to clients. */
  readonly up = new Set<Connection>();
  readonly down = new Set<Connection>();
  readonly series: CallSeries = { inFlight: 0, expired: false, ended: ({ grpcStatus }) => this.add(`${grpcStatus}`) };
  /** Streams reset before their end: by which side, and why. */
  readonly resets: string[] = [];
  /** Observers of calls. Default: none. */
  readonly telemetry: CallTelemetry = { tracer: null, spans: null, accessLog: null };
  readonly proxy: ExchangeDeps;
  readonly buffers = new Buffers();
  private readonly connections: DownstreamConnections;
  private readonly listener: Listener;
  private readonly ticker: NodeJS.Timeout;
  private skippedMs = 0;

  private constructor(options: ProxyOptions) {
    const now = (): number => performance.now() + this.skippedMs;
    this.clock = newClock(now);
    const plainDial: TestDial = (endpoint, onOpen, onError) =>
      dial(endpoint, '', NO_CREDENTIALS, this.clock, Date.now, {
        onOpen,
        onError: (failure, detail) => onError(DIAL_ERRORS[failure], detail),
      });
    this.upstreams = new Upstreams({
      clock: this.clock,
      wallClock: Date.now,
      dial: options.dial ?? plainDial,
      connect: http2Client(this.buffers),
      connectHttp1: http1Client(this.buffers),
      opened: (connection) => this.up.add(connection as Connection),
      closed: (connection, reason) => {
        this.up.delete(connection as Connection);
        this.upClosed.push(reason);
      },
      waiting: (change) => {
        this.waiting += change;
      },
    });
    this.handle = { current: options.port === undefined ? portOf(rule([backend('payment')])) : options.port };
    this.proxy = {
      clock: this.clock,
      random: Math.random,
      upstreams: this.upstreams,
      deadlines: new DeadlineWheel(now),
      stats: {
        series: () => this.series,
        proxyError: (label) => this.add(label),
        retried: () => this.add('retried'),
        reset: (side, reason) => this.resets.push(`${side} ${reason}`),
      },
      origin: { direction: 'outbound', caller: () => 'shop/checkout', mtls: null },
      telemetry: this.telemetry,
      replay: new ReplayRing(),
      refuseUnprocessed: options.refuseUnprocessed ?? false,
      missing: undefined,
    };
    this.connections = new DownstreamConnections(this.clock, Date.now, this.buffers, SERVER_CODECS);
    const byService = Array.isArray(options.endpoints) ? { payment: options.endpoints } : options.endpoints;
    for (const [name, ports] of Object.entries(byService)) this.setEndpoints(name, ports as readonly number[]);
    this.listener = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => ready(),
        assumed: () => null,
        onProtocol: (stream, protocol, first) => {
          if (protocol !== 'http2' && protocol !== 'http1') return stream.destroy();
          const { maxPeerStreams: maxStreams = MAX_STREAMS_PLAINTEXT_PEER, trusted = maxStreams > MAX_STREAMS_PLAINTEXT_PEER } = options;
          const peer = { ...strangerAt(stream.socket.remoteAddress ?? ''), maxStreams, trusted };
          const owner = new DownstreamOwner(this.proxy, this.handle, (connection, reason) => {
            this.down.delete(connection as Connection);
            this.downClosed.push(reason);
          });
          const connection = this.connections.serve(protocol, stream, first, owner, peer) as Connection;
          if (!connection.closed) this.down.add(connection);
        },
      },
      this.clock,
    );
    this.ticker = setInterval(() => this.tick(), 100);
  }

  static async start(options: ProxyOptions): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    await proxy.listener.listen();
    return proxy;
  }

  get port(): number {
    return this.listener.port;
  }

  setEndpoints(name: string, ports: readonly number[]): void {
    this.upstreams.update(
      ref(name),
      ports.map((port) => ({ $typeName: 'weft.v1.Endpoint', address: '127.0.0.1', port, identity: '', pod: '', zone: '' })),
    );
  }

  /** What happens about once a second. */
  tick(): void {
    this.clock.update();
    this.upstreams.tick(this.clock.nowMs);
    this.connections.tick(this.clock.nowMs);
    this.proxy.replay.tick();
  }

  /** As if that many ms had passed. */
  skip(ms: number): void {
    this.skippedMs += ms;
    this.tick();
  }

  /** Drains all connections of clients. */
  drain(deadlineMs: number): void {
    this.connections.drain(this.clock.nowMs + deadlineMs);
  }

  /** Octets held and streams open over all connections, either side: 0 when nothing leaks. */
  get leftovers(): { held: number; streams: number; inFlight: number } {
    let held = 0;
    let streams = 0;
    for (const connection of [...this.up, ...this.down]) {
      held += connection.held;
      streams += connection.openStreams;
    }
    return { held, streams, inFlight: this.series.inFlight };
  }

  close(): void {
    clearInterval(this.ticker);
    this.listener.close();
    this.connections.destroy();
    for (const connection of [...this.up]) connection.destroy('test over');
  }

  private add(key: string): void {
    this.count[key] = (this.count[key] ?? 0) + 1;
  }
}
