// Asks a cluster what is left of an installation, and which pods still depend on it.
import { CONTROLLER_NAME, SYSTEM_NAMESPACE, TRUST_CONFIG_MAP } from '#core/contract/names.ts';
import { hasSidecar } from '#injector/decide.ts';
import type { Container } from '#injector/pod.ts';
import { KINDS, type KubeClient, KubeError, type ResourcePath } from '#kube/api.ts';
import { listAll } from '#kube/list.ts';
import { podKind } from '#objects/pod.ts';
import { type RemovalTarget, removalOrder } from './removal.ts';

const TIMEOUT_MS = 30_000;

export interface Survey {
  /** Namespace → names of its pods that have a sidecar and have not ended; sorted. */
  readonly injected: ReadonlyMap<string, readonly string[]>;
  /** What exists of the installation, in the order of removal. */
  readonly targets: readonly RemovalTarget[];
  /** Whether Helm says that it has made the control plane. */
  readonly byHelm: boolean;
}

/** The fields that are read here. */
interface Seen {
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly controllerName?: string; readonly initContainers?: Container[] };
  readonly status?: { readonly phase?: string };
}

/** @throws KubeError when the cluster does not answer or does not let us see */
export async function survey(client: KubeClient): Promise<Survey> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const [pods, bundles, meshes] = await Promise.all([
    list(client, { kind: podKind }, signal, {}, (pod) => hasSidecar(pod) && !hasEnded(pod)),
    list(client, { kind: KINDS.ConfigMap }, signal, { fieldSelector: `metadata.name=${TRUST_CONFIG_MAP}` }, () => true),
    list(client, { kind: KINDS.XMesh }, signal, {}, (mesh) => mesh.spec?.controllerName === CONTROLLER_NAME),
  ]);
  const made = [
    ...bundles
      .map(
        ({ metadata }): RemovalTarget => ({
          where: KINDS.ConfigMap,
          kind: 'ConfigMap',
          namespace: metadata?.namespace,
          name: TRUST_CONFIG_MAP,
        }),
      )
      .filter(({ namespace }) => namespace !== SYSTEM_NAMESPACE),
    ...meshes.map(({ metadata }): RemovalTarget => ({ where: KINDS.XMesh, kind: 'XMesh', name: metadata?.name ?? '' })),
  ];
  const order = removalOrder(made);
  const listed = new Set(made);
  const found = await Promise.all(order.map((target) => (listed.has(target) ? ({} as Seen) : read(client, target, signal))));
  return {
    injected: byNamespace(pods),
    // A namespace without our label was made by others and is not ours to remove.
    targets: order.filter(({ kind }, i) => found[i] !== undefined && (kind !== 'Namespace' || isOurs(found[i]))),
    byHelm: order.some(({ kind }, i) => kind === 'Deployment' && found[i]?.metadata?.labels?.['app.kubernetes.io/managed-by'] === 'Helm'),
  };
}

function hasEnded({ status }: Seen): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

function isOurs(object: Seen | undefined): boolean {
  return object?.metadata?.labels?.['app.kubernetes.io/part-of'] === 'weft';
}

function byNamespace(pods: readonly Seen[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const names = pods.map(({ metadata }): [string, string] => [metadata?.namespace ?? '', metadata?.name ?? '']).sort(compare);
  for (const [namespace, name] of names) {
    if (namespace === SYSTEM_NAMESPACE) continue;
    found.set(namespace, [...(found.get(namespace) ?? []), name]);
  }
  return found;
}

function compare(a: readonly string[], b: readonly string[]): number {
  return a.join('/') < b.join('/') ? -1 : 1;
}

/** A kind that is not served has no objects. */
async function list(
  client: KubeClient,
  path: ResourcePath,
  signal: AbortSignal,
  query: Readonly<Record<string, string>>,
  keep: (object: Seen) => boolean,
): Promise<Seen[]> {
  let kept: Seen[] = [];
  try {
    await listAll(client, path, {
      query,
      signal,
      item: (raw) => {
        const object = raw as Seen;
        if (keep(object)) kept.push({ metadata: object.metadata });
      },
      restart: () => {
        kept = [];
      },
    });
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 404) throw error;
  }
  return kept;
}

async function read(client: KubeClient, { where, namespace, name }: RemovalTarget, signal: AbortSignal): Promise<Seen | undefined> {
  try {
    return await client.request<Seen>('GET', { kind: where, namespace, name }, { signal });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}
