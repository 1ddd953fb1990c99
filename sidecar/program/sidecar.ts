// The data plane of one pod, assembled: state, inbound, outbound, counters, admin server, and a graceful end.
// Where configuration and certificates come from is main.ts's business: it calls apply() and hands in the credentials.
import { MtlsMode, type Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ALPN_HTTP2 } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { DeadlineWheel } from '../forward/deadlines.ts';
import { DIAL_ERRORS } from '../forward/errors.ts';
import type { ExchangeDeps } from '../forward/exchange-deps.ts';
import type { CallOrigin } from '../forward/outcome.ts';
import type { PoolDeps } from '../forward/pool.ts';
import { ReplayRing } from '../forward/replay.ts';
import { Upstreams } from '../forward/upstreams.ts';
import { type Clock, newClock } from '../http/clock.ts';
import { connectHttp2 } from '../http2/client.ts';
import { DownstreamConnections } from '../http2/server.ts';
import { Inbound } from '../inbound/inbound.ts';
import { type ClientCredentials, dial } from '../link/dial.ts';
import type { DetectionOutcome } from '../link/listener.ts';
import type { OriginalDestination } from '../link/original-dst.ts';
import type { ServerCredentials } from '../link/tls.ts';
import { deniedFlag } from '../observe/access-log/access-log.ts';
import type { AccessLines } from '../observe/access-log/line-writer.ts';
import type { SidecarMetrics } from '../observe/counters/metrics.ts';
import { newSeriesSource } from '../observe/counters/series-source.ts';
import type { CallReports } from '../observe/reports/reports.ts';
import { newTcpObserver } from '../observe/reports/tcp-reports.ts';
import { DirectPorts } from '../outbound/direct-ports.ts';
import { type CapturedContext, capturedOutbound, Outbound } from '../outbound/outbound.ts';
import type { AddressQuestions } from '../outbound/pod-addresses.ts';
import { Captured, type CaptureSettings } from '../pod/captured.ts';
import { portLabel } from '../route/labels.ts';
import type { ServicePortRef } from '../route/records.ts';
import { MeshState } from './state.ts';

const TICK_MS = 1000;
/** A listener that could not be opened is tried again so often, in ms. */
const LISTEN_RETRY_MS = 1000;
/** Callers with counters of their own; identities are ServiceAccounts, so they are few. */
const MAX_CALLERS = 1000;
/** Between two looks at whether the last call has ended, in ms. */
const DRAIN_LOOK_MS = 50;

/** Time and chance come from outside. */
export interface Surroundings {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Unix ms. */
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly accessLines: AccessLines;
  /** Called when all listeners are open for the first time, just before the sidecar is ready: a pause costs nobody anything then. */
  readonly startedUp?: () => void;
}

/** What the data plane asks of the control plane. */
export interface ConfigQuestions extends AddressQuestions {
  /** Asks for a Service; resolves when its configuration is in force or it is known not to exist. */
  want(service: string): Promise<unknown>;
  /** The control plane answers. */
  connected(): boolean;
}

export type SidecarCredentials = ServerCredentials & ClientCredentials;

export class Sidecar {
  readonly state: MeshState;
  readonly connections: DownstreamConnections;
  private readonly log: Logger;
  private readonly around: Surroundings;
  private readonly clock: Clock;
  private readonly metrics: SidecarMetrics;
  private readonly reports: CallReports;
  private readonly credentials: SidecarCredentials;
  private readonly outbound: Outbound;
  private readonly inbound: Inbound;
  /** null: explicit listeners only. */
  private readonly captured: Captured | null;
  private readonly directs: DirectPorts;
  private readonly outboundUpstreams: Upstreams;
  private readonly inboundUpstreams: Upstreams;
  private readonly deadlines: DeadlineWheel;
  private readonly replay = new ReplayRing();
  private readonly callers = new Map<string, ExchangeDeps>();
  /** Opening and closing of listeners, one after the other. */
  private listening: Promise<void> = Promise.resolve();
  private listenProblems: readonly string[] = ['the control plane has not said yet what to listen on'];
  private readonly timer: NodeJS.Timeout;
  private startedUp = false;
  private stopped = false;

