// What forwards calls in both directions: endpoints with their connections, deadlines, and the contexts by which calls
// are counted.
import { ALPN_HTTP2 } from '#core/contract/names.ts';
import { DeadlineWheel } from '../forward/deadlines.ts';
import type { CallTelemetry } from '../forward/ended-call.ts';
import { DIAL_ERRORS } from '../forward/errors.ts';
import type { ExchangeDeps } from '../forward/exchange-deps.ts';
import type { CallOrigin } from '../forward/outcome.ts';
import type { PoolDeps } from '../forward/pool.ts';
import { ReplayRing } from '../forward/replay.ts';
import { Upstreams } from '../forward/upstreams.ts';
import type { Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import { http1Client } from '../http1/client.ts';
import { http2Client } from '../http2/client.ts';
import { type ClientCredentials, dial } from '../link/dial.ts';
import type { SidecarMetrics } from '../observe/counters/metrics.ts';
import { newSeriesSource } from '../observe/counters/series-source.ts';
import { portLabel } from '../route/labels.ts';
import type { ServicePortRef } from '../route/records.ts';

/** Callers with counters of their own; identities are ServiceAccounts, so they are few. */
const MAX_CALLERS = 1000;

export interface ForwardingDeps {
  readonly clock: Clock;
  /** Monotonic and Unix ms. */
  readonly now: () => number;
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly credentials: ClientCredentials;
  readonly metrics: SidecarMetrics;
  readonly telemetry: CallTelemetry;
  /** The account of what all connections hold. */
  readonly buffers: Buffers;
  /** The address to come from when an address is our own pod's (pod/capture/ports.ts); undefined: it is not. */
  hairpin(address: string): string | undefined;
  /** This workload, "namespace/name"; '' while it is not known. */
  workload(): string;
}

export class Forwarding {
  /** Backends of the Services that this workload calls. */
  readonly outboundUpstreams: Upstreams;
  /** By which calls of this workload are forwarded. */
  readonly outbound: ExchangeDeps;
  /** Ports of the application in this pod. */
  private readonly inboundUpstreams: Upstreams;
  private readonly deps: ForwardingDeps;
  private readonly deadlines: DeadlineWheel;
  private readonly replay = new ReplayRing();
  /** By SPIFFE id, '' for plaintext. */
  private readonly callers = new Map<string, ExchangeDeps>();

  constructor(deps: ForwardingDeps) {
    this.deps = deps;
    this.deadlines = new DeadlineWheel(deps.now);
    const ejected = (ref: ServicePortRef, reason: string): void => deps.metrics.ejections.add({ backend: portLabel(ref), reason });
    this.outboundUpstreams = new Upstreams(this.poolDeps(deps.hairpin), ejected);
    this.inboundUpstreams = new Upstreams(
      this.poolDeps(() => undefined),
      ejected,
    );
    this.outbound = this.exchangeDeps(this.outboundUpstreams, false, { direction: 'outbound', caller: deps.workload, mtls: null });
  }

  /** By which a peer's calls to this pod are forwarded. @param caller SPIFFE id, '' in plaintext */
  inboundOf(caller: string): ExchangeDeps {
    let deps = this.callers.get(caller);
    if (deps === undefined) {
      const origin = { direction: 'inbound', caller: () => caller, mtls: caller !== '' } as const;
      deps = this.exchangeDeps(this.inboundUpstreams, caller !== '', origin);
      if (this.callers.size < MAX_CALLERS) this.callers.set(caller, deps);
    }
    return deps;
  }

  /** About once a second. */
  tick(nowMs: number): void {
    this.outboundUpstreams.tick(nowMs);
    this.inboundUpstreams.tick(nowMs);
    this.replay.tick();
  }

  /** This sidecar's certificate was renewed, or its roots. @param ownNotAfterMs end of the old one, Unix ms */
  renewed(ownNotAfterMs: number): void {
    this.outboundUpstreams.renewed(ownNotAfterMs);
    this.inboundUpstreams.renewed(ownNotAfterMs);
  }

  /** Ends all connections to endpoints. */
  close(): void {
    this.outboundUpstreams.drain(0);
    this.inboundUpstreams.drain(0);
  }

  /** By backend, "ns/name:port": endpoints that get no calls now. */
  ejectedEndpoints(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const upstreams of [this.outboundUpstreams, this.inboundUpstreams]) {
      for (const [ref, ejected] of upstreams.ejected(this.deps.now()))
        counts.set(portLabel(ref), (counts.get(portLabel(ref)) ?? 0) + ejected);
    }
    return counts;
  }

  /** Backends and the state of their endpoints, for /config_dump. */
  dump(): object[] {
    return [...this.outboundUpstreams.dump()].map(({ backend, endpoints }) => ({
      backend,
      endpoints: endpoints.map(({ key, identity, pod, inFlight, ewmaMs, ejected }) => ({
        endpoint: key,
        identity,
        pod,
        inFlight,
        latencyMs: ewmaMs,
        ejected,
      })),
    }));
  }

  private exchangeDeps(upstreams: Upstreams, refuseUnprocessed: boolean, origin: CallOrigin): ExchangeDeps {
    const { clock, random, metrics, telemetry } = this.deps;
    const { deadlines, replay } = this;
    return {
      clock,
      random,
      upstreams,
      deadlines,
      stats: newSeriesSource(metrics, origin),
      origin,
      telemetry,
      replay,
      refuseUnprocessed,
      missing: undefined,
    };
  }

  private poolDeps(localAddressFor: (address: string) => string | undefined): PoolDeps {
    const { clock, wallClock, credentials, metrics, buffers } = this.deps;
    return {
      clock,
      wallClock,
      dial: ({ address, port, identity }, onOpen, onError) => {
        const target = { address, port, identity, localAddress: localAddressFor(address) };
        return dial(target, ALPN_HTTP2, credentials, clock, wallClock, {
          onOpen,
          onError: (failure, detail) => onError(DIAL_ERRORS[failure], detail),
        });
      },
      connect: http2Client(buffers),
      connectHttp1: http1Client(buffers),
      opened: () => metrics.upstreamConnections.add(),
      closed: (_connection, reason) => {
        metrics.upstreamConnections.add(-1);
        metrics.upstreamCloses.add(reason);
      },
      waiting: (change) => {
        metrics.callsWaiting.add(change);
        if (change > 0) metrics.callsWaited.add(change);
      },
    };
  }
}
