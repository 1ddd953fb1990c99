// A cluster in which all is well: Weft installed, one meshed namespace with a route. Tests break one thing at a time.

import type { Facts, Read } from '#cli/check/facts.ts';
import type { ClusterPod, Deployment } from '#cli/cluster/objects.ts';
import type { ReplicaAnswer } from '#cli/cluster/replicas.ts';
import { readInjection } from '#injector/settings.ts';
import { settingsHash } from '#injector/settings-hash.ts';
import type { Route } from '#objects/route.ts';

const IMAGE = 'localhost/weft:0.1.0';

/** The hash that pods of today have, of an installation with this environment. */
export function hashOf(env: Record<string, string> = { WEFT_IMAGE: IMAGE }): string {
  const read = readInjection(env);
  if ('problems' in read) throw new Error(read.problems.join());
  return settingsHash({ ...read.injection, trustRoots: '' });
}

export const NOW_MS = Date.parse('2026-11-21T12:00:00Z');
const DAY_MS = 86_400_000;

export const ok = <T>(value: T): Read<T> => ({ ok: true, value });
export const unread = (error: string): { ok: false; error: string } => ({ ok: false, error });

const crd = (plural: string, bundle = 'v1.6.1', channel = 'standard') => ({
  metadata: {
    name: `${plural}.gateway.networking.k8s.io`,
    annotations: { 'gateway.networking.k8s.io/bundle-version': bundle, 'gateway.networking.k8s.io/channel': channel },
  },
  spec: { versions: [{ name: 'v1', served: true }] },
});

export const CRDS = [crd('grpcroutes'), crd('httproutes'), { metadata: { name: 'others.example.org' } }];
export { crd };

const systemPod = (deployment: string): ClusterPod => ({
  metadata: {
    namespace: 'weft-system',
    name: `${deployment}-5d9c-abcde`,
    ownerReferences: [{ kind: 'ReplicaSet', name: `${deployment}-5d9c` }],
  },
  spec: { containers: [{ name: 'main' }] },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
});

/** A pod of namespace shop, an hour old, owned by a Deployment. */
export function shopPod(
  name: string,
  change: { meshed?: boolean; labels?: Record<string, string>; hostNetwork?: boolean } = {},
): ClusterPod {
  const meshed = change.meshed ?? true;
  return {
    metadata: {
      namespace: 'shop',
      name,
      labels: change.labels,
      annotations: meshed ? { 'weft.dev/status': '{"version":"0.1.0"}', 'weft.dev/injected-settings': hashOf() } : {},
      creationTimestamp: '2026-11-21T11:00:00Z',
      ownerReferences: [{ kind: 'ReplicaSet', name: 'payment-7f6d' }],
    },
    spec: {
      hostNetwork: change.hostNetwork,
      initContainers: meshed ? [{ name: 'weft-proxy', restartPolicy: 'Always' }] : [],
      containers: [{ name: 'payment' }],
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: 'True' }],
      initContainerStatuses: meshed ? [{ name: 'weft-proxy', ready: true, started: true, state: { running: {} } }] : [],
    },
  };
}

export const deployment = (name: string, env: { name: string; value?: string }[] = [{ name: 'WEFT_IMAGE', value: IMAGE }]): Deployment => ({
  metadata: { name },
  spec: { replicas: 1, template: { spec: { containers: [{ env }] } } },
  status: { availableReplicas: 1 },
});

export function sidecar(pod: string) {
  return {
    namespace: 'shop',
    pod,
    workload: 'payment',
    version: '0.1.0',
    connectedSinceMs: NOW_MS - 3_600_000,
    lastAckMs: NOW_MS - 60_000,
    certificateNotAfterMs: NOW_MS + 11 * 3_600_000,
    resources: 5,
    pending: 0,
    rejected: [] as { name: string; reason: string }[],
  };
}

type Report = Extract<ReplicaAnswer['report'], { ok: true }>['value'];

export function report(change: Partial<Report> = {}): Report {
  return {
    version: '0.1.0',
    replica: 'weft-control-plane-5d9c-abcde',
    leader: true,
    trustDomain: 'cluster.local',
    authorityNotAfterMs: NOW_MS + 3000 * DAY_MS,
    missingKinds: [],
    problems: [],
    routes: [],
    sidecars: [sidecar('payment-7f6d-aaaaa')],
    calls: [],
    reflectors: [{ kind: 'Service', synced: true, lastEventMs: NOW_MS, lastError: '' }],
    ...change,
  };
}

/** GRPCRoute shop/payment on Service payment, generation 2, judged. */
export function route(conditions: NonNullable<NonNullable<NonNullable<Route['status']>['parents']>[0]['conditions']>): Route {
  const parentRef = { group: '', kind: 'Service', name: 'payment', port: 8080 };
  return {
    kind: 'GRPCRoute',
    metadata: { namespace: 'shop', name: 'payment', generation: 2 },
    spec: { parentRefs: [parentRef] },
    status: { parents: [{ parentRef, controllerName: 'weft.dev/mesh-controller', conditions }] },
  };
}

export const ACCEPTED = { type: 'Accepted', status: 'True', reason: 'Accepted', message: '', observedGeneration: 2 };
export const RESOLVED = { type: 'ResolvedRefs', status: 'True', reason: 'ResolvedRefs', message: '', observedGeneration: 2 };

const clientConfig = { caBundle: 'cm9vdHM=', service: { namespace: 'weft-system', name: 'weft-injector', port: 443 } };

/** All is well, except for what `change` says. */
export function facts(change: Partial<Facts> = {}): Facts {
  return {
    nowMs: NOW_MS,
    version: '0.1.0',
    server: 'https://10.0.0.1:6443',
    kubernetes: ok({ gitVersion: 'v1.34.1' }),
    crds: ok(CRDS),
    namespaces: ok([
      { metadata: { name: 'default' } },
      { metadata: { name: 'weft-system' } },
      { metadata: { name: 'shop', labels: { 'weft.dev/inject': 'enabled' } } },
    ]),
    pods: ok([systemPod('weft-control-plane'), systemPod('weft-injector'), shopPod('payment-7f6d-aaaaa')]),
    workloads: ok([]),
    limitRanges: ok([]),
    quotas: ok([]),
    deployments: ok([deployment('weft-control-plane'), deployment('weft-injector')]),
    webhook: ok({ webhooks: [{ name: 'namespace.inject.weft.dev', failurePolicy: 'Ignore', clientConfig }] }),
    injectorEndpoints: ok([{ endpoints: [{ addresses: ['10.1.0.7'], conditions: { ready: true } }] }]),
    handshakes: [{ pod: 'weft-injector-5d9c-abcde', verdict: ok('') }],
    authority: ok(true),
    routes: ok([route([ACCEPTED, RESOLVED])]),
    services: ok([{ metadata: { namespace: 'shop', name: 'payment' } }]),
    answers: [{ pod: 'weft-control-plane-5d9c-abcde', report: ok(report()) }],
    sidecarWords: new Map(),
    ...change,
  };
}
