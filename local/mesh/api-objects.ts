// What a cluster's API server would hold of a run: the directory's objects, with the pods and EndpointSlices that the
// run stands for. Pure.
import type { Manifest } from '../plan/manifests.ts';
import type { MeshPlan } from '../plan/plan.ts';
import type { PlannedPod } from '../plan/pods.ts';
import { endpointSlices, podObject } from '../plan/services.ts';

/** Kinds that the run makes itself, from the plan. */
const MADE_HERE: ReadonlySet<string> = new Set(['Deployment', 'Pod', 'Service']);

export interface RunState {
  readonly plan: MeshPlan;
  /** The pods that have processes, those that are stopping included. */
  readonly running: readonly PlannedPod[];
  /** Those of them that are not stopping. */
  readonly serving: readonly PlannedPod[];
  /** Keys of the pods that take traffic. */
  readonly ready: ReadonlySet<string>;
}

/** @param users the directory's objects */
export function apiObjects(users: readonly Manifest[], { plan, running, serving, ready }: RunState): Manifest[] {
  const latest = serving.map((pod) => latestPlanOf(pod, plan));
  return [
    ...users.filter(({ kind }) => !MADE_HERE.has(kind ?? '')),
    ...plan.services,
    ...plan.services.flatMap((service) => endpointSlices(service, latest, ready)),
    ...running.map((pod) => podObject(latestPlanOf(pod, plan), ready.has(pod.key))),
  ];
}

/** A running pod as the newest plan has it: Services that came since may send to further ports of it. */
export function latestPlanOf(pod: PlannedPod, plan: MeshPlan): PlannedPod {
  return plan.pods.find(({ key, revision }) => key === pod.key && revision === pod.revision) ?? pod;
}
