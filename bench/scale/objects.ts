// The objects of the scale test, written to a real API server: Services with their slices and pods, callers, routes.

import { ANNOTATION_STATUS, AUTHORITY_SECRET, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { KINDS, type KubeClient, KubeError, type ServedKind } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { endpointSliceKind } from '#objects/endpoint-slice.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { podKind } from '#objects/pod.ts';
import { serviceKind } from '#objects/service.ts';

/** All Services are here, and routes on them. */
export const NAMESPACE = 'scale';
/** The Service that every sidecar wants. */
export const BIG = 'big';
const BIG_ENDPOINTS = 1000;
/** Of one Service, and of one slice. */
const ENDPOINTS = 10;
const PORT = 7070;
/** Requests under way at once. */
const WRITERS = 32;
/** What the API server calls too many requests is asked again after this, in ms. */
const AGAIN_MS = 200;

export const serviceName = (i: number): string => `s-${i}`;
export const routeName = (i: number): string => `r-${i}`;
export const callerName = (i: number): string => `caller-${i}`;

/** Runs `write` for each number below `count`, several at once. */
async function each(count: number, write: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    while (next < count) await write(next++);
  };
  await Promise.all(Array.from({ length: WRITERS }, run));
}

export class ScaleObjects {
  private readonly clients: readonly KubeClient[];
  private readonly stopped: AbortSignal;
  private turn = 0;

  /** @param clients each holds a few connections only */
  constructor(clients: readonly KubeClient[], stopped: AbortSignal) {
    this.clients = clients;
    this.stopped = stopped;
  }

  async make(kind: ServedKind, object: KubeObject): Promise<KubeObject> {
    const { namespace } = object.metadata ?? {};
    const path = namespace === undefined ? { kind } : { kind, namespace };
    for (;;) {
      this.stopped.throwIfAborted();
      try {
        return await this.client.request('POST', path, { body: object, timeoutMs: 60_000 });
      } catch (error) {
        if (!(error instanceof KubeError) || (error.status !== 429 && error.status !== 0 && error.status !== 500)) throw error;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    }
  }

  get client(): KubeClient {
    return this.clients[this.turn++ % this.clients.length]!;
  }

  /** Namespaces, the authority, and the Gateway API's kinds, until they are served. */
  async begin(authority: { readonly certificate: string; readonly key: string }, crds: readonly KubeObject[]): Promise<void> {
    for (const name of [NAMESPACE, SYSTEM_NAMESPACE])
      await this.make(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const data = Object.fromEntries(
      Object.entries({ 'tls.crt': authority.certificate, 'tls.key': authority.key }).map(([key, text]) => [
        key,
        Buffer.from(text).toString('base64'),
      ]),
    );
    const metadata = { name: AUTHORITY_SECRET, namespace: SYSTEM_NAMESPACE };
    await this.make(KINDS.Secret, { apiVersion: 'v1', kind: 'Secret', metadata, type: 'kubernetes.io/tls', data } as KubeObject);
    for (const crd of crds) await this.make(KINDS.CustomResourceDefinition, crd);
    for (;;) {
      this.stopped.throwIfAborted();
      const served = await this.client.request('GET', { kind: grpcRouteKind }).catch(() => null);
      if (served !== null) return;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }

  /** So many Services with 10 endpoints each, a pod for each endpoint, and the one with 1,000. */
  async fill(services: number): Promise<void> {
    await each(services * ENDPOINTS, (i) => this.make(podKind, pod(`p-${i}`)));
    await each(BIG_ENDPOINTS, (i) => this.make(podKind, pod(`b-${i}`)));
    await this.make(serviceKind, service(BIG));
    await each(BIG_ENDPOINTS / ENDPOINTS, (i) => this.make(endpointSliceKind, bigSlice(i)));
    await each(services, async (i) => {
      await this.make(serviceKind, service(serviceName(i)));
      await this.make(endpointSliceKind, slice(serviceName(i), serviceName(i), names('p', i), `10.${128 + (i >> 12)}`, i & 4095));
    });
  }

  /** Pods of callers, which run nowhere. @returns their uids */
  async callers(count: number): Promise<string[]> {
    const uids: string[] = [];
    await each(count, async (i) => {
      uids[i] = (await this.make(podKind, pod(callerName(i)))).metadata?.uid ?? '';
    });
    return uids;
  }

  async routes(count: number): Promise<void> {
    await each(count, (i) => this.make(grpcRouteKind, route(i)));
  }

  /** One endpoint of the Service with 1,000 goes, or comes back. */
  async changeBig(there: boolean): Promise<void> {
    const { endpoints } = bigSlice(0);
    await this.patch(endpointSliceKind, `${BIG}-0`, { endpoints: there ? endpoints : endpoints.slice(1) });
  }

  /** Another setting of the Service with 1,000 endpoints: all of them are sent again. */
  async changeSettings(round: number): Promise<void> {
    await this.patch(serviceKind, BIG, {
      spec: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 100 + round } } },
    });
  }

