// One running pod: its sidecar first, then its containers, kept running; ready when all of them serve; stopped in the
// reverse order.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { systemTimers } from '#core/program/timers.ts';
import { fetchText } from '../network/probe.ts';
import type { PlannedContainer, PlannedPod } from '../plan/pods.ts';
import type { Guard } from './guard.ts';
import { Prober, type ProberDeps } from './prober.ts';
import { askPorts, askProbe } from './questions.ts';
import { type Exit, type Launch, Supervised } from './supervised.ts';

export interface PodHooks {
  /** The pod begins or ceases to take traffic. */
  onReady(ready: boolean): void;
  onLine(part: string, line: string, stream: 'stdout' | 'stderr'): void;
  /** A process of the pod ended unasked and will be started again. */
  onExit(part: string, exit: Exit): void;
  /** A container ceases to be ready, or has not become it for a while, and why. */
  onFailing(part: string, detail: string): void;
}

export interface PodDeps {
  readonly sidecar: Launch;
  readonly containerLaunch: (container: PlannedContainer) => Launch;
  readonly guard: Guard;
  readonly hooks: PodHooks;
}

/** Between the endpoint's removal and SIGTERM to the containers: callers' sidecars learn of the removal meanwhile. */
export const ENDPOINT_GRACE_MS = 300;
/**
 * From SIGTERM to SIGKILL, for each of containers and sidecar. terminationGracePeriodSeconds goes before for containers,
 * and a sidecar that may drain for longer gets more.
 */
export const STOP_GRACE_MS = 5000;
const AFTER_DRAIN_MS = 2000;
/** Between two questions to what is not ready yet; a command costs a process. */
const POLL_MS = 50;
const COMMAND_POLL_MS = 500;
// A container without a port says nothing of itself: it is taken for ready when it has not ended this soon.
const SETTLED_MS = 200;

/** What the log calls the sidecar among the containers of a pod. */
export const SIDECAR = 'sidecar';

type Phase = 'new' | 'running' | 'stopping' | 'stopped';

export class RunningPod {
  readonly plan: PlannedPod;
  private readonly deps: PodDeps;
  private readonly sidecar: Supervised;
  private readonly containers: { readonly plan: PlannedContainer; readonly process: Supervised; readonly prober: Prober }[];
  private phase: Phase = 'new';
  private sidecarReady = false;
  private started = false;
  private ready = false;
  private timer: NodeJS.Timeout | null = null;
  private checking = false;
  private stopped: Promise<void> | null = null;

  constructor(plan: PlannedPod, deps: PodDeps) {
    this.plan = plan;
    this.deps = deps;
    const { hooks, guard } = deps;
    this.sidecar = new Supervised(
      deps.sidecar,
      this.observer(
        SIDECAR,
        () => {},
        () => {
          this.sidecarReady = false;
          this.check(POLL_MS);
        },
      ),
      guard,
    );
    this.containers = plan.containers.map((container) => {
      const launch = deps.containerLaunch(container);
      const prober = new Prober(this.proberDeps(container, launch));
      const observer = this.observer(
        container.name,
        () => prober.started(),
        () => prober.stopped(),
      );
      return { plan: container, process: new Supervised(launch, observer, guard), prober };
    });
    this.setReady = (ready) => {
      if (this.ready === ready) return;
      this.ready = ready;
      hooks.onReady(ready);
    };
  }

  get isReady(): boolean {
    return this.ready;
  }

  /** Process ids of the sidecar and of the containers that run, by name. */
  pids(): Record<string, number> {
    const all = [[SIDECAR, this.sidecar.pid] as const, ...this.containers.map(({ plan, process }) => [plan.name, process.pid] as const)];
    return Object.fromEntries(all.filter((entry): entry is readonly [string, number] => entry[1] !== undefined));
  }

  /** Unasked ends of its processes since it was started. */
  get restarts(): number {
    return this.sidecar.restarts + this.containers.reduce((sum, { process }) => sum + process.restarts, 0);
  }

  start(): void {
    if (this.phase !== 'new') return;
    this.phase = 'running';
    this.sidecar.start();
    this.check(POLL_MS);
  }

