// Keeps the pods of this node captured: looks for the sandbox of each pod that waits, and loads its rules there.
import { NODE_AGENT_NAME } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { EventContent } from '#kube/events.ts';
import type { ReflectorHandler } from '#kube/reflector.ts';
import type { NodeAgentMetrics } from './metrics.ts';
import { type EnterDeps, type EnterOutcome, enterPod } from './process/enter.ts';
import { type FirstProcess, Sandboxes } from './process/sandboxes.ts';
import type { AgentPod } from './waiting-pod.ts';

/**
 * Between two looks at the node's processes. Fast while a pod is new: the sidecar starts half a second after its sandbox.
 * A pod that waits for long, such as for a volume, is looked for at leisure.
 */
const FAST_LOOK_MS = 25;
const FAST_FOR_MS = 60_000;
const SLOW_LOOK_MS = 500;
/** Of a pod whose sidecar runs without rules for so long, an Event says why. */
const LATE_MS = 5_000;
/** After a failure, doubled up to the second. */
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;
/** Each is a process of nft. */
const MOST_AT_ONCE = 4;

export interface CapturerDeps extends EnterDeps {
  readonly metrics: NodeAgentMetrics;
  readonly record: (event: EventContent) => void;
  readonly timers: Timers;
  /** Monotonic ms. */
  readonly monotonicMs: () => number;
  readonly log: Logger;
}

interface Tracked {
  pod: AgentPod;
  /** Since when its rules are missing, or its sidecar has not seen them. */
  readonly sinceMs: number;
  /**
   * The sandbox that has the rules, by its first process: the number of a network namespace may be given to the next
   * one. undefined: none that we know.
   */
  loaded: FirstProcess | undefined;
  busy: boolean;
  /** Since when its sidecar runs without rules; undefined: it does not. */
  bareSinceMs: number | undefined;
  problem: string;
  failures: number;
  notBeforeMs: number;
}

export class Capturer {
  private readonly deps: CapturerDeps;
  private readonly sandboxes: Sandboxes;
  /** Pods that ask for the agent and whose sidecar has not seen its rules yet, by uid. The others are left alone. */
  private readonly tracked = new Map<string, Tracked>();
  private cancel: (() => void) | undefined;
  private running = 0;
  private stopped = false;

  constructor(deps: CapturerDeps) {
    this.deps = deps;
    this.sandboxes = new Sandboxes(deps.processes);
  }

  /** What the reflector of the node's pods reports. */
  readonly handler: ReflectorHandler = {
    synced: (objects) => {
      const uids = new Set(objects.map(({ metadata }) => metadata?.uid));
      for (const uid of this.tracked.keys()) if (!uids.has(uid)) this.tracked.delete(uid);
      for (const object of objects) this.take(object as AgentPod);
      this.look();
    },
    applied: (object) => {
      this.take(object as AgentPod);
      this.look();
    },
    removed: ({ metadata }) => void this.tracked.delete(metadata?.uid ?? ''),
  };

  /** Looks no more. What is under way ends by itself. */
  stop(): void {
    this.stopped = true;
    this.cancel?.();
  }

  private take(pod: AgentPod): void {
    const known = this.tracked.get(pod.uid);
    // Its sidecar has found its rules in force: they stay there as long as its sandbox.
    if (pod.started) this.tracked.delete(pod.uid);
    else if (known !== undefined) known.pod = pod;
    else {
      const sinceMs = this.deps.monotonicMs();
      this.tracked.set(pod.uid, {
        pod,
        sinceMs,
        loaded: undefined,
        busy: false,
        bareSinceMs: undefined,
        problem: '',
        failures: 0,
        notBeforeMs: sinceMs,
      });
    }
  }

  /** One look at the node's processes, and the next one planned. */
  private look(): void {
    this.cancel?.();
    this.cancel = undefined;
    if (this.stopped || this.tracked.size === 0) return void this.deps.metrics.waiting.set(0);
    const { monotonicMs, timers, metrics } = this.deps;
    const nowMs = monotonicMs();
    const found = this.sandboxes.find(new Set(this.tracked.keys()), nowMs);
    metrics.lookDuration.observe((monotonicMs() - nowMs) / 1000);
    let waiting = 0;
    let isNew = false;
    for (const [uid, each] of this.tracked) {
      const first = found.get(uid);
      if (first === undefined) each.problem = NO_PROCESS;
      else if (each.loaded === undefined || !isSame(first, each.loaded)) this.start(each, first, nowMs);
      if (each.loaded !== undefined) continue;
      waiting++;
      isNew ||= nowMs - each.sinceMs < FAST_FOR_MS;
      this.reportLate(each, nowMs);
    }
    metrics.waiting.set(waiting);
    this.cancel = timers.after(isNew ? FAST_LOOK_MS : SLOW_LOOK_MS, () => this.look());
  }

  private start(each: Tracked, first: FirstProcess, nowMs: number): void {
    if (each.busy || nowMs < each.notBeforeMs || this.running >= MOST_AT_ONCE) return;
    each.busy = true;
    this.running++;
    void this.load(each, first, nowMs).finally(() => {
      each.busy = false;
      this.running--;
    });
  }

  private async load(each: Tracked, first: FirstProcess, beganMs: number): Promise<void> {
    const { pod } = each;
    const { monotonicMs, metrics, log } = this.deps;
    const outcome: EnterOutcome =
      'problem' in pod.rules ? { result: 'failed', why: pod.rules.problem } : await enterPod(pod.uid, first, pod.rules.text, this.deps);
    if (outcome.result === 'early') {
      each.problem = outcome.why;
      return;
    }
    metrics.loads.inc({ result: outcome.result });
    const fields = { pod: `${pod.namespace}/${pod.name}` };
    if (outcome.result === 'loaded') {
      each.loaded = first;
      each.problem = '';
      each.failures = 0;
      const tookMs = monotonicMs() - beganMs;
      metrics.loadDuration.observe(tookMs / 1000);
      log.info('rules loaded', { ...fields, ms: Math.round(tookMs), waited_ms: Math.round(beganMs - each.sinceMs) });
      return;
    }
    each.problem = outcome.why;
    each.notBeforeMs = monotonicMs() + Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.min(each.failures++, 10));
    log.warn('rules could not be loaded', { ...fields, problem: outcome.why });
    this.report(pod, outcome.why);
  }

  private reportLate(each: Tracked, nowMs: number): void {
    if (!each.pod.runs) {
      each.bareSinceMs = undefined;
      return;
    }
    each.bareSinceMs ??= nowMs;
    if (nowMs - each.bareSinceMs < LATE_MS || each.problem === '') return;
    // Once for each time that it runs: a new one is a new state of the pod.
    each.bareSinceMs = Number.POSITIVE_INFINITY;
    this.deps.log.warn('a pod waits for its rules', { pod: `${each.pod.namespace}/${each.pod.name}`, problem: each.problem });
    this.report(each.pod, each.problem);
  }

  private report({ uid, namespace, name }: AgentPod, why: string): void {
    const message = `${NODE_AGENT_NAME} could not load the rules that bring the pod's traffic to its sidecar; it waits: ${why}`;
    this.deps.record({
      regarding: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      type: 'Warning',
      reason: 'CaptureFailed',
      message,
    });
  }
}

const NO_PROCESS =
  "no process of it is found on the node: the agent needs hostPID, and control groups that name their pods (the kubelet's cgroupsPerQOS, which is on by default)";

function isSame(one: FirstProcess, other: FirstProcess): boolean {
  return one.pid === other.pid && one.startTime === other.startTime;
}
