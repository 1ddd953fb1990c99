// The mesh that Weft's sidecars serve in a benchmark, as the Kubernetes objects that a cluster would have: eight
// methods or paths, a header set, a 90/10 canary; or a Service whose port is TCP, without a route. Pure.
import { create } from '@bufbuild/protobuf';
import { MtlsMode, type Protocol, type Workload, WorkloadSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { workloadSpiffeId } from '#core/contract/identity.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import type { KubeObject } from '#kube/object.ts';

export const NAMESPACE = 'bench';
export const CLIENT_POD = 'client';
export const BACKEND_POD = 'backend';
export const BACKEND_ACCOUNT = 'backend';
export const SERVICE = 'payment';
export const SERVICE_PORT = 80;
const PORT_NAME = 'load';
const APP_PROTOCOL = { grpc: 'kubernetes.io/h2c', http1: 'http', tcp: 'tcp' } as const;

export interface MeshPlan {
  readonly protocol: keyof typeof APP_PROTOCOL;
  /** "/service/method" each, which HTTP takes for prefixes of paths; one rule of a route names them all. */
  readonly methods: readonly string[];
  /** Address of the endpoints and a port for each of the two versions. */
  readonly backendAddress: string;
  readonly backendPorts: readonly [number, number];
  /** The endpoints are in the mesh: they are dialled with mTLS. */
  readonly meshed: boolean;
}

export function meshObjects(plan: MeshPlan): KubeObject[] {
  const meta = (name: string) => ({ name, namespace: NAMESPACE, uid: name, creationTimestamp: '2026-01-01T00:00:00Z', generation: 1 });
  const tcp = plan.protocol === 'tcp';
  // The Services that have the endpoints.
  const versions = tcp ? [SERVICE] : [`${SERVICE}-v1`, `${SERVICE}-v2`];
  const services = [...new Set([SERVICE, ...versions])].map((name) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(name),
    spec: { ports: [{ name: PORT_NAME, port: SERVICE_PORT, appProtocol: APP_PROTOCOL[plan.protocol] }] },
  }));
  const slices = versions.map((name, i) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...meta(name), labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ name: PORT_NAME, port: plan.backendPorts[i], protocol: 'TCP' }],
    endpoints: [{ addresses: [plan.backendAddress], conditions: { ready: true }, targetRef: { kind: 'Pod', name: BACKEND_POD } }],
  }));
  const pod = (name: string, account: string, meshed: boolean) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...meta(name), annotations: meshed ? { [ANNOTATION_STATUS]: '{}' } : {} },
    spec: { serviceAccountName: account },
  });
  const route = {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: plan.protocol === 'http1' ? 'HTTPRoute' : 'GRPCRoute',
    metadata: meta('canary'),
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: SERVICE }],
      rules: [
        {
          matches: plan.methods.map((path) => {
            if (plan.protocol === 'http1') return { path: { type: 'PathPrefix', value: path } };
            const [, service, name] = path.split('/');
            return { method: { type: 'Exact', service, method: name } };
          }),
          filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-weft-route', value: 'bench' }] } }],
          backendRefs: versions.map((name, i) => ({ name, port: SERVICE_PORT, weight: i === 0 ? 90 : 10 })),
        },
      ],
    },
  };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } };
  return [
    namespace,
    ...services,
    ...slices,
    pod(CLIENT_POD, CLIENT_POD, true),
    pod(BACKEND_POD, BACKEND_ACCOUNT, plan.meshed),
    ...(tcp ? [] : [route]),
  ] as KubeObject[];
}

/** The calling pod: one outbound listener that stands for the Service. */
export function clientWorkload(trustDomain: string, address: string, port: number): Workload {
  return create(WorkloadSchema, {
    namespace: NAMESPACE,
    pod: CLIENT_POD,
    name: CLIENT_POD,
    serviceAccount: CLIENT_POD,
    identity: workloadSpiffeId(trustDomain, NAMESPACE, CLIENT_POD),
    mtls: MtlsMode.PERMISSIVE,
    outbound: [{ address, port, namespace: NAMESPACE, service: SERVICE, servicePort: SERVICE_PORT }],
  });
}

/** The serving pod: an inbound listener per application port; the application has the same ports on another address. */
export function backendWorkload(
  trustDomain: string,
  listenAddress: string,
  appAddress: string,
  ports: readonly number[],
  protocol: Protocol,
): Workload {
  return create(WorkloadSchema, {
    namespace: NAMESPACE,
    pod: BACKEND_POD,
    name: BACKEND_POD,
    serviceAccount: BACKEND_ACCOUNT,
    identity: workloadSpiffeId(trustDomain, NAMESPACE, BACKEND_ACCOUNT),
    mtls: MtlsMode.STRICT,
    inbound: ports.map((port) => ({ port, protocol, listenAddress, appAddress })),
  });
}
