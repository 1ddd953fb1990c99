// A whole mesh in one process: a real control plane, real sidecars, real sockets and TLS on loopback; only the
// applications are the test's own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Authority } from '#certs/authority.ts';
import type { AuthorityInUse } from '#certs/in-use.ts';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { MtlsMode, type TelemetrySchema, type Workload, WorkloadSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { workloadSpiffeId } from '#core/contract/identity.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import type { StatsSeries } from '#core/contract/stats.ts';
import { silentLogger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';
import { readTracingSettings } from '#sidecar/observe/tracing/settings.ts';
import { type SidecarProgram, startSidecar } from '#sidecar/program/program.ts';
import { PushedTimers } from './pushed-timers.ts';
import { until } from './until.ts';

const TRUST_DOMAIN = 'cluster.local';
export const NAMESPACE = 'shop';
/** Every Service and every application port of a test mesh. */
export const PORT = 8080;

/** A Service that no pod calls; see TestMesh.settled(). */
const EPOCH = 'epoch';

/** The parts of /config_dump that stories look at. */
export interface SidecarDump {
  readonly certificate: { readonly identity: string; readonly notAfterMs: number; readonly issued: number; readonly failures: number };
  readonly stream: {
    readonly connected: boolean;
    readonly connects: number;
    readonly versions: Readonly<Record<string, string>>;
    readonly rejected: Readonly<Record<string, string>>;
  };
  readonly services: readonly { readonly namespace: string; readonly name: string }[];
}

/** A pod: an optional application behind it, and the Services it calls. */
export interface TestPod {
  readonly name: string;
  /** Default: the pod's name. */
  readonly serviceAccount?: string;
  readonly namespace?: string;
  /** It has an application that listens at appAddress(), started by the test. */
  readonly serves?: boolean;
  /** Names of Services ("name", "ns/name" or "name:port") that it calls; they need not exist. */
  readonly calls?: readonly string[];
  readonly mtls?: MtlsMode;
  /** What the Pod object says, when that is not what its certificate says. */
  readonly publishedServiceAccount?: string;
}

export interface MeshOptions {
  readonly pods: readonly TestPod[];
  /** Service ("name" or "ns/name") → names of the pods behind it. */
  readonly services: Readonly<Record<string, readonly string[]>>;
  readonly routes?: readonly KubeObject[];
  /** Added to the specs of Services, by the same names. */
  readonly specs?: Readonly<Record<string, object>>;
  /** Ports of every Service, all with the applications' port behind them. Default PORT alone. */
  readonly ports?: readonly number[];
  /** Whether they say that they are HTTP/2. Default true. */
  readonly declared?: boolean;
  readonly leafLifetimeMs?: number;
  /** Absent: one that never changes. */
  readonly authority?: AuthorityInUse;
  /** WEFT_OPAQUE_PORTS of every sidecar. Default: none. */
  readonly opaquePorts?: string;
  /** OTEL_ variables of every sidecar. Default: no tracing. */
  readonly otel?: Readonly<Record<string, string>>;
}

let meshes = 0;

interface RunningSidecar {
  readonly program: SidecarProgram;
  readonly settings: { drainMs: number };
  readonly accessLines: readonly string[];
}

export class TestMesh {
  controlPlane: ControlPlane;
  /** Of the sidecars' certificates and configuration streams. */
  readonly timers = new PushedTimers();
  private readonly options: MeshOptions;
  private readonly directory: string;
  private readonly sidecars = new Map<string, RunningSidecar>();
  private readonly tokens: TokenIssuer;
  private readonly authority: AuthorityInUse;
  private readonly net: string;
  /** Pods behind a Service, as the test changes them. */
  private readonly members: Map<string, readonly string[]>;
  private routes: readonly KubeObject[];
  private readonly telemetry = new Map<string, MessageInitShape<typeof TelemetrySchema>>();
  /** Counts what was published; the address of a Service carries it to the sidecars, which know where all Services are. */
  private epoch = 0;

  private constructor(
    options: MeshOptions,
    directory: string,
    authority: AuthorityInUse,
    tokens: TokenIssuer,
    controlPlane: ControlPlane,
    net: string,
  ) {
    this.options = options;
    this.directory = directory;
    this.authority = authority;
    this.tokens = tokens;
    this.controlPlane = controlPlane;
    this.net = net;
    this.members = new Map(Object.entries(options.services));
    this.routes = options.routes ?? [];
  }

  /** Resolves when every sidecar is ready. */
  static async start(options: MeshOptions): Promise<TestMesh> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-mesh-'));
    const { leafLifetimeMs } = options;
    const authority = options.authority ?? (await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now, leafLifetimeMs }));
    const tokens = new TokenIssuer({ now: Date.now });
    // Own addresses for each mesh of each process, so that tests may run at the same time.
    const net = `127.${100 + (process.pid % 100)}.${(Math.floor(process.pid / 100) + 7 * meshes++) % 250}`;
    let mesh: TestMesh | null = null;
    const controlPlane = await startControlPlane({
      authority,
      verifyToken: (token) => tokens.verify(token),
      host: '127.0.0.1',
      port: 0,
      log: silentLogger,
      workloadOf: ({ namespace, pod }) => mesh?.workloadOf(namespace, pod),
    });
    mesh = new TestMesh(options, directory, authority, tokens, controlPlane, net);
    mesh.publish();
    for (const pod of options.pods) await mesh.startSidecar(pod.name);
    return mesh;
  }

  /** Where a pod's application finds a Service (as in its `calls`): its own sidecar's listener. */
  address(pod: string, service: string): { host: string; port: number } {
    const index = (this.pod(pod).calls ?? []).indexOf(service);
    if (index < 0) throw new Error(`${pod} does not call ${service} in this mesh`);
    return { host: `${this.net}.${100 + this.podNumber(pod) * 10 + index}`, port: PORT };
  }

  /** The address that other pods dial to reach a pod. */
  podAddress(pod: string): string {
    return `${this.net}.${1 + this.podNumber(pod)}`;
  }

  /** Where a pod's application has to listen. */
  appAddress(pod: string): { host: string; port: number } {
    return { host: `${this.net}.${50 + this.podNumber(pod)}`, port: PORT };
  }

  /** Publishes other routes; see settled(). */
  setRoutes(routes: readonly KubeObject[]): void {
    this.publish(routes);
  }

  /** Publishes what a pod's tracing and access log shall be; see settled(). */
  setTelemetry(pod: string, telemetry: MessageInitShape<typeof TelemetrySchema>): void {
    this.telemetry.set(pod, telemetry);
    this.publish();
  }

  /** Keeps other routes for the control plane that is started next. */
  remember(routes: readonly KubeObject[]): void {
    this.routes = routes;
    this.epoch++;
  }

  /** Puts other pods behind a Service, or makes a new one; null: it is deleted. */
  setMembers(service: string, pods: readonly string[] | null): void {
    if (pods === null) this.members.delete(service);
    else this.members.set(service, pods);
    this.publish();
  }

  /** Resolves when all that was published is in force in all sidecars. */
  async settled(): Promise<void> {
    const address = epochAddress(this.epoch);
    for (const pod of this.sidecars.keys()) {
      await until(async () => {
        const { places } = this.controlPlane.publisher.catalogue;
        const { stream } = await this.dump(pod);
        return places.keysAt(address).length === 1 && stream.versions.places === places.resource().resource.version;
      }, `the sidecar of ${pod} has the newest configuration`);
    }
  }

  /** Ends the control plane; the sidecars stay. */
  async stopControlPlane(): Promise<void> {
    await this.controlPlane.close();
  }

  /** A new control plane where the old one was, with the same authority and the objects as they are now. */
  async restartControlPlane(): Promise<void> {
    this.controlPlane = await startControlPlane({
      authority: this.authority,
      verifyToken: (token) => this.tokens.verify(token),
      host: '127.0.0.1',
      port: this.controlPlane.port,
      log: silentLogger,
      workloadOf: ({ namespace, pod }) => this.workloadOf(namespace, pod),
      objects: this.objects(),
    });
  }

  /** What the ConfigMap is in a cluster. @returns the file */
  writeTrustBundle(): string {
    const file = path.join(this.directory, 'roots.pem');
    writeFileSync(file, this.authority.rootsPem());
    return file;
  }

  async startSidecar(name: string): Promise<void> {
    const pod = this.pod(name);
    const namespace = pod.namespace ?? NAMESPACE;
    const tokenFile = path.join(this.directory, `${name}.token`);
    const trustBundleFile = this.writeTrustBundle();
    writeFileSync(
      tokenFile,
      this.tokens.sign({ namespace, serviceAccount: pod.serviceAccount ?? name, pod: name, uid: `uid-${name}`, lifetimeMs: 3600_000 }),
    );
    const settings = {
      controlPlane: { host: '127.0.0.1', port: this.controlPlane.port },
      tokenFile,
      trustBundleFile,
      trustDomain: TRUST_DOMAIN,
      namespace,
      pod: name,
      admin: { host: this.podAddress(name), port: 15020 },
      logLevel: 'off',
      logFormat: 'json',
      accessLog: null,
      tracing: readTracingSettings(this.options.otel ?? {}, []),
      drainMs: 2000,
      trustRoots: '',
      capture: 'disabled',
      podIps: [],
      opaquePorts: parsePortRanges(this.options.opaquePorts ?? '').ranges,
      probes: new Map(),
    } as const;
    const mutable = { ...settings, drainMs: settings.drainMs as number };
    const accessLines: string[] = [];
    const access = (line: string): boolean => accessLines.push(line) > 0;
    const sink = { access, accessDropped: 0, accessWritten: 0 };
    const around = { now: () => performance.now(), wallClock: Date.now, random: Math.random, accessLines: sink };
    const program = await startSidecar(mutable, 'test', silentLogger, around, this.timers);
    this.sidecars.set(name, { program, settings: mutable, accessLines });
    await until(() => program.notReady() === '', `the sidecar of ${name} is ready`).catch((error: Error) => {
      throw new Error(`${error.message}: ${program.notReady()}`);
    });
  }

  /** Stops it as SIGTERM does. Calls under way may go on for `drainMs`; 0: they end at once. */
  async stopSidecar(name: string, drainMs = 2000): Promise<void> {
    const sidecar = this.sidecars.get(name);
    if (sidecar === undefined) return;
    sidecar.settings.drainMs = drainMs;
    this.sidecars.delete(name);
    await sidecar.program.stop();
  }

  /** The counters of a pod's sidecar, as its admin server reports them. */
  async stats(pod: string): Promise<StatsSeries[]> {
    const response = await fetch(`http://${this.podAddress(pod)}:15020/stats`);
    return ((await response.json()) as { series: StatsSeries[] }).series;
  }

  /** Lines of the access log of a pod's sidecar, oldest first. */
  accessLog(pod: string): Record<string, unknown>[] {
    return (this.sidecars.get(pod)?.accessLines ?? []).map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** A page of the sidecar's admin server. */
  async admin(pod: string, page: string): Promise<string> {
    return (await fetch(`http://${this.podAddress(pod)}:15020${page}`)).text();
  }

  /** The value of a metric of a pod's sidecar, e.g. `weft_retries_total`; 0 when there is no such sample. */
  async metric(pod: string, sample: string): Promise<number> {
    const line = (await this.admin(pod, '/metrics')).split('\n').find((candidate) => candidate.startsWith(`${sample} `));
    return line === undefined ? 0 : Number(line.slice(sample.length));
  }

  /** What is in force in a pod's sidecar. */
  async dump(pod: string): Promise<SidecarDump> {
    return JSON.parse(await this.admin(pod, '/config_dump')) as SidecarDump;
  }

  async close(): Promise<void> {
    await Promise.all([...this.sidecars.keys()].map((name) => this.stopSidecar(name, 0)));
    await this.controlPlane.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  private pod(name: string): TestPod {
    const pod = this.options.pods.find((candidate) => candidate.name === name);
    if (pod === undefined) throw new Error(`no pod ${name} in this mesh`);
    return pod;
  }

  private podNumber(name: string): number {
    return this.options.pods.indexOf(this.pod(name));
  }

  private workloadOf(namespace: string, name: string): Workload | undefined {
    const pod = this.options.pods.find((candidate) => candidate.name === name && (candidate.namespace ?? NAMESPACE) === namespace);
    if (pod === undefined) return undefined;
    const init: MessageInitShape<typeof WorkloadSchema> = {
      namespace,
      pod: name,
      name,
      serviceAccount: pod.serviceAccount ?? name,
      identity: workloadSpiffeId(TRUST_DOMAIN, namespace, pod.serviceAccount ?? name),
      mtls: pod.mtls ?? MtlsMode.PERMISSIVE,
      inbound: pod.serves ? [{ port: PORT, listenAddress: this.podAddress(name), appAddress: this.appAddress(name).host }] : [],
      outbound: (pod.calls ?? []).map((service) => {
        const [ns, svc] = splitName(service.split(':')[0]!);
        const { host, port } = this.address(name, service);
        return { address: host, port, namespace: ns, service: svc, servicePort: Number(service.split(':')[1] ?? PORT) };
      }),
      telemetry: this.telemetry.get(name),
    };
    return create(WorkloadSchema, init);
  }

  private publish(routes: readonly KubeObject[] = this.routes): void {
    this.routes = routes;
    this.epoch++;
    this.controlPlane.setObjects(this.objects());
  }

  private objects(): KubeObject[] {
    const objects: KubeObject[] = [...this.routes, epochService(this.epoch)];
    for (const pod of this.options.pods) {
      objects.push({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: pod.name, namespace: pod.namespace ?? NAMESPACE, annotations: { [ANNOTATION_STATUS]: 'injected' } },
        spec: { serviceAccountName: pod.publishedServiceAccount ?? pod.serviceAccount ?? pod.name },
        status: { podIP: this.podAddress(pod.name) },
      } as KubeObject);
    }
    let number = 0;
    for (const [service, pods] of this.members) {
      const [namespace, name] = splitName(service);
      const ports = (this.options.ports ?? [PORT]).map((port) => ({
        name: this.options.declared === false ? `port-${port}` : `grpc-${port}`,
        port,
        targetPort: PORT,
        ...(this.options.declared === false ? {} : { appProtocol: 'kubernetes.io/h2c' }),
      }));
      objects.push({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { clusterIP: `10.96.0.${++number}`, ports, ...this.options.specs?.[service] },
      } as KubeObject);
      objects.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: ports.map(({ name: portName }) => ({ name: portName, port: PORT, protocol: 'TCP' })),
        endpoints: pods.map((pod) => ({
          addresses: [this.podAddress(pod)],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: pod, namespace: this.pod(pod).namespace ?? NAMESPACE },
        })),
      } as KubeObject);
    }
    return objects;
  }
}

function epochService(epoch: number): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: EPOCH, namespace: NAMESPACE },
    spec: { clusterIP: epochAddress(epoch), ports: [{ name: 'grpc', port: PORT }] },
  } as KubeObject;
}

function epochAddress(epoch: number): string {
  return `10.97.${epoch >> 8}.${epoch & 255}`;
}

function splitName(service: string): [namespace: string, name: string] {
  const slash = service.indexOf('/');
  return slash < 0 ? [NAMESPACE, service] : [service.slice(0, slash), service.slice(slash + 1)];
}
