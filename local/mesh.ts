// A running mesh: the directory's objects, the control plane fed with them, the pods that stand for them, and what they have counted.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import { DirectorySource } from '#control-plane/source/files/directory-source.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';
import type { Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { DEFAULT_TRUST_DOMAIN, SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import type { Logger } from '#core/program/log.ts';
import { type MeshControl, startControl } from './control.ts';
import { Fleet } from './fleet.ts';
import { containerLaunch, missingProgram, sidecarLaunch } from './launch.ts';
import { claimPrefix, holderText } from './network.ts';
import type { Manifest, SourcedManifest } from './plan/manifests.ts';
import { type Plan, type PlanSettings, planMesh, workloadOf } from './plan/plan.ts';
import type { PlannedPod, PlanProblem } from './plan/pods.ts';
import { endpointSlices, podObject } from './plan/services.ts';
import { RunningPod, SIDECAR } from './pod.ts';
import { missingPrograms, problemTexts, takenPorts } from './preflight.ts';
import { type Guard, startGuard } from './process/guard.ts';
import { listeners } from './process/port-holder.ts';
import { fetchText } from './process/probe.ts';
import type { Exit } from './process/supervised.ts';
import { SecretFiles, TOKEN_LIFETIME_MS } from './secrets.ts';
import { Ledger } from './stats/ledger.ts';
import type { RouteRow } from './stats/rows.ts';
import { parseStats } from './stats/snapshot.ts';
import { tracingProblems } from './tracing.ts';
import { exitText, hopelessText, portClash } from './trouble.ts';

export interface MeshSettings {
  /** As the user named it. */
  readonly directory: string;
  readonly sidecarProgram: string;
  /** URL of a collector of traces; null: what the environment says. */
  readonly otlp: string | null;
  readonly logLevel: string;
  readonly log: Logger;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** One line of progress or news for the user. */
  readonly say: (line: string) => void;
  readonly onLine: (pod: PlannedPod, part: string, line: string) => void;
}

const STATS_TIMEOUT_MS = 800;
const PODS_FROM_HERE = new Set(['Deployment', 'Pod', 'Service']);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export class Mesh {
  readonly ledger = new Ledger();
  private readonly settings: MeshSettings;
  private readonly source: DirectorySource;
  private readonly fleet: Fleet;
  private readonly secrets = new SecretFiles();
  private readonly guard: Guard;
  private readonly tokens = new TokenIssuer({ now: Date.now });
  private readonly troubles = new Map<string, string>();
  private planSettings: PlanSettings;
  private plan: Plan = { pods: [], services: [], problems: [], memory: { pods: new Map(), services: new Map() } };
  private refused: readonly PlanProblem[] = [];
  private control: MeshControl | null = null;
  private tokenTimer: NodeJS.Timeout | null = null;
  private closing = false;

  constructor(settings: MeshSettings) {
    this.settings = settings;
    const directory = resolve(settings.directory);
    this.planSettings = {
      prefix: '127.77',
      lowestPort: lowestPort(),
      trustDomain: DEFAULT_TRUST_DOMAIN,
      directory,
      exists: existsSync,
    };
    this.guard = startGuard(this.secrets.directory);
    this.source = new DirectorySource({ dir: settings.directory, log: settings.log, onChange: () => this.reload() });
    this.fleet = new Fleet({
      make: (pod, onReady) => this.makePod(pod, onReady),
      onChange: () => this.publish(),
      beforeSidecarStops: (pod) => this.poll([pod]),
      onStopped: (pod) => this.forget(pod),
    });
  }

  /**
   * Reads the directory, checks that it can run, starts the control plane and the first pods. Pods become ready afterwards.
   * @throws Failure with all that is wrong; nothing runs then
   */
  async start(): Promise<void> {
    const { settings } = this;
    const missing = missingProgram(settings.sidecarProgram);
    if (missing !== null) throw new Failure(missing);
    const unusable = tracingProblems(settings.env, settings.otlp).join('; ');
    if (unusable !== '' && settings.otlp !== null) throw new Failure(`--otlp cannot work with your environment: ${unusable}`);
    await this.source.start().catch((error: Error) => {
      throw error.name === 'DirectoryError' ? new Failure(error.message) : error;
    });
    this.check();
    const startedAt = performance.now();
    const { prefix, claimed } = await claimPrefix((candidate) =>
      startControl({
        prefix: candidate,
        trustDomain: this.planSettings.trustDomain,
        log: settings.log,
        verifyToken: (token) => this.tokens.verify(token),
        workloadOf: (namespace, pod) => this.workload(`${namespace}/${pod}`),
      }),
    );
    this.planSettings = { ...this.planSettings, prefix };
    this.control = claimed;
    this.secrets.writeTrustBundle(claimed.rootsPem);
    settings.say(`certificate authority and control plane ready on ${claimed.address} in ${seconds(performance.now() - startedAt)}`);
    if (settings.otlp !== null) settings.say(`traces go to ${settings.otlp}`);
    else if (unusable !== '') settings.say(`there are no traces, the OTEL_ settings of your environment are left out: ${unusable}`);
    this.tokenTimer = setInterval(() => this.renewTokens(), TOKEN_LIFETIME_MS / 2);
    this.tokenTimer.unref();
    this.reload();
  }

  podsWanted(): number {
    return this.plan.pods.length;
  }

  podsReady(): number {
    const ready = this.fleet.ready();
    return this.plan.pods.filter(({ key }) => ready.has(key)).length;
  }

  podRows() {
    const running = new Map(this.fleet.current().map((pod) => [pod.plan.key, pod]));
    return this.plan.pods.map((plan) => {
      const pod = running.get(plan.key);
      return {
        namespace: plan.namespace,
        name: plan.name,
        workload: plan.workload,
        ready: pod?.isReady ?? false,
        restarts: pod?.restarts ?? 0,
      };
    });
  }

  routes(): RouteRow[] {
    return this.control?.routes() ?? [];
  }

  problems(): string[] {
    const files = this.source
      .problems()
      .filter(({ severity }) => severity === 'error')
      .map(formatProblem);
    const plan = problemTexts([...this.plan.problems, ...this.refused], process.cwd());
    return [...files, ...plan, ...this.troubles.values(), ...(this.control?.problems() ?? [])];
  }

  /** Asks the sidecars what they have counted since the last time. */
  async poll(pods: readonly RunningPod[] = this.fleet.pods()): Promise<void> {
    await Promise.all(
      pods.map(async (pod) => {
        const pid = pod.pids()[SIDECAR];
        if (pid === undefined) return;
        const answer = await fetchText(pod.plan.podAddress, SIDECAR_ADMIN_PORT, '/stats', STATS_TIMEOUT_MS);
        const series = answer?.status === 200 ? parseStats(answer.body) : undefined;
        if (series && pod.pids()[SIDECAR] === pid) this.ledger.ingest(pod.plan.key, series);
      }),
    );
  }

  /** Stops everything and leaves nothing behind. */
  async close(): Promise<void> {
    this.closing = true;
    this.source.stop();
    await this.fleet.close();
    await this.leave();
  }

  /** The same with SIGKILL. */
  async kill(): Promise<void> {
    this.closing = true;
    this.source.stop();
    await this.fleet.kill();
    await this.leave();
  }

  private async leave(): Promise<void> {
    if (this.tokenTimer) clearInterval(this.tokenTimer);
    await this.control?.close();
    this.control = null;
    await this.guard.close();
    this.secrets.remove();
  }

  /** Plans once without starting anything: what cannot work is said now. */
  private check(): void {
    const manifests = this.manifests();
    const fileErrors = this.source
      .problems()
      .filter(({ severity }) => severity === 'error')
      .map(formatProblem);
    const notes = (texts: readonly string[]) => texts.map((text) => `\n  ${text}`).join('');
    if (manifests.length === 0)
      throw new Failure(`there are no manifests in ${this.settings.directory} (*.yaml, *.yml, *.json)${notes(fileErrors)}`);
    const plan = planMesh(manifests, this.planSettings);
    const texts = problemTexts(plan.problems, process.cwd());
    if (plan.pods.length === 0)
      throw new Failure(
        `there are no pods to run in ${this.settings.directory}: it needs a Deployment or a Pod${notes([...fileErrors, ...texts])}`,
      );
    const fatal = [
      ...plan.problems.filter(({ pod }) => pod !== undefined),
      ...missingPrograms(plan.pods, this.settings.env),
      ...takenPorts(
        plan,
        listeners().filter(({ address }) => address === '0.0.0.0' || address === '::'),
        holderText,
      ),
    ];
    if (fatal.length > 0) throw new Failure(`${this.settings.directory} cannot run:${notes(problemTexts(fatal, process.cwd()))}`);
  }

  private manifests(): SourcedManifest[] {
    return this.source.objects().map(({ object, file }) => ({ object: object as Manifest, file: resolve(file) }));
  }

  /** The directory is different: plans anew and brings everything to it. */
  private reload(): void {
    if (!this.control || this.closing) return;
    const running = new Set(this.fleet.pods().map(({ plan }) => plan.key));
    this.plan = planMesh(this.manifests(), this.planSettings, this.plan.memory, running);
    // Pods that run already are left alone: their program was there when they were started.
    const fresh = this.plan.pods.filter(({ key }) => !running.has(key));
    this.refused = missingPrograms(fresh, this.settings.env);
    const problems = [...this.refused, ...this.plan.problems];
    const refused = new Set(problems.flatMap(({ pod }) => (pod === undefined || running.has(pod) ? [] : [pod])));
    this.publish();
    this.control.workloadsChanged();
    this.fleet.apply(this.plan.pods, refused);
  }

  /** Hands the control plane what a cluster's API server would hold now. */
  private publish(): void {
    if (!this.control) return;
    const ready = this.fleet.ready();
    const serving = this.fleet.current().map(({ plan }) => this.latest(plan));
    const users = this.source.objects().map(({ object }) => object as Manifest);
    this.control.apply([
      ...users.filter(({ kind }) => !PODS_FROM_HERE.has(kind ?? '')),
      ...this.plan.services,
      ...this.plan.services.flatMap((service) => endpointSlices(service, serving, ready)),
      ...this.fleet.pods().map(({ plan }) => podObject(this.latest(plan), ready.has(plan.key))),
    ]);
  }

  /** A running pod as the newest plan has it: Services that came since may send to further ports of it. */
  private latest(plan: PlannedPod): PlannedPod {
    return this.plan.pods.find(({ key, revision }) => key === plan.key && revision === plan.revision) ?? plan;
  }

  private workload(key: string): Workload | undefined {
    const pod = this.fleet.pods().find(({ plan }) => plan.key === key);
    if (!pod) return undefined;
    const namespaces = this.source
      .objects()
      .map(({ object }) => object as Manifest)
      .filter(({ kind }) => kind === 'Namespace');
    return workloadOf(this.latest(pod.plan), this.plan, namespaces, this.planSettings);
  }

  private makePod(plan: PlannedPod, onReady: (ready: boolean) => void): RunningPod {
    const { settings, secrets } = this;
    this.writeToken(plan);
    const startedAt = performance.now();
    let announced = false;
    const sidecar = {
      program: settings.sidecarProgram,
      controlPlane: this.control!.address,
      trustDomain: this.planSettings.trustDomain,
      trustBundleFile: secrets.trustBundle,
      tokenFile: secrets.tokenFile(plan),
      otlp: settings.otlp,
      logLevel: settings.logLevel,
    };
    return new RunningPod(plan, {
      sidecar: sidecarLaunch(plan, sidecar, settings.env),
      containerLaunch: (container) => containerLaunch(container, settings.env),
      guard: this.guard,
      hooks: {
        onReady: (ready) => {
          if (ready) for (const key of this.troubles.keys()) if (key.startsWith(`${plan.key} `)) this.troubles.delete(key);
          onReady(ready);
          if (ready && !announced)
            settings.say(`${plan.name} ready in ${seconds(performance.now() - startedAt)} (${this.podsReady()} of ${this.podsWanted()})`);
          else if (ready) settings.say(`${plan.name} ready again`);
          announced ||= ready;
        },
        onLine: (part, line) => settings.onLine(plan, part, line),
        onExit: (part, exit) => this.onExit(plan, part, exit),
      },
    });
  }

  private onExit(plan: PlannedPod, part: string, exit: Exit): void {
    if (part === SIDECAR) this.ledger.restarted(plan.key);
    this.settings.say(exitText(plan.name, part, exit));
    const clash = portClash(plan, exit.lastErrors, (group) => this.ownerOf(group));
    const trouble = hopelessText(plan.name, part, exit, clash);
    const key = `${plan.key} ${part}`;
    if (trouble === null) return;
    if (!this.troubles.has(key)) this.settings.say(trouble);
    this.troubles.set(key, trouble);
  }

  private ownerOf(group: number): string | undefined {
    for (const pod of this.fleet.pods()) {
      for (const [part, pid] of Object.entries(pod.pids())) if (pid === group) return `${pod.plan.name} ${part}`;
    }
    return undefined;
  }

  private forget(pod: RunningPod): void {
    this.secrets.removeToken(pod.plan);
    for (const key of this.troubles.keys()) if (key.startsWith(`${pod.plan.key} `)) this.troubles.delete(key);
    if (!this.closing) this.settings.say(`${pod.plan.name} stopped`);
  }

  private writeToken(pod: PlannedPod): void {
    const { namespace, name, serviceAccount, uid } = pod;
    this.secrets.writeToken(pod, this.tokens.sign({ namespace, serviceAccount, pod: name, uid, lifetimeMs: TOKEN_LIFETIME_MS }));
  }

  private renewTokens(): void {
    for (const pod of this.fleet.current()) this.writeToken(pod.plan);
  }
}

/** Root may listen below 1024 too; elsewhere the kernel says where the free ports begin (ip-sysctl, ip_unprivileged_port_start). */
function lowestPort(): number {
  return process.geteuid?.() === 0 ? 1 : 1024;
}
