// A running sidecar: the data plane joined to its certificate, its configuration stream and its admin server.
import { randomBytes } from 'node:crypto';
import type { Logger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { AdminServer } from '../admin/admin.ts';
import { Credentials } from '../control/credentials.ts';
import { applyResources, type ResourceTakers } from '../control/resources.ts';
import { ConfigStream } from '../control/stream.ts';
import { AccessLog } from '../observe/access-log/access-log.ts';
import type { AccessLines } from '../observe/access-log/line-writer.ts';
import { SidecarMetrics } from '../observe/counters/metrics.ts';
import { TelemetryInForce } from '../observe/reports/telemetry-in-force.ts';
import { reportTracedCalls, TracedCalls } from '../observe/reports/traced-calls.ts';
import { RandomWords } from '../observe/tracing/ids.ts';
import { MAX_EXPORTS } from '../observe/tracing/span-exporter.ts';
import { Tracing } from '../observe/tracing/tracing.ts';
import type { SidecarSettings } from './settings.ts';
import { type ConfigQuestions, Sidecar } from './sidecar.ts';

/** What the program takes from the process that runs it. */
export interface SidecarProgramDeps {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Unix ms. */
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly accessLines: AccessLines;
  /**
   * Called when all listeners are open for the first time, just before the sidecar is ready: a pause then delays no
   * call.
   */
  readonly startedUp?: () => void;
}

export interface SidecarProgram {
  /** Lets calls end, then stops everything. */
  stop(): Promise<void>;
  /** '' when traffic can be served, else what is missing. */
  notReady(): string;
}

/**
 * Starts a sidecar: its admin port is open when this resolves; it becomes ready when the control plane has answered.
 * @param version of the program
 * @param timers by which the certificate is renewed and the configuration stream opened again
 * @throws the system's error when the admin address cannot be opened
 */
export async function startSidecar(
  settings: SidecarSettings,
  version: string,
  log: Logger,
  deps: SidecarProgramDeps,
  timers: Timers = systemTimers,
): Promise<SidecarProgram> {
  const metrics = new SidecarMetrics();
  const shared = { controlPlane: settings.controlPlane, timers, random: deps.random };
  const credentials = new Credentials({
    ...shared,
    tokenFile: settings.tokenFile,
    trustBundleFile: settings.trustBundleFile,
    trustRoots: settings.trustRoots,
    trustDomain: settings.trustDomain,
    log: log.child('credentials'),
  });
  const stream = new ConfigStream({
    ...shared,
    credentials,
    version,
    namespace: settings.namespace,
    pod: settings.pod,
    addresses: () => sidecar.addresses(),
    apply: (resources, removed) => applyResources(takers, resources, removed),
    log: log.child('config'),
  });
  const questions: ConfigQuestions = {
    want: (service) => stream.want(service),
    connected: () => stream.connected,
    ask: (address) => stream.askAddress(address),
    drop: (addresses) => stream.dropAddresses(addresses),
  };
  const { opaquePorts } = settings;
  const byAgent = settings.capture === 'agent';
  const capture = settings.capture === 'disabled' ? null : { podIps: settings.podIps, byAgent };
  const tracing = new Tracing({
    settings: settings.tracing,
    now: deps.now,
    wallClock: deps.wallClock,
    random: new RandomWords(randomBytes(16)),
    version,
    workload: () => ({ namespace: settings.namespace, pod: settings.pod, name: sidecar.workload?.name ?? '' }),
    counters: {
      exported: (spans) => metrics.spansExported.add(spans),
      dropped: (reason, spans) => metrics.spansDropped.add(reason, spans),
    },
    load: async (url) => (await import('../observe/tracing/otlp.ts')).createSpanSender(url, MAX_EXPORTS),
    log: log.child('tracing'),
  });
  const accessLog = new AccessLog((line) => deps.accessLines.access(line), deps.wallClock);
  const tracedCalls = new TracedCalls(deps.wallClock);
  const stopReporting = reportTracedCalls(tracedCalls, stream, systemTimers);
  const telemetry = new TelemetryInForce(tracing, accessLog, tracedCalls, settings.accessLog, log.child('telemetry'));
  const { now, wallClock, random, startedUp = () => {} } = deps;
  const sidecar = new Sidecar({ now, wallClock, random, startedUp, log, metrics, telemetry, credentials, questions, opaquePorts, capture });
  const takers: ResourceTakers = { ...sidecar.takers(), trust: { take: (bundle) => credentials.setTrust(bundle) } };
  const admin = new AdminServer({
    notReady: () => sidecar.notReady(),
    probes: { targets: settings.probes, podAddress: settings.podIps[0] ?? '127.0.0.1' },
    metrics: (page) =>
      metrics.write(page, {
        version,
        nowMs: wallClock(),
        certificate: credentials.status(),
        stream: stream.status(),
        downstreamConnections: sidecar.connections.size,
        ejectedEndpoints: sidecar.forwarding.ejectedEndpoints(),
        accessLines: deps.accessLines,
      }),
    configDump: () => ({ version, certificate: credentials.status(), stream: stream.status(), ...sidecar.dump() }),
    series: () => metrics.requests.all(),
    unixMs: metrics.requests.unixMs,
  });
  try {
    await admin.listen(settings.admin.host, settings.admin.port);
  } catch (error) {
    stopReporting();
    await sidecar.stop(0);
    throw error;
  }
  credentials.onChange((leaf) => sidecar.renewed(leaf.notAfterMs));
  credentials.start();
  stream.start();
  return {
    notReady: () => sidecar.notReady(),
    async stop() {
      await sidecar.stop(settings.drainMs);
      stopReporting();
      await telemetry.stop();
      stream.stop();
      credentials.stop();
      admin.close();
    },
  };
}