  /**
   * Out of the endpoints, then (unless `atOnce`) a moment for callers to notice, SIGTERM to the containers, then to the
   * sidecar. Resolves when all processes are gone. `beforeSidecar` runs while the sidecar can still be asked what it
   * has counted.
   */
  stop(atOnce: boolean, beforeSidecar: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    this.stopped ??= this.stopInOrder(atOnce, beforeSidecar);
    return this.stopped;
  }

  /** No time for manners: SIGKILL to everything. */
  kill(): Promise<unknown> {
    this.phase = 'stopped';
    this.stopAsking();
    return Promise.all([this.sidecar, ...this.containers.map(({ process }) => process)].map((process) => process.stop(0)));
  }

  private async stopInOrder(atOnce: boolean, beforeSidecar: () => Promise<void>): Promise<void> {
    this.phase = 'stopping';
    this.stopAsking();
    const wasReady = this.ready;
    this.setReady(false);
    if (wasReady && !atOnce) await new Promise((resolve) => setTimeout(resolve, ENDPOINT_GRACE_MS));
    const { spec, options } = this.plan;
    const graceMs = typeof spec.terminationGracePeriodSeconds === 'number' ? spec.terminationGracePeriodSeconds * 1000 : STOP_GRACE_MS;
    await Promise.all(this.containers.map(({ process }) => process.stop(graceMs)));
    await beforeSidecar();
    await this.sidecar.stop(Math.max(STOP_GRACE_MS, options.drainSeconds * 1000 + AFTER_DRAIN_MS));
    this.phase = 'stopped';
  }

  private readonly setReady: (ready: boolean) => void;

  /** Nothing is asked any more. */
  private stopAsking(): void {
    if (this.timer) clearTimeout(this.timer);
    for (const { prober } of this.containers) prober.stopped();
  }

  private observer(part: string, up: () => void, down: () => void) {
    const { hooks } = this.deps;
    return {
      onStart: () => {
        if (this.phase === 'running') up();
      },
      onLine: (line: string, stream: 'stdout' | 'stderr') => hooks.onLine(part, line, stream),
      onExit: (exit: Exit) => {
        down();
        if (this.phase !== 'running') return;
        this.setReady(false);
        hooks.onExit(part, exit);
      },
    };
  }

  /** A container without a probe is ready when all its ports accept, or without ports when it has not ended soon. */
  private proberDeps({ name, probe, ports }: PlannedContainer, launch: Launch): ProberDeps {
    const { hooks, guard } = this.deps;
    const shared = { onChange: () => this.update(), onFailing: (detail: string) => hooks.onFailing(name, detail), timers: systemTimers };
    if (probe !== null) {
      const eagerMs = probe.question.kind === 'exec' ? COMMAND_POLL_MS : POLL_MS;
      return { ...shared, times: probe, eagerMs, once: false, ask: () => askProbe(probe.question, this.plan, launch, guard) };
    }
    const numbers = ports.map(({ port }) => port);
    const initialDelayMs = numbers.length === 0 ? SETTLED_MS : 0;
    const times = { initialDelayMs, periodMs: POLL_MS, successThreshold: 1, failureThreshold: 1 };
    return { ...shared, times, eagerMs: POLL_MS, once: true, ask: () => askPorts(numbers, this.plan.appAddress) };
  }

  private update(): void {
    if (this.phase === 'running') this.setReady(this.sidecarReady && this.containers.every(({ prober }) => prober.ready));
  }

  private check(delayMs: number): void {
    if (this.timer) clearTimeout(this.timer);
    if (this.phase !== 'running') return;
    this.timer = setTimeout(() => {
      if (this.checking) return;
      this.checking = true;
      // The questions of network/probe.ts never throw.
      void this.look().finally(() => {
        this.checking = false;
        if (!this.sidecarReady) this.check(POLL_MS);
      });
    }, delayMs);
  }

  /** Until the sidecar is ready; its exit begins anew. */
  private async look(): Promise<void> {
    const { podAddress } = this.plan;
    const running = this.sidecar.pid;
    const answer = running === undefined ? undefined : await fetchText(podAddress, SIDECAR_ADMIN_PORT, '/readyz');
    if (answer?.status !== 200 || this.sidecar.pid !== running || this.phase !== 'running') return;
    this.sidecarReady = true;
    if (!this.started) {
      this.started = true;
      for (const { process } of this.containers) process.start();
    }
    this.update();
  }
}
