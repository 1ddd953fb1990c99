// The control plane of a cluster, as a whole: waits for the API server and the authority, serves, and does the leader's
// work when it leads.
import type { AuthoritySettings } from '#certs/authority.ts';
import { ANNOTATION_STATUS, AUTHORITY_SECRET, CONTROL_PLANE_NAME } from '#core/contract/names.ts';
import { DEFAULT_TRACE_SAMPLING } from '#core/contract/trace-sampling.ts';
import { VERSION } from '#core/contract/version.ts';
import type { Family } from '#core/program/exposition.ts';
import type { HttpPort } from '#core/program/http-port.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { KubeClient } from '#kube/api.ts';
import { EventRecorder } from '#kube/events.ts';
import { LeaseElector } from '#kube/lease.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { StoredKind } from '#objects/kinds.ts';
import { keyOf, splitKey } from '#objects/references.ts';
import { Touched } from '#objects/touched.ts';
import { AuthorityKeeper } from '../issue/authority-keeper.ts';
import { TokenReviewer } from '../issue/token-review.ts';
import { AuthorityRotation } from '../lead/authority-rotation.ts';
import { ClusterTrustBundleRoots } from '../lead/cluster-trust-bundle.ts';
import type { LeaderTask } from '../lead/leader-task.ts';
import { MeshObject } from '../lead/mesh-object.ts';
import { namespaceMistakes } from '../lead/namespace-mistakes.ts';
import { ParentHints } from '../lead/parent-hints.ts';
import { PolicyStatusWriter } from '../lead/policy-status.ts';
import type { RotationFacts } from '../lead/rotation-progress.ts';
import { RotationReports } from '../lead/rotation-reports.ts';
import { StatusWriter } from '../lead/status-writer.ts';
import { TrustBundle } from '../lead/trust-bundle.ts';
import { MeshCounts } from '../replicas/mesh-counts.ts';
import { otherReplicas } from '../replicas/roster.ts';
import { ClusterSource } from '../source/cluster/cluster-source.ts';
import { ObjectStore } from '../store/object-store.ts';
import { judgePolicies, type PolicyVerdict } from '../translate/policies/telemetry.ts';
import { clusterMetrics } from '../view/cluster-metrics.ts';
import { startView } from '../view/server.ts';
import type { StatusAround } from '../view/status.ts';
import { type ControlPlane, startControlPlane } from './assemble.ts';

/** How often it is looked whether all kinds are there, while starting. */
const START_POLL_MS = 25;
/** While waiting, the log says so this often. */
const WAITING_LOG_MS = 15_000;
const DAY_MS = 24 * 3600_000;
/** The authority's end is a problem to name from so long before. */
const AUTHORITY_WARNING_MS = 30 * DAY_MS;
const AUTHORITY_CHECK_MS = 60_000;

