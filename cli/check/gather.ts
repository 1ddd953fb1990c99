// Reads the facts of a cluster: everything at once, each read fails or succeeds by itself, all within one time limit.
import {
  AUTHORITY_SECRET,
  CONTROL_PLANE_NAME,
  INJECTOR_NAME,
  SIDECAR_ADMIN_PORT,
  SIDECAR_CONTAINER,
  SYSTEM_NAMESPACE,
  WEBHOOK_PORT,
} from '#core/contract/names.ts';
import { KINDS, type KubeClient, KubeError, type ResourcePath } from '#kube/api.ts';
import { listAll } from '#kube/list.ts';
import { deploymentKind } from '#objects/deployment.ts';
import { type EndpointSlice, endpointSliceKind } from '#objects/endpoint-slice.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { httpRouteKind } from '#objects/http-route.ts';
import { type Namespace, namespaceKind } from '#objects/namespace.ts';
import { podKind } from '#objects/pod.ts';
import type { Route } from '#objects/route.ts';
import { type Service, serviceKind } from '#objects/service.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { ClusterPod, Deployment } from '../cluster/objects.ts';
import { fullNameOf, initContainer, isLive, podsOf } from '../cluster/pods.ts';
import { askPod, type OpenPort } from '../cluster/reach.ts';
import { askReplicas } from '../cluster/replicas.ts';
import type { Crd, Facts, Handshake, InjectionWebhook, LimitRange, PodOwner, Read, ResourceQuota } from './facts.ts';
import { handshakeVerdict } from './handshake.ts';
import { bundlesOf } from './injector-checks.ts';
import { projectCrd, projectPod, projectService, projectWorkload } from './project.ts';
import { sidecarTrouble } from './sidecar-checks.ts';

/** Read for `weft check` alone. */
const LIMIT_RANGES = { group: '', version: 'v1', plural: 'limitranges', namespaced: true };
const RESOURCE_QUOTAS = { group: '', version: 'v1', plural: 'resourcequotas', namespaced: true };
const WORKLOADS = ['Deployment', 'StatefulSet', 'DaemonSet'];

/** Everything; what has not been read by then is missing. */
export const TIME_LIMIT_MS = 25_000;
/** The first question tells whether there is an API server at all. */
const VERSION_TIMEOUT_MS = 6000;
const HANDSHAKE_TIMEOUT_MS = 6000;
const READYZ_TIMEOUT_MS = 4000;
/** So many injectors show their certificate, and so many sidecars that are not ready are asked why. */
const MOST_HANDSHAKES = 3;
const MOST_SIDECARS_ASKED = 5;

export interface GatherDeps {
  readonly cluster: Cluster;
  readonly version: string;
  readonly now: () => number;
}

/** Never throws: what could not be read says why. */
export async function gather({ cluster: { client, open }, version, now }: GatherDeps): Promise<Facts> {
  const limit = AbortSignal.timeout(TIME_LIMIT_MS);
  const read = <T>(what: string, action: () => Promise<T>): Promise<Read<T>> => reading(what, action, limit);
  const list = <T>(path: ResourcePath, project = (raw: Record<string, unknown>) => raw as T, query: Record<string, string> = {}) =>
    read(`list ${path.kind.plural}`, () => listed(client, path, project, query, limit));

  const kubernetes = await read('the API server', () =>
    client.request<{ gitVersion: string }>('GET', '/version', { timeoutMs: VERSION_TIMEOUT_MS, signal: limit }),
  );
  if (!kubernetes.ok) return nothing(client.server, version, now(), kubernetes);

  const system = { namespace: SYSTEM_NAMESPACE };
  const slicesOf = { labelSelector: `kubernetes.io/service-name=${INJECTOR_NAME}` };
  const [crds, namespaces, pods, deployments, webhook, injectorEndpoints, authority, routes, services] = await Promise.all([
    list<Crd>({ kind: KINDS.CustomResourceDefinition }, projectCrd),
    list<Namespace>({ kind: namespaceKind }),
    list<ClusterPod>({ kind: podKind }, projectPod),
    list<Deployment>({ kind: deploymentKind, ...system }),
    read('the webhook', () => found<InjectionWebhook>(client, { kind: KINDS.MutatingWebhookConfiguration, name: INJECTOR_NAME }, limit)),
    list<EndpointSlice>({ kind: endpointSliceKind, ...system }, undefined, slicesOf),
    read(
      'the authority',
      // Its metadata alone: the authority's key stays where it is.
      async () => (await found(client, { kind: KINDS.Secret, ...system, name: AUTHORITY_SECRET }, limit, true)) !== undefined,
    ),
    read('list routes', async () => {
      const lists = [grpcRouteKind, httpRouteKind].map((kind) =>
        listed<Route>(client, { kind }, (raw) => ({ ...raw, kind: kind.kind }) as Route, {}, limit),
      );
      return (await Promise.all(lists)).flat();
    }),
    list<Service>({ kind: serviceKind }, projectService),
  ]);
  const [limitRanges, quotas, workloads] = await Promise.all([
    list<LimitRange>({ kind: LIMIT_RANGES }),
    list<ResourceQuota>({ kind: RESOURCE_QUOTAS }),
    read('the workloads', async () => {
      const lists = WORKLOADS.map((kind) => {
        const path = { kind: { group: 'apps', version: 'v1', plural: `${kind.toLowerCase()}s`, namespaced: true } };
        return listed<PodOwner>(client, path, (raw) => projectWorkload(kind, raw), {}, limit);
      });
      return (await Promise.all(lists)).flat();
    }),
  ]);
  const all = pods.ok ? pods.value : [];
  const running = (deployment: string) =>
    podsOf(all, deployment)
      .filter((pod) => isLive(pod) && pod.status?.phase === 'Running')
      .map(({ metadata }) => metadata?.name ?? '');
  const [answers, handshakes, sidecarWords] = await Promise.all([
    askReplicas(open, running(CONTROL_PLANE_NAME)),
    shakeHands(open, running(INJECTOR_NAME), webhook.ok ? webhook.value : undefined),
    askSidecars(open, all),
  ]);
  return {
    nowMs: now(),
    version,
    server: client.server,
    kubernetes,
    crds,
    namespaces,
    pods,
    workloads,
    limitRanges,
    quotas,
    deployments,
    webhook,
    injectorEndpoints,
    handshakes,
    authority,
    routes,
    services,
    answers,
    sidecarWords,
  };
}

