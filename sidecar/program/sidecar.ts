// The data plane of one pod, assembled: both directions, what forwards between them, captured ports, and a graceful
// end. program.ts joins it to the control plane, which hands in resources by takers() and certificates by the
// credentials.
import { MtlsMode, type Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { DEFAULT_OPAQUE_PORTS, includesPort, type PortRange, parsePortRanges } from '#core/contract/port-ranges.ts';
import type { Logger } from '#core/program/log.ts';
import { systemTimers } from '#core/program/timers.ts';
import type { ResourceTakers } from '../control/resources.ts';
import type { CallOrigin } from '../forward/outcome.ts';
import { Buffers } from '../http/buffers.ts';
import { type Clock, newClock } from '../http/clock.ts';
import { DownstreamConnections } from '../http/downstream-connections.ts';
import { Inbound } from '../inbound/inbound.ts';
import type { ClientCredentials } from '../link/dial.ts';
import type { DetectionOutcome } from '../link/listener.ts';
import type { ServerCredentials } from '../link/tls.ts';
import { deniedFlag } from '../observe/access-log/access-log.ts';
import type { SidecarMetrics } from '../observe/counters/metrics.ts';
import { newTcpObserver } from '../observe/reports/tcp-reports.ts';
import type { TelemetryInForce } from '../observe/reports/telemetry-in-force.ts';
import type { CapturedOutboundDeps } from '../outbound/deps.ts';
import { DirectPorts } from '../outbound/direct-ports.ts';
import { capturedOutbound, Outbound } from '../outbound/outbound.ts';
import { isOutside } from '../outbound/outside.ts';
import type { AddressQuestions } from '../outbound/pod-addresses.ts';
import { Services } from '../outbound/services.ts';
import { CapturedPorts, type CapturedPortsSettings } from '../pod/capture/ports.ts';
import type { ServicePortRef } from '../route/records.ts';
import { SERVER_CODECS } from './codecs.ts';
import { Forwarding } from './forwarding.ts';
import { Listening } from './listening.ts';

const TICK_MS = 1000;
const USUALLY_OPAQUE = parsePortRanges(DEFAULT_OPAQUE_PORTS).ranges;
/** Between two looks at whether the last call has ended, in ms. */
const DRAIN_LOOK_MS = 50;

/** What the data plane asks of the control plane. */
export interface ConfigQuestions extends AddressQuestions {
  /**
   * Asks for a Service, "<namespace>/<name>"; resolves when its configuration is in force or it is known not to exist.
   */
  want(service: string): Promise<unknown>;
}

export interface SidecarDeps {
  /** Monotonic and Unix ms. */
  readonly now: () => number;
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /**
   * Called when all listeners are open for the first time, just before the sidecar is ready: a pause then delays no
   * call.
   */
  readonly startedUp: () => void;
  readonly log: Logger;
  readonly metrics: SidecarMetrics;
  readonly telemetry: TelemetryInForce;
  readonly credentials: ServerCredentials & ClientCredentials & { expired(): string };
  readonly questions: ConfigQuestions;
  /** Ports whose connections are passed as TCP without a look at what they carry, captured or not. */
  readonly opaquePorts: readonly PortRange[];
  /** null: nothing is redirected to us, there are explicit listeners only. */
  readonly capture: CapturedPortsSettings | null;
}

export class Sidecar {
  readonly connections: DownstreamConnections;
  readonly forwarding: Forwarding;
  private readonly deps: SidecarDeps;
  private readonly clock: Clock;
  private readonly services: Services;
  private readonly directs: DirectPorts;
  private readonly outbound: Outbound;
  private readonly inbound: Inbound;
  private readonly captured: CapturedPorts | null;
  private readonly listening: Listening;
  private readonly timer: NodeJS.Timeout;
  private current: Workload | null = null;
  private isStopping = false;
  /** End of the certificate in force, Unix ms; 0: there is none yet. */
  private ownNotAfterMs = 0;

  constructor(deps: SidecarDeps) {
    const { now, wallClock, random, log, metrics, telemetry, credentials, questions, capture } = deps;
    this.deps = deps;
    this.clock = newClock(now);
    const buffers = new Buffers();
    this.connections = new DownstreamConnections(this.clock, wallClock, buffers, SERVER_CODECS);
    const hairpin = (address: string): string | undefined => this.captured?.hairpin(address);
    const workload = (): string => this.workloadLabel();
    this.forwarding = new Forwarding({
      clock: this.clock,
      now,
      wallClock,
      random,
      credentials,
      metrics,
      telemetry: telemetry.calls,
      hairpin,
      workload,
      buffers,
    });
    const { outboundUpstreams } = this.forwarding;
    this.services = new Services(outboundUpstreams, random(), capture?.podIps ?? []);
    const { addresses } = this.services;
    this.directs = new DirectPorts(outboundUpstreams, questions, (place) => addresses.places.isServiceOnly(place));
    const sideOf = (direction: CallOrigin['direction']) => ({
      credentials,
      connections: this.connections,
      wallClock,
      log,
      timers: systemTimers,
      tcp: newTcpObserver(metrics, telemetry, now),
      isOpaque: (port: number, isDeclared = false): boolean =>
        includesPort(deps.opaquePorts, port) && !(isDeclared && includesPort(USUALLY_OPAQUE, port)),
      detected: (outcome: DetectionOutcome) => metrics.detections.add({ direction, outcome }),
      closed: (reason: string) => metrics.downstreamCloses.add(reason),
    });
    const outboundDeps: CapturedOutboundDeps = {
      ...sideOf('outbound'),
      proxy: this.forwarding.outbound,
      port: (ref) => this.services.port(ref),
      want: (service) => questions.want(service),
      connected: () => questions.connected(),
      hairpin,
      addresses,
      directs: this.directs,
      isOutside: (address) => isOutside(address, capture?.podIps ?? []),
    };
    this.outbound = new Outbound(outboundDeps);
    this.inbound = new Inbound({
      ...sideOf('inbound'),
      proxyFor: (caller) => this.forwarding.inboundOf(caller),
      workload: () => ({ namespace: this.current?.namespace ?? '', name: this.current?.name ?? '' }),
      mtls: () => this.current?.mtls ?? MtlsMode.PERMISSIVE,
      tlsRefused: (reason, service, detail) => this.refused(reason, service, detail),
    });
    this.captured =
      capture === null
        ? null
        : new CapturedPorts(capture, this.clock, {
            outbound: (to) => capturedOutbound(outboundDeps, to),
            inbound: (to) => this.inbound.capturedHandler(to),
          });
    this.listening = new Listening((wanted) => this.open(wanted), deps.startedUp, log);
    this.timer = setInterval(() => this.tick(), TICK_MS);
  }

  /** The pod's own configuration; null: it has not come yet. */
  get workload(): Workload | null {
    return this.current;
  }

  /** What takes each kind of resource, but for trust, which is the credentials'. */
  takers(): Omit<ResourceTakers, 'trust'> {
    const { services, directs } = this;
    const { addresses } = services;
    return {
      workload: { take: (workload) => this.take(workload) },
      places: { take: (places, version) => addresses.places.take(places, version), remove: () => addresses.places.clear() },
      endpoints: { take: (endpoints) => services.takeEndpoints(endpoints), remove: (key) => services.removeEndpoints(key) },
      service: { take: (service) => services.takeService(service), remove: (key) => services.removeService(key) },
      pod: { take: (answer) => directs.take(answer) },
      address: { take: (address) => addresses.take(address), remove: (key) => addresses.remove(key) },
    };
  }

  /** A certificate or roots come into force. @param notAfterMs end of the certificate, Unix ms */
  renewed(notAfterMs: number): void {
    const oldNotAfterMs = this.ownNotAfterMs;
    this.ownNotAfterMs = notAfterMs;
    if (oldNotAfterMs === 0) return;
    this.clock.update();
    this.connections.renewed(oldNotAfterMs);
    this.forwarding.renewed(oldNotAfterMs);
  }

  /** '' when traffic can be served, else what is missing. */
  notReady(): string {
    if (this.isStopping) return 'stopping';
    if (this.deps.credentials.tlsServerContext() === null) return 'no certificate yet';
    return this.deps.credentials.expired() || this.listening.problems.join('; ');
  }

  /** What is in force, for /config_dump. */
  dump(): object {
    return {
      workload: this.current,
      ...this.services.dump(),
      listenProblems: this.listening.problems,
      backends: this.forwarding.dump(),
    };
  }

  /** Addresses that the control plane is asked about. */
  addresses(): string[] {
    return this.directs.addresses();
  }

  /** Takes no new connections, lets calls end for so long, then drops what is left. */
  async stop(drainMs: number): Promise<void> {
    this.isStopping = true;
    await this.listening.stop();
    this.outbound.close();
    this.inbound.close();
    this.captured?.close();
    const deadlineMs = this.deps.now() + drainMs;
    this.connections.drain(deadlineMs);
    while (this.connections.size > 0 && this.deps.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_LOOK_MS));
      this.tick();
    }
    clearInterval(this.timer);
    this.connections.destroy();
    this.forwarding.close();
  }

  private tick(): void {
    this.clock.update();
    const { nowMs } = this.clock;
    this.forwarding.tick(nowMs);
    this.connections.tick(nowMs);
    this.directs.tick(nowMs);
    this.deps.metrics.expire(nowMs);
  }

  private take(workload: Workload): void {
    this.current = workload;
    this.services.setLocation(workload);
    if (workload.mtls === MtlsMode.STRICT) this.inbound.endPlaintext();
    this.deps.telemetry.take(workload.telemetry);
    if (!this.isStopping) this.listening.take(workload);
  }

  private async open(workload: Workload): Promise<string[]> {
    return [
      ...(await this.inbound.setListeners(workload.inbound)),
      ...(await this.outbound.setListeners(workload.outbound)),
      ...((await this.captured?.open()) ?? []),
    ];
  }

  /** Counts and logs a connection that the inbound side has refused. */
  private refused(reason: string, service: ServicePortRef, detail = reason): void {
    const { metrics, log, telemetry, now } = this.deps;
    metrics.tlsRefusals.add(reason);
    log.info('inbound connection refused', { reason: detail });
    const nowMs = now();
    const { origin } = this.forwarding.inboundOf('');
    const nothing = { endpoint: null, startMs: nowMs, endMs: nowMs, sent: 0, received: 0 };
    telemetry.connectionEnded({ origin, service, ...nothing, error: deniedFlag(reason), reason: detail });
  }

  /** This workload as counters call it: "namespace/name", of a pod without a workload "namespace/pod". */
  private workloadLabel(): string {
    return this.current === null ? '' : `${this.current.namespace}/${this.current.name || this.current.pod}`;
  }
}
