// Where in a manifest the pods are.
import { isObject } from '#injector/pod.ts';

/** An object that has a pod, or a template of pods. */
export interface Workload {
  readonly kind: string;
  /** '' where the manifest names none. */
  readonly namespace: string;
  readonly name: string;
  /** Keys that lead from the document to the pod. */
  readonly path: readonly (string | number)[];
  /** Not looked into yet. */
  readonly pod: unknown;
}

const TEMPLATE_PATHS: Readonly<Record<string, readonly string[]>> = {
  'v1/Pod': [],
  'v1/ReplicationController': ['spec', 'template'],
  'apps/v1/Deployment': ['spec', 'template'],
  'apps/v1/ReplicaSet': ['spec', 'template'],
  'apps/v1/StatefulSet': ['spec', 'template'],
  'apps/v1/DaemonSet': ['spec', 'template'],
  'batch/v1/Job': ['spec', 'template'],
  'batch/v1/CronJob': ['spec', 'jobTemplate', 'spec', 'template'],
};

/** Lists of lists of lists are in no real manifest. */
const DEEPEST_LIST = 3;

/** The workloads of one document; those of a List one by one. Anything else has none. */
export function workloadsOf(document: unknown, path: readonly (string | number)[] = []): Workload[] {
  if (!isObject(document)) return [];
  const { apiVersion, kind, metadata, items } = document;
  if (typeof kind === 'string' && kind.endsWith('List') && Array.isArray(items))
    return path.length / 2 >= DEEPEST_LIST ? [] : items.flatMap((item, i) => workloadsOf(item, [...path, 'items', i]));
  const inner = TEMPLATE_PATHS[`${apiVersion}/${kind}`];
  if (inner === undefined) return [];
  let pod: unknown = document;
  for (const key of inner) pod = isObject(pod) ? pod[key] : undefined;
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const meta = isObject(metadata) ? metadata : {};
  const name = text(meta.name) || text(meta.generateName);
  return [{ kind: String(kind), namespace: text(meta.namespace), name, path: [...path, ...inner], pod }];
}

/** How many objects a document holds. */
export function countObjects(document: unknown): number {
  if (!isObject(document)) return 0;
  return String(document.kind).endsWith('List') && Array.isArray(document.items) ? document.items.length : 1;
}