/** The facts when there is no API server, or not even a configuration that names one. */
export function nothing(server: string, version: string, nowMs: number, failure: { ok: false; error: string }): Facts {
  const reads = { kubernetes: failure, crds: failure, namespaces: failure, pods: failure, deployments: failure, webhook: failure };
  const more = {
    workloads: failure,
    limitRanges: failure,
    quotas: failure,
    injectorEndpoints: failure,
    authority: failure,
    routes: failure,
    services: failure,
    handshakes: [],
    answers: [],
    sidecarWords: new Map(),
  };
  return { nowMs, version, server, ...reads, ...more };
}

async function reading<T>(what: string, action: () => Promise<T>, limit: AbortSignal): Promise<Read<T>> {
  try {
    return { ok: true, value: await action() };
  } catch (error) {
    if (limit.aborted) return { ok: false, error: `${what}: not read within ${TIME_LIMIT_MS / 1000} s` };
    return { ok: false, error: (error as Error).message };
  }
}

async function listed<T>(
  client: KubeClient,
  path: ResourcePath,
  project: (raw: Record<string, unknown>) => T,
  query: Record<string, string>,
  signal: AbortSignal,
): Promise<T[]> {
  let items: T[] = [];
  await listAll(client, path, { query, signal, item: (raw) => void items.push(project(raw)), restart: () => void (items = []) });
  return items;
}

async function found<T>(client: KubeClient, path: ResourcePath, signal: AbortSignal, metadataOnly = false): Promise<T | undefined> {
  try {
    return await client.request<T>('GET', path, { signal, metadataOnly });
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}

async function shakeHands(open: OpenPort, pods: readonly string[], webhook: InjectionWebhook | undefined): Promise<Handshake[]> {
  const bundles = [...new Set(webhook === undefined ? [] : bundlesOf(webhook).map(([, bundle]) => bundle))].filter(
    (bundle) => bundle !== '',
  );
  if (bundles.length === 0) return [];
  return Promise.all(
    pods.slice(0, MOST_HANDSHAKES).map(async (pod): Promise<Handshake> => {
      try {
        const way = await open(SYSTEM_NAMESPACE, pod, WEBHOOK_PORT);
        try {
          const verdicts = await Promise.all(bundles.map((bundle) => handshakeVerdict(way.localPort, bundle, HANDSHAKE_TIMEOUT_MS)));
          return { pod, verdict: { ok: true, value: verdicts.find((verdict) => verdict !== '') ?? '' } };
        } catch (error) {
          return { pod, verdict: { ok: false, error: way.lastError() || (error as Error).message } };
        } finally {
          way.close();
        }
      } catch (error) {
        return { pod, verdict: { ok: false, error: (error as Error).message } };
      }
    }),
  );
}

async function askSidecars(open: OpenPort, pods: readonly ClusterPod[]): Promise<Map<string, string>> {
  const unready = pods.filter(
    (pod) => isLive(pod) && initContainer(pod, SIDECAR_CONTAINER)?.state?.running !== undefined && sidecarTrouble(pod) !== undefined,
  );
  const words = new Map<string, string>();
  await Promise.all(
    unready.slice(0, MOST_SIDECARS_ASKED).map(async (pod) => {
      const { namespace = '', name = '' } = pod.metadata ?? {};
      try {
        const { body } = await askPod(open, { namespace, name, port: SIDECAR_ADMIN_PORT }, '/readyz', READYZ_TIMEOUT_MS);
        words.set(fullNameOf(pod), body.trim().slice(0, 300));
      } catch {
        // It is known already that it is not ready; that it says nothing adds nothing.
      }
    }),
  );
  return words;
}