export interface ClusterProgramDeps {
  readonly client: KubeClient;
  /** Of the pod that this runs in; its name is the replica's. */
  readonly pod: { readonly namespace: string; readonly name: string };
  readonly trustDomain: string;
  /** Of the XMesh object. */
  readonly meshName: string;
  /** Of workloads' certificates; undefined: the default. */
  readonly leafLifetimeMs: number | undefined;
  /** Name of a ClusterTrustBundle with further roots; absent or '': none. */
  readonly clusterTrustBundle?: string;
  /** Absent: false. */
  readonly strictReferenceGrants?: boolean;
  /** Share of traces where an XTelemetryPolicy names a collector and no share. Absent: DEFAULT_TRACE_SAMPLING. */
  readonly defaultTraceSampling?: number;
  readonly host: string;
  readonly port: number;
  readonly viewPort: number;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class ClusterProgram {
  private readonly settings: ClusterProgramDeps;
  private readonly store = new ObjectStore();
  private readonly source: ClusterSource;
  private readonly keeper: AuthorityKeeper;
  private readonly reviewer: TokenReviewer;
  /** Key of the Service whose endpoints are the replicas. */
  private readonly ownService: string;
  private readonly counts: MeshCounts;
  private readonly statuses: StatusWriter;
  private readonly policies: PolicyStatusWriter;
  private readonly hints: ParentHints;
  private readonly trust: TrustBundle;
  private readonly reports: RotationReports;
  private readonly bundle: ClusterTrustBundleRoots | null;
  private readonly rotation: AuthorityRotation;
  private readonly mesh: MeshObject;
  /** All that the leader writes. */
  private readonly tasks: readonly LeaderTask[];
  private readonly elector: LeaseElector;
  private readonly events: EventRecorder;
  /** Namespace → what is wrong with its labels and annotations, as it was last reported. */
  private readonly reportedMistakes = new Map<string, string>();
  private controlPlane: ControlPlane | null = null;
  private view: HttpPort | null = null;
  private stopping = false;
  private cancelCheck: () => void = () => {};

  constructor(settings: ClusterProgramDeps) {
    this.settings = settings;
    const { client, pod, trustDomain, leafLifetimeMs, timers, random, log } = settings;
    const around = { client, timers, random, log };
    const { store } = this;
    this.events = new EventRecorder({ client, component: CONTROL_PLANE_NAME, timers, log: log.child('events') });
    this.source = new ClusterSource({ ...around, store, onTouched: (touched) => this.take(touched) });
    const authority: AuthoritySettings = {
      trustDomain,
      now: () => timers.now(),
      ...(leafLifetimeMs === undefined ? {} : { leafLifetimeMs, maxLeafLifetimeMs: leafLifetimeMs }),
    };
    this.keeper = new AuthorityKeeper({
      ...around,
      namespace: pod.namespace,
      log: log.child('authority'),
      authority,
      onTrouble: (reason, message) => this.warnOfAuthority(reason, message),
    });
    this.reviewer = new TokenReviewer({ client, podOf: (key) => store.pod(key), now: () => timers.now() });
    this.ownService = keyOf(pod.namespace, CONTROL_PLANE_NAME);
    this.counts = new MeshCounts({
      others: () => otherReplicas(store, this.ownService, pod.name),
      follow: (replica, events) => this.controlPlane!.follow(replica, events),
      onChange: () => this.statuses.touch('counts'),
      timers,
      random,
      log: log.child('replicas'),
    });
    this.statuses = new StatusWriter({
      ...around,
      log: log.child('status'),
      routes: () => store.routes(),
      states: () => this.controlPlane?.routeStates() ?? [],
      total: (state) => this.counts.total(state),
      stillLeading: () => this.elector.leading,
      onTrouble: (route, reason, message) => this.warnOfRoute(route, reason, message),
    });
    this.hints = new ParentHints({
      routes: () => store.routes(),
      services: store,
      timers,
      log: log.child('routes'),
      onHint: (route, message) => this.warnOfRoute(route, 'UnusableParent', message),
    });
    this.policies = new PolicyStatusWriter({
      client,
      timers,
      log: log.child('policies'),
      verdicts: () => this.policyVerdicts(),
      stillLeading: () => this.elector.leading,
    });
    this.trust = new TrustBundle({
      ...around,
      log: log.child('trust'),
      store,
      systemNamespace: pod.namespace,
      roots: () => this.keeper.inUse!.rootsPem(),
      stillLeading: () => this.elector.leading,
    });
    this.reports = new RotationReports({
      ...around,
      log: log.child('authority'),
      namespace: pod.namespace,
      replica: pod.name,
      report: () => (this.isRotating() ? (this.controlPlane?.publisher.trustProgress() ?? null) : null),
    });
    const { clusterTrustBundle: name = '' } = settings;
    const onChange = (): void => this.rotation.touch();
    this.bundle = name === '' ? null : new ClusterTrustBundleRoots({ ...around, log: log.child('authority'), name, onChange });
    this.rotation = new AuthorityRotation({
      ...around,
      log: log.child('authority'),
      namespace: pod.namespace,
      keeper: this.keeper,
      authority,
      furtherRoots: () => (this.bundle === null ? '' : this.bundle.pem()),
      facts: () => this.rotationFacts(),
      forget: () => this.reports.clear(),
      stillLeading: () => this.elector.leading,
      onTrouble: (reason, message) => this.warnOfAuthority(reason, message),
    });
    this.mesh = new MeshObject({ ...around, log: log.child('mesh'), name: settings.meshName });
    this.tasks = [this.statuses, this.policies, this.hints, this.trust, this.rotation, this.mesh];
    this.elector = new LeaseElector({
      ...around,
      log: log.child('lease'),
      namespace: pod.namespace,
      name: CONTROL_PLANE_NAME,
      identity: pod.name,
      onChange: (leading) => this.lead(leading),
    });
  }

  /**
   * Serves probes at once, configuration when everything is there: however long the API server is away.
   * @throws ControlPlaneStartError or a system error when an address cannot be listened on
   */
  async start(): Promise<void> {
    const { host, viewPort, port, client, trustDomain, timers, random, log } = this.settings;
    this.view = await startView({
      host,
      port: viewPort,
      serving: () => this.controlPlane,
      ready: () => this.ready(),
      metrics: () => this.metrics(),
      around: () => this.surroundings(),
    });
    log.info('starting', { version: VERSION, server: client.server, view: this.view.port, trustDomain });
    this.source.start();
    const [authority] = await Promise.all([this.keeper.load(), this.untilSynced()]);
    if (authority === undefined || this.stopping) return;
    // Changes that come while everything is translated for the first time are noted, and published afterwards.
    const meanwhile = new Touched();
    const note = (touched: Touched): Touched => {
      meanwhile.add(touched);
      return touched;
    };
    const { store } = this;
    this.source.feed({
      apply: (object) => note(store.apply(object)),
      remove: (kind, namespace, name) => note(store.remove(kind, namespace, name)),
    });
    const controlPlane = await startControlPlane({
      authority,
      verifyToken: this.reviewer.verify,
      host,
      port,
      store,
      strictReferenceGrants: this.settings.strictReferenceGrants ?? false,
      defaultTraceSampling: this.defaultTraceSampling,
      onProgress: (what) => this.statuses.touch(what === 'verdicts' ? 'routes' : 'counts'),
      replica: this.settings.pod.name,
      log,
      timers,
      random,
    });
    if (this.stopping) return controlPlane.close();
    this.controlPlane = controlPlane;
    this.source.feed(controlPlane);
    controlPlane.take(meanwhile);
    authority.onChange(() => this.trust.touch());
    this.trust.start();
    this.rotation.start();
    this.reports.start();
    this.bundle?.start();
    this.mesh.start();
    this.elector.start();
    this.checkAuthority();
    log.info('the control plane serves', {
      address: `${host.includes(':') ? `[${host}]` : host}:${controlPlane.port}`,
      services: [...store.keysOf('Service')].length,
    });
  }

  /** Where probes are answered; 0 before it listens. */
  get viewPort(): number {
    return this.view?.port ?? 0;
  }

  /** Where sidecars are served; 0 before it listens. */
  get grpcPort(): number {
    return this.controlPlane?.port ?? 0;
  }

  /**
   * Not ready any more and the lease given back at once; then it ends its streams, and listens no more.
   * @param lingerMs it goes on serving for so long before that, because nodes still send new connections here: a
   * sidecar that is cut off then finds another replica with its next connection
   */
  async stop(lingerMs = 0): Promise<void> {
    if (this.stopping) return;
    this.stopping = true;
    this.cancelCheck();
    for (const task of this.tasks) task.stop();
    this.reports.stop();
    this.bundle?.stop();
    this.counts.stop();
    const returned = this.elector.stop();
    if (lingerMs > 0 && this.controlPlane !== null)
      await new Promise<void>((resolve) => void this.settings.timers.after(lingerMs, resolve));
    this.keeper.stop();
    this.source.stop();
    await Promise.all([returned, this.controlPlane?.close()]);
    await this.view?.close();
  }

  private async untilSynced(): Promise<void> {
    const { timers, log } = this.settings;
    let loggedMs = timers.now();
    while (!this.stopping && this.source.waitingFor().length > 0) {
      if (timers.now() - loggedMs >= WAITING_LOG_MS) {
        loggedMs = timers.now();
        log.warn('waiting for the API server', { for: this.waitingFor() });
      }
      await new Promise<void>((resolve) => void timers.after(START_POLL_MS, resolve));
    }
  }

  private ready(): true | string {
    if (this.stopping) return 'stopping';
    if (this.controlPlane === null) return `waiting for: ${this.waitingFor().join('; ') || 'the first translation'}`;
    if (this.settings.timers.now() >= this.controlPlane.authorityNotAfterMs) return this.authorityEnd() ?? 'the authority has expired';
    return true;
  }

  private waitingFor(): string[] {
    const kinds = this.source.waitingFor().map(({ kind, error }) => (error === '' ? kind : `${kind} (${error})`));
    return this.keeper.problem === '' ? kinds : [...kinds, this.keeper.problem];
  }

  private metrics(): Family[] {
    const { statuses, reviewer, rotation, counts } = this;
    return clusterMetrics({
      leader: this.elector.leading,
      followed: this.source.status(),
      statuses: statuses.counts,
      reviews: reviewer.counts,
      unknownReplicas: counts.unknownReplicas,
      authority: rotation.view(),
      nowMs: this.settings.timers.now(),
    });
  }

  private surroundings(): StatusAround {
    const missingKinds = this.source.missingKinds();
    const reflectors = this.source
      .status()
      .map(({ kind, status: { synced, lastEventMs, lastError } }) => ({ kind, synced, lastEventMs, lastError }));
    const problems = [
      ...missingKinds.map((kind) => `the API server does not serve ${kind}: install the Gateway API's CRDs`),
      // What is missing is named already.
      ...reflectors
        .filter(({ kind, lastError }) => lastError !== '' && !missingKinds.includes(kind as StoredKind))
        .map(({ kind, lastError }) => `${kind} cannot be followed: ${lastError}`),
      this.keeper.problem,
      this.authorityEnd() ?? '',
      this.reviewer.problem,
      this.elector.problem,
      this.reports.problem,
      this.controlPlane === null ? '' : (this.bundle?.problem ?? ''),
      this.counts.problem,
      ...this.tasks.map(({ problem }) => problem),
    ].filter((problem) => problem !== '');
    const { pod, trustDomain } = this.settings;
    const authority = this.rotation.view();
    return { replica: pod.name, leader: this.elector.leading, trustDomain, authority, missingKinds, problems, reflectors };
  }

  private take({ services, statuses, policyInputs, pods, namespaces }: Touched): void {
    if (statuses.has('routes') || services.size > 0) this.hints.touch();
    if (statuses.has('routes')) this.statuses.touch();
    if (services.has(this.ownService)) this.counts.review();
    if (statuses.has('policies') || policyInputs) this.policies.touch();
    if (pods.size > 0 || namespaces.size > 0) this.trust.touch();
    for (const name of namespaces) {
      const namespace = this.store.namespace(name);
      if (namespace === undefined) this.reportedMistakes.delete(name);
      else this.judgeNamespace(namespace);
    }
  }

  private lead(leading: boolean): void {
    this.counts.lead(leading);
    for (const task of this.tasks) task.lead(leading);
    if (leading) for (const namespace of this.store.every('Namespace')) this.judgeNamespace(namespace);
  }

  private isRotating(): boolean {
    const { state } = this.keeper.inUse ?? {};
    return state !== undefined && (state.next !== undefined || state.retired.length > 0);
  }

  /** What the leader knows of all replicas and pods, while the authority is replaced. */
  private rotationFacts(): RotationFacts {
    const { namespace, name: own } = this.settings.pod;
    const replicas = new Set([own]);
    let meshedPods = 0;
    for (const { metadata, status } of this.store.every('Pod')) {
      if (fieldsOf(status).phase !== 'Running') continue;
      const { name = '', annotations } = fieldsOf(metadata);
      if (metadata?.namespace === namespace && name.startsWith(`${CONTROL_PLANE_NAME}-`)) replicas.add(name);
      if (fieldsOf(annotations)[ANNOTATION_STATUS] !== undefined) meshedPods++;
    }
    const reports = this.reports.all();
    const { version = '' } = reports.get(own) ?? {};
    return { replicas: [...replicas], reports, version, meshedPods, namespaces: this.trust.missing() };
  }

  private get defaultTraceSampling(): number {
    return this.settings.defaultTraceSampling ?? DEFAULT_TRACE_SAMPLING;
  }

  private policyVerdicts(): PolicyVerdict[] {
    const namespaces = new Set([...this.store.keysOf('XTelemetryPolicy')].map((key) => splitKey(key)[0]));
    return [...namespaces].flatMap((namespace) => judgePolicies(namespace, this.store, this.defaultTraceSampling).verdicts);
  }

  private judgeNamespace(namespace: KubeObject): void {
    const { name = '', uid } = namespace.metadata ?? {};
    const mistakes = namespaceMistakes(namespace);
    const text = mistakes.map(({ message }) => message).join('; ');
    if (!this.elector.leading || (this.reportedMistakes.get(name) ?? '') === text) return;
    if (text === '') this.reportedMistakes.delete(name);
    else this.reportedMistakes.set(name, text);
    for (const { reason, message } of mistakes) {
      this.settings.log.warn('a namespace says something that means nothing', { namespace: name, message });
      this.events.record({
        regarding: { apiVersion: 'v1', kind: 'Namespace', name, uid },
        type: 'Warning',
        reason,
        message,
      });
    }
  }

  private authorityEnd(): string | undefined {
    const { inUse } = this.keeper;
    if (inUse === null) return undefined;
    const { notAfterMs } = inUse.signing;
    const leftMs = notAfterMs - this.settings.timers.now();
    const at = new Date(notAfterMs).toISOString();
    if (leftMs <= 0) return `the authority's certificate expired at ${at}: no certificates are issued`;
    return leftMs < AUTHORITY_WARNING_MS ? `the authority's certificate expires at ${at}` : undefined;
  }

  /** Says it each day, and once more at the end itself. */
  private checkAuthority(reported = '', reportedMs = 0): void {
    const { timers, log } = this.settings;
    const problem = this.authorityEnd() ?? '';
    if (problem !== '' && (problem !== reported || timers.now() - reportedMs >= DAY_MS)) {
      log.error(problem);
      this.warnOfAuthority('AuthorityExpires', problem);
      reportedMs = timers.now();
    }
    this.cancelCheck = timers.after(AUTHORITY_CHECK_MS, () => this.checkAuthority(problem, reportedMs));
  }

  private warnOfRoute({ apiVersion, kind = '', metadata }: KubeObject, reason: string, message: string): void {
    const { namespace, name, uid } = metadata ?? {};
    this.events.record({ regarding: { apiVersion, kind, namespace, name, uid }, type: 'Warning', reason, message });
  }

  private warnOfAuthority(reason: string, message: string): void {
    const { namespace } = this.settings.pod;
    this.events.record({
      regarding: { apiVersion: 'v1', kind: 'Secret', namespace, name: AUTHORITY_SECRET },
      type: 'Warning',
      reason,
      message,
    });
  }
}