  async newService(i: number): Promise<void> {
    await this.make(serviceKind, service(`new-${i}`));
  }

  /** @returns its generation from then on */
  async changeRoute(i: number, round: number): Promise<number> {
    const changed = await this.patch(grpcRouteKind, routeName(i), { spec: route(i, round).spec });
    return changed.metadata?.generation ?? 0;
  }

  async getRoute(
    i: number,
  ): Promise<KubeObject & { status?: { parents?: { conditions?: { type?: string; observedGeneration?: number }[] }[] } }> {
    return this.client.request('GET', { kind: grpcRouteKind, namespace: NAMESPACE, name: routeName(i) });
  }

  /** How many routes have their verdict. */
  async judged(): Promise<number> {
    const list = await this.client.request<{ items: { status?: { parents?: { conditions?: { type?: string }[] }[] } }[] }>(
      'GET',
      { kind: grpcRouteKind, namespace: NAMESPACE },
      { timeoutMs: 60_000 },
    );
    return list.items.filter(({ status }) => status?.parents?.[0]?.conditions?.some(({ type }) => type === 'Accepted')).length;
  }

  private patch(kind: ServedKind, name: string, body: object): Promise<KubeObject> {
    return this.client.request('PATCH', { kind, namespace: NAMESPACE, name }, { body, timeoutMs: 60_000 });
  }
}

function names(prefix: string, i: number): string[] {
  return Array.from({ length: ENDPOINTS }, (_, k) => `${prefix}-${i * ENDPOINTS + k}`);
}

/** Nothing schedules it: there is no scheduler. */
function pod(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, annotations: { [ANNOTATION_STATUS]: 'injected' } },
    spec: { serviceAccountName: 'app', containers: [{ name: 'app', image: 'none' }], automountServiceAccountToken: false },
  } as KubeObject;
}

function service(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { ports: [{ name: 'grpc', port: PORT, appProtocol: 'kubernetes.io/h2c' }] },
  } as KubeObject;
}

function slice(name: string, of: string, pods: readonly string[], prefix: string, block: number) {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: NAMESPACE, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [{ name: 'grpc', port: PORT, protocol: 'TCP' }],
    endpoints: pods.map((podName, k) => ({
      addresses: [`${prefix}.${block >> 4}.${(block & 15) * ENDPOINTS + k}`],
      conditions: { ready: true },
      targetRef: { kind: 'Pod', namespace: NAMESPACE, name: podName },
    })),
  };
}

function bigSlice(i: number) {
  return slice(`${BIG}-${i}`, BIG, names('b', i), '10.250', i);
}

function route(i: number, round = 0): KubeObject & { spec: object } {
  const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'x-round', value: `${round}` }] } }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: routeName(i), namespace: NAMESPACE },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: serviceName(i) }],
      rules: [{ filters, backendRefs: [{ name: serviceName(i), port: PORT }] }],
    },
  } as KubeObject & { spec: object };
}
