// A whole mesh in one process: a real control plane, real sidecars, real sockets and TLS on loopback; only the applications are the test's own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/assemble.ts';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import type { KubeObject } from '#control-plane/kube/types.ts';
import { MtlsMode, type Workload, WorkloadSchema } from '#core/gen/weft/v1/mesh_pb.ts';
import { workloadSpiffeId } from '#core/identity.ts';
import { silentLogger } from '#core/log.ts';
import { ANNOTATION_STATUS } from '#core/names.ts';
import { type SidecarProgram, startSidecar } from '#sidecar/program.ts';
import type { StatsSeries } from '#sidecar/telemetry/admin.ts';

const TRUST_DOMAIN = 'cluster.local';
export const NAMESPACE = 'shop';
/** Every Service and every application port of a test mesh. */
export const PORT = 8080;

/** A pod: an optional application behind it, and the Services it calls. */
export interface TestPod {
  readonly name: string;
  /** Default: the pod's name. */
  readonly serviceAccount?: string;
  readonly namespace?: string;
  /** It has an application that listens at appAddress(), started by the test. */
  readonly serves?: boolean;
  /** Names of Services ("name" or "ns/name") that it calls. */
  readonly calls?: readonly string[];
  readonly mtls?: MtlsMode;
}

export interface MeshOptions {
  readonly pods: readonly TestPod[];
  /** Service ("name" or "ns/name") → names of the pods behind it. */
  readonly services: Readonly<Record<string, readonly string[]>>;
  readonly routes?: readonly KubeObject[];
  readonly leafLifetimeMs?: number;
}

let meshes = 0;

export class TestMesh {
  readonly controlPlane: ControlPlane;
  private readonly options: MeshOptions;
  private readonly directory: string;
  private readonly sidecars = new Map<string, SidecarProgram>();
  private readonly tokens: TokenIssuer;
  private readonly authority: Authority;
  private readonly net: string;
  /** Pods behind a Service, as the test changes them. */
  private readonly members: Map<string, readonly string[]>;

  private constructor(
    options: MeshOptions,
    directory: string,
    authority: Authority,
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
  }

  /** Resolves when every sidecar is ready. */
  static async start(options: MeshOptions): Promise<TestMesh> {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-mesh-'));
    const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now, leafLifetimeMs: options.leafLifetimeMs });
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

  /** Where a pod's application finds a Service: its own sidecar's listener. */
  address(pod: string, service: string): { host: string; port: number } {
    const from = this.podNumber(pod);
    const index = [...this.members.keys()].indexOf(service);
    return { host: `${this.net}.${100 + from * 10 + index}`, port: PORT };
  }

  /** What others dial to reach a pod. */
  podAddress(pod: string): string {
    return `${this.net}.${1 + this.podNumber(pod)}`;
  }

  /** Where a pod's application has to listen. */
  appAddress(pod: string): { host: string; port: number } {
    return { host: `${this.net}.${50 + this.podNumber(pod)}`, port: PORT };
  }

  /** Puts other routes into force. */
  setRoutes(routes: readonly KubeObject[]): void {
    this.publish(routes);
  }

  /** Puts other pods behind a Service. */
  setMembers(service: string, pods: readonly string[]): void {
    this.members.set(service, pods);
    this.publish();
  }

  async startSidecar(name: string): Promise<void> {
    const pod = this.pod(name);
    const namespace = pod.namespace ?? NAMESPACE;
    const tokenFile = path.join(this.directory, `${name}.token`);
    const trustBundleFile = path.join(this.directory, 'roots.pem');
    writeFileSync(
      tokenFile,
      this.tokens.sign({ namespace, serviceAccount: pod.serviceAccount ?? name, pod: name, uid: `uid-${name}`, lifetimeMs: 3600_000 }),
    );
    writeFileSync(trustBundleFile, this.authority.rootsPem());
    const program = await startSidecar(
      {
        controlPlane: { host: '127.0.0.1', port: this.controlPlane.port },
        tokenFile,
        trustBundleFile,
        trustDomain: TRUST_DOMAIN,
        namespace,
        pod: name,
        admin: { host: this.podAddress(name), port: 15020 },
        logLevel: 'off',
        logFormat: 'json',
        drainMs: 2000,
      },
      'test',
      silentLogger,
      { now: () => performance.now(), wallClock: Date.now, random: Math.random },
    );
    this.sidecars.set(name, program);
    const deadline = Date.now() + 10_000;
    while (program.notReady() !== '') {
      if (Date.now() > deadline) throw new Error(`sidecar of ${name} is not ready: ${program.notReady()}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stopSidecar(name: string): Promise<void> {
    await this.sidecars.get(name)?.stop();
    this.sidecars.delete(name);
  }

  /** The counters of a pod's sidecar, as its admin server tells them. */
  async stats(pod: string): Promise<StatsSeries[]> {
    const response = await fetch(`http://${this.podAddress(pod)}:15020/stats`);
    return ((await response.json()) as { series: StatsSeries[] }).series;
  }

  async close(): Promise<void> {
    await Promise.all([...this.sidecars.keys()].map((name) => this.stopSidecar(name)));
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
        const [ns, svc] = splitName(service);
        const { host, port } = this.address(name, service);
        return { address: host, port, namespace: ns, service: svc, servicePort: PORT };
      }),
    };
    return create(WorkloadSchema, init);
  }

  private routes: readonly KubeObject[] = [];

  private publish(routes: readonly KubeObject[] = this.options.routes ?? this.routes): void {
    this.routes = routes;
    const objects: KubeObject[] = [...routes];
    for (const pod of this.options.pods) {
      objects.push({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: pod.name, namespace: pod.namespace ?? NAMESPACE, annotations: { [ANNOTATION_STATUS]: 'injected' } },
        spec: { serviceAccountName: pod.serviceAccount ?? pod.name },
        status: { podIP: this.podAddress(pod.name) },
      } as KubeObject);
    }
    let number = 0;
    for (const [service, pods] of this.members) {
      const [namespace, name] = splitName(service);
      const ports = [{ name: 'grpc', port: PORT, targetPort: PORT, appProtocol: 'kubernetes.io/h2c' }];
      objects.push({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { clusterIP: `10.96.0.${++number}`, ports },
      } as KubeObject);
      objects.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: 'grpc', port: PORT, protocol: 'TCP' }],
        endpoints: pods.map((pod) => ({
          addresses: [this.podAddress(pod)],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: pod, namespace: this.pod(pod).namespace ?? NAMESPACE },
        })),
      } as KubeObject);
    }
    this.controlPlane.setObjects(objects);
  }
}

function splitName(service: string): [namespace: string, name: string] {
  const slash = service.indexOf('/');
  return slash < 0 ? [NAMESPACE, service] : [service.slice(0, slash), service.slice(slash + 1)];
}
