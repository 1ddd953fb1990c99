// Brings the pods that run to the pods that are planned: starts a few at a time, replaces old revisions one by one,
// stops what is not wanted.
import type { PlannedPod } from '../plan/pods.ts';
import type { RunningPod } from '../process/pod.ts';

export interface FleetHooks {
  /**
   * Makes a pod's processes; they are started by the fleet. `onReady` must be called at each change of its readiness.
   */
  make(pod: PlannedPod, onReady: (ready: boolean) => void): RunningPod;
  /** The set of pods, or the readiness of one, is different now. */
  onChange(): void;
  /** A pod is out of service but its sidecar can still be asked what it has counted. */
  beforeSidecarStops(pod: RunningPod): Promise<void>;
  onStopped(pod: RunningPod): void;
}

/** Pods that are started at the same time: more would only make all of them slow on a small machine. */
export const MOST_STARTING = 4;
// A pod that does not become ready must not keep the others from their start.
const START_TURN_MS = 5000;

interface Entry {
  readonly pod: RunningPod;
  phase: 'starting' | 'started' | 'stopping';
  turn: NodeJS.Timeout | null;
}

export class Fleet {
  private readonly hooks: FleetHooks;
  /** In the order of their starts. */
  private readonly entries: Entry[] = [];
  private wanted: readonly PlannedPod[] = [];
  private refused: ReadonlySet<string> = new Set();
  private closed = false;

  constructor(hooks: FleetHooks) {
    this.hooks = hooks;
  }

  /** All pods that have processes, those that are stopping included. */
  pods(): RunningPod[] {
    return this.entries.map(({ pod }) => pod);
  }

  /** Pods that are in service or on the way to it. */
  current(): RunningPod[] {
    return this.entries.filter(({ phase }) => phase !== 'stopping').map(({ pod }) => pod);
  }

  /** Keys of the pods that take traffic. */
  ready(): Set<string> {
    return new Set(
      this.current()
        .filter(({ isReady }) => isReady)
        .map(({ plan }) => plan.key),
    );
  }

  /**
   * Makes this the plan. Never blocks; changes follow as pods become ready.
   * @param refused keys of planned pods that cannot be started; what they were to replace stays
   */
  apply(wanted: readonly PlannedPod[], refused: ReadonlySet<string> = new Set()): void {
    this.wanted = wanted;
    this.refused = refused;
    this.step();
  }

  /** Stops everything, without the moment for callers to notice. */
  async close(): Promise<void> {
    this.closed = true;
    this.wanted = [];
    await Promise.all(this.entries.map((entry) => this.stop(entry, true)));
  }

  /** SIGKILL to everything. */
  async kill(): Promise<void> {
    this.closed = true;
    await Promise.all(this.entries.map(({ pod }) => pod.kill()));
  }

  private step(): void {
    if (this.closed) return;
    this.stopUnwanted();
    this.startMissing();
  }

  private stopUnwanted(): void {
    const wanted = new Map(this.wanted.map((pod) => [pod.key, pod]));
    const missing = this.missingByOwner();
    // Oldest first: of those that may stay for a while, the oldest have proven themselves longest.
    for (const entry of [...this.entries]) {
      const { plan } = entry.pod;
      if (entry.phase === 'stopping' || wanted.get(plan.key)?.revision === plan.revision) continue;
      // A pod of an earlier revision serves until its replacement does. A bare Pod cannot: its successor has its name.
      const left = missing.get(plan.owner) ?? 0;
      if (entry.pod.isReady && left > 0 && !wanted.has(plan.key)) missing.set(plan.owner, left - 1);
      else void this.stop(entry, false);
    }
  }

  /** How many of an owner's wanted pods are not ready yet. */
  private missingByOwner(): Map<string, number> {
    const ready = new Set(
      this.entries.filter(({ pod, phase }) => phase !== 'stopping' && pod.isReady).map(({ pod }) => `${pod.plan.key} ${pod.plan.revision}`),
    );
    const missing = new Map<string, number>();
    for (const pod of this.wanted) {
      if (!ready.has(`${pod.key} ${pod.revision}`)) missing.set(pod.owner, (missing.get(pod.owner) ?? 0) + 1);
    }
    return missing;
  }

  private startMissing(): void {
    const present = new Set(this.entries.map(({ pod }) => pod.plan.key));
    const serves = (plan: PlannedPod) => plan.inboundPorts.length > 0;
    // Pods that only call come last, when those that are called have had their turn: otherwise their first calls would
    // find no endpoint.
    for (const plan of [...this.wanted.filter(serves), ...this.wanted.filter((one) => !serves(one))]) {
      const starting = this.entries.filter(({ phase }) => phase === 'starting');
      if (starting.length >= MOST_STARTING) return;
      if (present.has(plan.key) || this.refused.has(plan.key)) continue;
      if (!serves(plan) && starting.some(({ pod }) => serves(pod.plan))) return;
      this.start(plan);
    }
  }

  private start(plan: PlannedPod): void {
    const entry: Entry = {
      phase: 'starting',
      turn: null,
      pod: this.hooks.make(plan, (ready) => {
        if (ready && entry.phase === 'starting') this.endTurn(entry);
        this.hooks.onChange();
        this.step();
      }),
    };
    entry.turn = setTimeout(() => {
      this.endTurn(entry);
      this.step();
    }, START_TURN_MS);
    this.entries.push(entry);
    // Known before it speaks: the control plane is asked about it as soon as its sidecar connects.
    this.hooks.onChange();
    entry.pod.start();
  }

  private endTurn(entry: Entry): void {
    if (entry.turn) clearTimeout(entry.turn);
    entry.turn = null;
    if (entry.phase === 'starting') entry.phase = 'started';
  }

  private async stop(entry: Entry, atOnce: boolean): Promise<void> {
    this.endTurn(entry);
    if (entry.phase === 'stopping') {
      await entry.pod.stop(atOnce);
      return;
    }
    entry.phase = 'stopping';
    this.hooks.onChange();
    await entry.pod.stop(atOnce, () => this.hooks.beforeSidecarStops(entry.pod));
    this.entries.splice(this.entries.indexOf(entry), 1);
    this.hooks.onStopped(entry.pod);
    this.hooks.onChange();
    this.step();
  }
}
