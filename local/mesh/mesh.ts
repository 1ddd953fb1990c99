// A running mesh: the directory's objects, the control plane fed with them, the pods that stand for them, and what they
// have counted.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { DirectorySource } from '#control-plane/source/files/directory-source.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';
import type { Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { DEFAULT_TRUST_DOMAIN } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import type { Logger } from '#core/program/log.ts';
import { claimPrefix } from '../network/prefix.ts';
import type { Manifest, SourcedManifest } from '../plan/manifests.ts';
import { type MeshPlan, type PlanSettings, planMesh, workloadOf } from '../plan/plan.ts';
import type { PlannedPod, PlanProblem } from '../plan/pods.ts';
import { type Guard, startGuard } from '../process/guard.ts';
import { containerLaunch, missingProgram, sidecarLaunch } from '../process/launch.ts';
import { RunningPod, SIDECAR } from '../process/pod.ts';
import type { Exit } from '../process/supervised.ts';
import { tracingProblems } from '../process/tracing.ts';
import { Ledger } from '../stats/ledger.ts';
import type { RouteRow } from '../stats/rows.ts';
import { apiObjects, latestPlanOf } from './api-objects.ts';
import { collectStats } from './collect.ts';
import { type MeshControl, startControl } from './control.ts';
import { Fleet } from './fleet.ts';
import { checkRunnable, missingPrograms, problemTexts } from './preflight.ts';
import { SecretFiles } from './secrets.ts';
import { PodTokens } from './tokens.ts';
import { Troubles } from './troubles.ts';

export interface MeshDeps {
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

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export class Mesh {
  readonly ledger = new Ledger();
  private readonly deps: MeshDeps;
  private readonly source: DirectorySource;
  private readonly fleet: Fleet;
  private readonly secrets = new SecretFiles();
  private readonly guard: Guard;
  private readonly tokens = new PodTokens(this.secrets);
  private readonly troubles: Troubles;
  private planSettings: PlanSettings;
  private plan: MeshPlan = { pods: [], services: [], problems: [], memory: { pods: new Map(), services: new Map() } };
  private refused: readonly PlanProblem[] = [];
  private control: MeshControl | null = null;
  /** Problems that were said. */
  private readonly announced = new Set<string>();
  private closing = false;

  constructor(deps: MeshDeps) {
    this.deps = deps;
    this.troubles = new Troubles(deps.say);
    const directory = resolve(deps.directory);
    this.planSettings = {
      prefix: '127.77',
      lowestPort: lowestPort(),
      trustDomain: DEFAULT_TRUST_DOMAIN,
      directory,
      exists: existsSync,
    };
    this.guard = startGuard(this.secrets.directory);
    this.source = new DirectorySource({ dir: deps.directory, log: deps.log, onChange: () => this.reload() });
    this.fleet = new Fleet({
      make: (pod, onReady) => this.makePod(pod, onReady),
      onChange: () => this.publish(),
      beforeSidecarStops: (pod) => this.poll([pod]),
      onStopped: (pod) => this.forget(pod),
    });
  }

  /**
   * Reads the directory, checks that it can run, starts the control plane and the first pods. Pods become ready
   * afterwards.
   * @throws Failure with all that is wrong; nothing runs then
   */
  async start(): Promise<void> {
    const { deps } = this;
    const missing = missingProgram(deps.sidecarProgram);
    if (missing !== null) throw new Failure(missing);
    const unusable = tracingProblems(deps.env, deps.otlp).join('; ');
    if (unusable !== '' && deps.otlp !== null) throw new Failure(`--otlp cannot work with your environment: ${unusable}`);
    await this.source.start().catch((error: Error) => {
      throw error.name === 'DirectoryError' ? new Failure(error.message) : error;
    });
    checkRunnable({
      directory: deps.directory,
      manifests: this.manifests(),
      fileErrors: this.fileErrors(),
      planSettings: this.planSettings,
      env: deps.env,
    });
    const startedAt = performance.now();
    const { prefix, claimed } = await claimPrefix((candidate) =>
      startControl({
        prefix: candidate,
        trustDomain: this.planSettings.trustDomain,
        log: deps.log,
        verifyToken: this.tokens.verify,
        workloadOf: (namespace, pod) => this.workload(`${namespace}/${pod}`),
      }),
    );
    this.planSettings = { ...this.planSettings, prefix };
    this.control = claimed;
    this.secrets.writeTrustBundle(claimed.rootsPem);
    deps.say(`certificate authority and control plane ready on ${claimed.address} in ${seconds(performance.now() - startedAt)}`);
    if (deps.otlp !== null) deps.say(`traces go to ${deps.otlp}`);
    else if (unusable !== '') deps.say(`there are no traces, the OTEL_ settings of your environment are left out: ${unusable}`);
    this.tokens.keepFresh(() => this.fleet.current().map(({ plan }) => plan));
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
    const plan = problemTexts([...this.plan.problems, ...this.refused], process.cwd());
    return [...this.fileErrors(), ...plan, ...this.troubles.texts(), ...(this.control?.problems() ?? [])];
  }

  /** Asks the sidecars what they have counted since the last time. */
  async poll(pods: readonly RunningPod[] = this.fleet.pods()): Promise<void> {
    await collectStats(pods, this.ledger);
    this.announce(this.control?.problems() ?? []);
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
    this.tokens.stop();
    await this.control?.close();
    this.control = null;
    await this.guard.close();
    this.secrets.remove();
  }

  /** Each problem is a line of the log once; it stands in the view as long as it is there. */
  private announce(problems: readonly string[]): void {
    for (const problem of problems) {
      if (this.announced.has(problem)) continue;
      this.announced.add(problem);
      this.deps.say(problem);
    }
  }

  private fileErrors(): string[] {
    return this.source
      .problems()
      .filter(({ severity }) => severity === 'error')
      .map(formatProblem);
  }

  /** The directory's objects. */
  private objects(): Manifest[] {
    return this.source.objects().map(({ object }) => object as Manifest);
  }

  private manifests(): SourcedManifest[] {
    return this.source.objects().map(({ object, file }) => ({ object: object as Manifest, file: resolve(file) }));
  }

  /** The directory has changed: makes a new plan and brings everything to it. */
  private reload(): void {
    if (!this.control || this.closing) return;
    const running = new Set(this.fleet.pods().map(({ plan }) => plan.key));
    this.plan = planMesh(this.manifests(), this.planSettings, this.plan.memory, running);
    // Pods that run already are left alone: their program was there when they were started.
    const fresh = this.plan.pods.filter(({ key }) => !running.has(key));
    this.refused = missingPrograms(fresh, this.deps.env);
    const problems = [...this.refused, ...this.plan.problems];
    const refused = new Set(problems.flatMap(({ pod }) => (pod === undefined || running.has(pod) ? [] : [pod])));
    this.announce(problemTexts(problems, process.cwd()));
    this.publish();
    this.control.workloadsChanged();
    this.fleet.apply(this.plan.pods, refused);
  }

  /** Hands the control plane what a cluster's API server would hold now. */
  private publish(): void {
    const { fleet, plan } = this;
    const plans = (pods: readonly RunningPod[]) => pods.map((pod) => pod.plan);
    const state = { plan, running: plans(fleet.pods()), serving: plans(fleet.current()), ready: fleet.ready() };
    this.control?.apply(apiObjects(this.objects(), state));
  }

  private workload(key: string): Workload | undefined {
    const pod = this.fleet.pods().find(({ plan }) => plan.key === key);
    if (!pod) return undefined;
    const namespaces = this.objects().filter(({ kind }) => kind === 'Namespace');
    return workloadOf(latestPlanOf(pod.plan, this.plan), this.plan, namespaces, this.planSettings);
  }

  private makePod(plan: PlannedPod, onReady: (ready: boolean) => void): RunningPod {
    const { deps, secrets } = this;
    this.tokens.write(plan);
    const startedAt = performance.now();
    let announced = false;
    const sidecar = {
      program: deps.sidecarProgram,
      controlPlane: this.control!.address,
      trustDomain: this.planSettings.trustDomain,
      trustBundleFile: secrets.trustBundle,
      tokenFile: secrets.tokenFile(plan),
      otlp: deps.otlp,
      logLevel: deps.logLevel,
    };
    return new RunningPod(plan, {
      sidecar: sidecarLaunch(plan, sidecar, deps.env),
      containerLaunch: (container) => containerLaunch(container, deps.env),
      guard: this.guard,
      hooks: {
        onReady: (ready) => {
          if (ready) this.troubles.clear(plan);
          onReady(ready);
          if (ready && !announced)
            deps.say(`${plan.name} ready in ${seconds(performance.now() - startedAt)} (${this.podsReady()} of ${this.podsWanted()})`);
          else if (ready) deps.say(`${plan.name} ready again`);
          announced ||= ready;
        },
        onLine: (part, line) => deps.onLine(plan, part, line),
        onExit: (part, exit) => this.onExit(plan, part, exit),
        onFailing: (part, detail) => this.troubles.failing(plan, part, detail),
      },
    });
  }

  private onExit(plan: PlannedPod, part: string, exit: Exit): void {
    if (part === SIDECAR) this.ledger.restarted(plan.key);
    this.troubles.add(plan, part, exit, this.fleet.pods());
  }

  private forget({ plan }: RunningPod): void {
    this.secrets.removeToken(plan);
    this.troubles.clear(plan);
    if (!this.closing) this.deps.say(`${plan.name} stopped`);
  }
}

/**
 * Root may listen below 1024 too; elsewhere the kernel says where the free ports begin (ip-sysctl,
 * ip_unprivileged_port_start).
 */
function lowestPort(): number {
  return process.geteuid?.() === 0 ? 1 : 1024;
}
