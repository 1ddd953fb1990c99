// Asks every replica of the control plane for what it knows.

import { CONTROL_PLANE_NAME, CONTROL_PLANE_VIEW_PORT, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { StatusView } from '#core/contract/view.ts';
import { Failure } from '#core/program/failure.ts';
import type { KubeClient } from '#kube/api.ts';
import { podKind } from '#objects/pod.ts';
import type { ClusterPod } from './objects.ts';
import { isLive, podsOf, podTrouble } from './pods.ts';
import { askPod, type OpenPort } from './reach.ts';

/** A pod of the control plane, and its report or why there is none. */
export interface ReplicaAnswer {
  readonly pod: string;
  readonly report: { readonly ok: true; readonly value: StatusView } | { readonly ok: false; readonly error: string };
}

/** More replicas than an installation has; the others are not asked. */
const MOST_REPLICAS = 10;
const ANSWER_TIMEOUT_MS = 6000;

/** Names of the control plane's pods that run. @throws Failure when there are none, with the reason */
export async function runningReplicas(client: KubeClient): Promise<string[]> {
  let pods: ClusterPod[];
  try {
    const list = await client.request<{ items?: ClusterPod[] }>('GET', { kind: podKind, namespace: SYSTEM_NAMESPACE });
    pods = [...podsOf(list.items ?? [], CONTROL_PLANE_NAME)].filter(isLive);
  } catch (error) {
    throw new Failure((error as Error).message);
  }
  if (pods.length === 0) {
    throw new Failure(`no control plane runs in namespace ${SYSTEM_NAMESPACE}: weft install | kubectl apply -f -, or weft check for more`);
  }
  const running = pods.filter(({ status }) => status?.phase === 'Running');
  if (running.length === 0) {
    throw new Failure(
      `no control plane runs yet: ${pods.map((pod) => `${pod.metadata?.name}: ${podTrouble(pod)}`).join('; ')}; weft check says more`,
    );
  }
  return running.map(({ metadata }) => metadata?.name ?? '');
}

/** One answer for each pod, in their order. Never throws. */
export async function askReplicas(open: OpenPort, pods: readonly string[]): Promise<ReplicaAnswer[]> {
  return Promise.all(pods.slice(0, MOST_REPLICAS).map((pod) => askReplica(open, pod)));
}

async function askReplica(open: OpenPort, pod: string): Promise<ReplicaAnswer> {
  try {
    const where = { namespace: SYSTEM_NAMESPACE, name: pod, port: CONTROL_PLANE_VIEW_PORT };
    const { status, body } = await askPod(open, where, '/status', ANSWER_TIMEOUT_MS);
    if (status !== 200) return { pod, report: { ok: false, error: `/status answers ${status} ${body.trim().slice(0, 200)}` } };
    return { pod, report: { ok: true, value: reportOf(JSON.parse(body)) } };
  } catch (error) {
    return { pod, report: { ok: false, error: (error as Error).message } };
  }
}

const LISTS = ['missingKinds', 'problems', 'routes', 'sidecars', 'calls', 'reflectors'] as const;

/** A control plane of another version may leave lists out. @throws Error when it is no report at all */
function reportOf(value: unknown): StatusView {
  if (value === null || typeof value !== 'object') throw new Error('/status is not a report');
  const report = value as Record<string, unknown>;
  if (typeof report.version !== 'string') throw new Error('/status is not a report: it has no version');
  const lists = Object.fromEntries(LISTS.map((name) => [name, Array.isArray(report[name]) ? report[name] : []]));
  return { ...report, ...lists } as unknown as StatusView;
}