  /** @param capture null where nothing is redirected to us */
  constructor(
    log: Logger,
    around: Surroundings,
    metrics: SidecarMetrics,
    reports: CallReports,
    credentials: SidecarCredentials,
    questions: ConfigQuestions,
    capture: CaptureSettings | null,
  ) {
    this.log = log;
    this.around = around;
    this.metrics = metrics;
    this.reports = reports;
    this.credentials = credentials;
    this.clock = newClock(around.now);
    this.deadlines = new DeadlineWheel(around.now);
    this.connections = new DownstreamConnections(this.clock, around.wallClock);
    const outbound = (to: OriginalDestination) => capturedOutbound(outboundContext, to);
    const inbound = (to: OriginalDestination) => this.inbound.capturedHandler(to);
    this.captured = capture === null ? null : new Captured(capture, this.clock, { outbound, inbound });
    const hairpin = (address: string): string | undefined => this.captured?.hairpin(address);
    const isOpaque = (port: number): boolean => this.captured?.isOpaque(port) ?? false;
    const ejected = (ref: ServicePortRef, reason: string): void => metrics.ejections.add({ backend: portLabel(ref), reason });
    this.outboundUpstreams = new Upstreams(this.poolContext(hairpin), ejected);
    this.inboundUpstreams = new Upstreams(
      this.poolContext(() => undefined),
      ejected,
    );
    this.directs = new DirectPorts(this.outboundUpstreams, questions);
    this.state = new MeshState(
      this.outboundUpstreams,
      { workload: (workload) => this.take(workload), pod: (answer) => this.directs.take(answer) },
      around.random(),
    );
    const tcp = newTcpObserver(metrics, reports, around.now);
    const shared = { credentials, connections: this.connections, log, wallClock: around.wallClock, isOpaque, tcp };
    const counting = (direction: CallOrigin['direction']) => ({
      detected: (outcome: DetectionOutcome) => metrics.detections.add({ direction, outcome }),
    });
    const outboundContext: CapturedContext = {
      ...shared,
      ...counting('outbound'),
      proxy: this.proxyContext(this.outboundUpstreams, false, { direction: 'outbound', caller: () => this.caller(), mtls: null }),
      port: (ref) => this.state.port(ref),
      want: (service) => questions.want(service),
      connected: () => questions.connected(),
      hairpin,
      addresses: this.state.addresses,
      directs: this.directs,
      closed: (reason) => metrics.downstreamCloses.add(reason),
    };
    this.outbound = new Outbound(outboundContext);
    this.inbound = new Inbound({
      ...shared,
      ...counting('inbound'),
      proxyFor: (caller) => this.inboundContext(caller),
      workload: () => ({ namespace: this.state.workload?.namespace ?? '', name: this.state.workload?.name ?? '' }),
      mtls: () => this.state.workload?.mtls ?? MtlsMode.PERMISSIVE,
      tlsRefused: (reason, service) => {
        metrics.tlsRefusals.add(reason);
        log.info('inbound connection refused', { reason });
        const nowMs = around.now();
        const { origin } = this.inboundContext('');
        const nothing = { endpoint: null, startMs: nowMs, endMs: nowMs, sent: 0, received: 0 };
        reports.connectionEnded({ origin, service, ...nothing, error: deniedFlag(reason), reason });
      },
      closed: (reason) => metrics.downstreamCloses.add(reason),
    });
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** '' when traffic can be served, else what is missing. */
  notReady(): string {
    if (this.stopped) return 'stopping';
    if (this.credentials.tlsServerContext() === null) return 'no certificate yet';
    return this.listenProblems.join('; ');
  }

  /** What is in force, for /config_dump. */
  dump(): object {
    const backends = [...this.outboundUpstreams.dump()].map(({ backend, endpoints }) => ({
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
    return { ...this.state.dump(), listenProblems: this.listenProblems, backends };
  }

  /** By backend, "ns/name:port": endpoints that get no calls now. */
  ejectedEndpoints(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const upstreams of [this.outboundUpstreams, this.inboundUpstreams]) {
      for (const [ref, ejected] of upstreams.ejected(this.around.now()))
        counts.set(portLabel(ref), (counts.get(portLabel(ref)) ?? 0) + ejected);
    }
    return counts;
  }

  /** Takes no new connections, lets calls end for so long, then drops what is left. */
  async stop(drainMs: number): Promise<void> {
    this.stopped = true;
    await this.listening;
    this.outbound.close();
    this.inbound.close();
    this.captured?.close();
    const deadlineMs = this.around.now() + drainMs;
    this.connections.drain(deadlineMs);
    while (this.connections.size > 0 && this.around.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
      this.tick();
    }
    clearInterval(this.timer);
    this.connections.destroy();
    this.outboundUpstreams.drain(0);
    this.inboundUpstreams.drain(0);
  }

  /** Addresses that the control plane is asked about. */
  addresses(): string[] {
    return this.directs.addresses();
  }

  private caller(): string {
    const { workload } = this.state;
    return workload === null ? '' : `${workload.namespace}/${workload.name || workload.pod}`;
  }

  private tick(): void {
    this.clock.update();
    const { nowMs } = this.clock;
    this.outboundUpstreams.tick(nowMs);
    this.inboundUpstreams.tick(nowMs);
    this.connections.tick(nowMs);
    this.directs.tick(nowMs);
    this.metrics.expire(nowMs);
  }

  private take(workload: Workload): void {
    if (workload.mtls === MtlsMode.STRICT) this.inbound.endPlaintext();
    this.reports.take(workload.telemetry);
    this.listen(workload);
  }

  /** Opens what the pod is to listen on; what fails is tried again until it works or the workload changes. */
  private listen(workload: Workload): void {
    this.listening = this.listening.then(async () => {
      if (this.stopped || this.state.workload !== workload) return;
      const problems = [
        ...(await this.inbound.setListeners(workload.inbound)),
        ...(await this.outbound.setListeners(workload.outbound)),
        ...((await this.captured?.open()) ?? []),
      ];
      for (const problem of problems) if (!this.listenProblems.includes(problem)) this.log.error(problem);
      if (problems.length === 0 && this.listenProblems.length > 0) {
        this.log.info('listening', { inbound: workload.inbound.length, outbound: workload.outbound.length });
        if (!this.startedUp) this.around.startedUp?.();
        this.startedUp = true;
      }
      this.listenProblems = problems;
      if (problems.length > 0) setTimeout(() => this.listen(workload), LISTEN_RETRY_MS).unref();
    });
  }

  private inboundContext(caller: string): ExchangeDeps {
    let context = this.callers.get(caller);
    if (context === undefined) {
      const origin = { direction: 'inbound', caller: () => caller, mtls: caller !== '' } as const;
      context = this.proxyContext(this.inboundUpstreams, caller !== '', origin);
      if (this.callers.size < MAX_CALLERS) this.callers.set(caller, context);
    }
    return context;
  }

  private proxyContext(upstreams: Upstreams, refuseUnprocessed: boolean, origin: CallOrigin): ExchangeDeps {
    return {
      clock: this.clock,
      random: this.around.random,
      upstreams,
      deadlines: this.deadlines,
      stats: newSeriesSource(this.metrics, origin),
      origin,
      telemetry: this.reports.calls,
      replay: this.replay,
      refuseUnprocessed,
    };
  }

  private poolContext(localAddressFor: (address: string) => string | undefined): PoolDeps {
    return {
      clock: this.clock,
      wallClock: this.around.wallClock,
      dial: ({ address, port, identity }, onOpen, onError) => {
        const target = { address, port, identity, localAddress: localAddressFor(address) };
        return dial(target, ALPN_HTTP2, this.credentials, this.clock, this.around.wallClock, {
          onOpen,
          onError: (failure, detail) => onError(DIAL_ERRORS[failure], detail),
        });
      },
      connect: connectHttp2,
      opened: () => {
        this.metrics.upstreamConnections++;
      },
      closed: (_connection, reason) => {
        this.metrics.upstreamConnections--;
        this.metrics.upstreamCloses.add(reason);
      },
    };
  }
}
