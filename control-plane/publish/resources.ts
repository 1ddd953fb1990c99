// The resources of the configuration stream: their names, their versions, and the order in which they go out. Pure.
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Resource, ResourceSchema, type TrustBundle, TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  type Endpoints,
  EndpointsSchema,
  type PodAddress,
  PodAddressSchema,
  type Service,
  type ServiceAddress,
  ServiceAddressSchema,
  ServiceSchema,
  type Workload,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';

export const WORKLOAD = 'workload';
export const TRUST = 'trust';

export type ServiceResourceKind = 'address' | 'endpoints' | 'service';

const POD_PREFIX = 'pod/';

/** The name of the resource that tells who is at an IP address. */
export function podResourceName(address: string): string {
  return POD_PREFIX + address;
}

/** The reverse; null: not such a name. */
export function addressOfPodResource(name: string): string | null {
  return name.startsWith(POD_PREFIX) ? name.slice(POD_PREFIX.length) : null;
}

/** The name of a Service's resource: `service/<namespace>/<name>`; `key` is `<namespace>/<name>`. */
export function resourceName(kind: ServiceResourceKind, key: string): string {
  return `${kind}/${key}`;
}

/** The reverse; null for `workload`, `trust` and what is no resource's name. */
export function parseResourceName(name: string): { kind: ServiceResourceKind; key: string } | null {
  const slash = name.indexOf('/');
  const kind = name.slice(0, Math.max(slash, 0));
  return kind === 'address' || kind === 'endpoints' || kind === 'service' ? { kind, key: name.slice(slash + 1) } : null;
}

// Endpoints are there before the Service that sends to them (make before break); what the sidecar needs to start comes first of all.
const ORDER: Readonly<Record<string, number>> = { trust: 0, workload: 1, endpoints: 2, service: 3, pod: 4, address: 5 };

/** Sorts resources into the order of a response; equal kinds by name. */
export function inOrder(a: Resource, b: Resource): number {
  const rank = (ORDER[a.body.case ?? ''] ?? 9) - (ORDER[b.body.case ?? ''] ?? 9);
  return rank !== 0 ? rank : a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** A resource with its size on the wire, about, in bytes. */
export interface Sized {
  readonly resource: Resource;
  readonly bytes: number;
}

// Equal content has an equal version on all replicas and after restarts: none of the messages has a map, so their bytes are canonical.
function sized(name: string, body: Resource['body'], bytes: Uint8Array): Sized {
  const version = createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
  return { resource: create(ResourceSchema, { name, version, body }), bytes: bytes.length + name.length + 32 };
}

export function workloadResource(workload: Workload): Sized {
  return sized(WORKLOAD, { case: 'workload', value: workload }, toBinary(WorkloadSchema, workload));
}

export function trustResource(trust: TrustBundle): Sized {
  return sized(TRUST, { case: 'trust', value: trust }, toBinary(TrustBundleSchema, trust));
}

export function addressResource(key: string, address: ServiceAddress): Sized {
  return sized(resourceName('address', key), { case: 'address', value: address }, toBinary(ServiceAddressSchema, address));
}

export function serviceResource(key: string, service: Service): Sized {
  return sized(resourceName('service', key), { case: 'service', value: service }, toBinary(ServiceSchema, service));
}

export function endpointsResource(key: string, endpoints: Endpoints): Sized {
  return sized(resourceName('endpoints', key), { case: 'endpoints', value: endpoints }, toBinary(EndpointsSchema, endpoints));
}

export function podResource(pod: PodAddress): Sized {
  return sized(podResourceName(pod.address), { case: 'pod', value: pod }, toBinary(PodAddressSchema, pod));
}
