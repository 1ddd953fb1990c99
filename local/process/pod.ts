// One running pod: its sidecar first, then its containers, kept running; ready when all of them serve; stopped in the
// reverse order.
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { accepts, fetchText } from '../network/probe.ts';
import type { PlannedContainer, PlannedPod } from '../plan/pods.ts';
import type { Guard } from './guard.ts';
import { type Exit, type Launch, Supervised } from './supervised.ts';

export interface PodHooks {
  /** The pod begins or ceases to take traffic. */
  onReady(ready: boolean): void;
  onLine(part: string, line: string, stream: 'stdout' | 'stderr'): void;
  /** A process of the pod ended unasked and will be started again. */
  onExit(part: string, exit: Exit): void;
}

export interface PodDeps {
  readonly sidecar: Launch;
  readonly containerLaunch: (container: PlannedContainer) => Launch;
  readonly guard: Guard;
  readonly hooks: PodHooks;
}

/** Between the endpoint's removal and SIGTERM to the containers: callers' sidecars learn of the removal meanwhile. */
export const ENDPOINT_GRACE_MS = 300;
/** From SIGTERM to SIGKILL, for each of containers and sidecar. */
export const STOP_GRACE_MS = 5000;
const POLL_MS = 50;
// A container without a port says nothing of itself: it is taken for ready when it has not ended this soon.
const SETTLED_MS = 200;

/** What the log calls the sidecar among the containers of a pod. */
export const SIDECAR = 'sidecar';

type Phase = 'new' | 'running' | 'stopping' | 'stopped';

export class RunningPod {
  readonly plan: PlannedPod;
  private readonly deps: PodDeps;
  private readonly sidecar: Supervised;
  private readonly containers: { readonly plan: PlannedContainer; readonly process: Supervised; up: boolean; misses: number }[];
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
      this.observer(SIDECAR, () => (this.sidecarReady = false)),
      guard,
    );
    this.containers = plan.containers.map((container) => {
      const launch = deps.containerLaunch(container);
      const entry = { plan: container, process: null as unknown as Supervised, up: false, misses: 0 };
      entry.process = new Supervised(
        launch,
        this.observer(container.name, () => (entry.up = false)),
        guard,
      );
      return entry;
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
    if (this.timer) clearTimeout(this.timer);
    return Promise.all([this.sidecar, ...this.containers.map(({ process }) => process)].map((process) => process.stop(0)));
  }

  private async stopInOrder(atOnce: boolean, beforeSidecar: () => Promise<void>): Promise<void> {
    this.phase = 'stopping';
    if (this.timer) clearTimeout(this.timer);
    const wasReady = this.ready;
    this.setReady(false);
    if (wasReady && !atOnce) await new Promise((resolve) => setTimeout(resolve, ENDPOINT_GRACE_MS));
    await Promise.all(this.containers.map(({ process }) => process.stop(STOP_GRACE_MS)));
    await beforeSidecar();
    await this.sidecar.stop(STOP_GRACE_MS);
    this.phase = 'stopped';
  }

  private readonly setReady: (ready: boolean) => void;

  private observer(part: string, down: () => void) {
    const { hooks } = this.deps;
    return {
      onStart: () => {},
      onLine: (line: string, stream: 'stdout' | 'stderr') => hooks.onLine(part, line, stream),
      onExit: (exit: Exit) => {
        down();
        if (this.phase !== 'running') return;
        this.setReady(false);
        hooks.onExit(part, exit);
        this.check(POLL_MS);
      },
    };
  }

  private check(delayMs: number): void {
    if (this.timer) clearTimeout(this.timer);
    if (this.phase !== 'running') return;
    this.timer = setTimeout(() => {
      if (this.checking) return;
      this.checking = true;
      // The questions of process/probe.ts never throw.
      void this.look().finally(() => {
        this.checking = false;
        this.check(this.nextLookMs());
      });
    }, delayMs);
  }

  /** Until ready often; then only as often as the containers' own probes ask, and an exit wakes us. */
  private nextLookMs(): number {
    if (!this.ready) return POLL_MS;
    return Math.min(...this.containers.map(({ plan }) => plan.probe?.periodMs ?? 60_000));
  }

  private async look(): Promise<void> {
    if (!this.sidecarReady) {
      const { podAddress } = this.plan;
      const running = this.sidecar.pid;
      const answer = running === undefined ? undefined : await fetchText(podAddress, SIDECAR_ADMIN_PORT, '/readyz');
      if (answer?.status !== 200 || this.sidecar.pid !== running) return;
      this.sidecarReady = true;
    }
    if (this.phase !== 'running') return;
    if (!this.started) {
      this.started = true;
      for (const { process } of this.containers) process.start();
    }
    await Promise.all(this.containers.map((container) => this.lookAt(container)));
    if (this.phase === 'running') this.setReady(this.sidecarReady && this.containers.every(({ up }) => up));
  }

  private async lookAt(container: RunningPod['containers'][number]): Promise<void> {
    const { plan, process } = container;
    const running = process.pid;
    if (running === undefined) {
      container.up = false;
      return;
    }
    if (container.up && plan.probe === null) return;
    const ports = plan.probe ? [plan.probe.port] : plan.ports.map(({ port }) => port);
    const answers = await Promise.all(ports.map((port) => accepts(this.plan.appAddress, port)));
    const good = answers.every((answer) => answer) && (ports.length > 0 || process.uptimeMs() >= SETTLED_MS);
    if (process.pid !== running) return;
    container.misses = good ? 0 : container.misses + 1;
    if (good) container.up = true;
    else if (container.misses >= (plan.probe?.failureThreshold ?? 1)) container.up = false;
  }
}
