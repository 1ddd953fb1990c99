// The resources of the configuration stream with their versions and sizes. Pure.
import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Resource, ResourceSchema, type TrustBundle, TrustBundleSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  type Endpoints,
  type EndpointsDelta,
  EndpointsDeltaSchema,
  EndpointsSchema,
  type PodAddress,
  PodAddressSchema,
  type Service,
  type ServiceAddress,
  ServiceAddressSchema,
  ServicePlacesSchema,
  ServiceSchema,
  type Workload,
  WorkloadSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { PlaceSet } from '#core/contract/places.ts';
import {
  PLACES_RESOURCE,
  podResourceName,
  resourceRank,
  serviceResourceName,
  TRUST_RESOURCE,
  WORKLOAD_RESOURCE,
} from '#core/contract/resource-names.ts';

/** Sorts resources into the order of a response; equal kinds by name. */
export function inOrder(a: Resource, b: Resource): number {
  const rank = resourceRank(a.body.case) - resourceRank(b.body.case);
  return rank !== 0 ? rank : a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** A resource with its size on the wire, about, in bytes. */
export interface Sized {
  readonly resource: Resource;
  readonly bytes: number;
  /**
   * Of a Service's rules: keys of the Services whose endpoints they need, its own included. Of other resources: none.
   */
  readonly needs: readonly string[];
  /** It changes a version that a sidecar has. */
  readonly isDelta?: true;
}

// Equal content has an equal version on all replicas and after restarts, because equal messages have equal bytes. Of
// the one map among them (Telemetry.attributes) that holds as long as it is filled in the same order everywhere.
function sized(name: string, body: Resource['body'], bytes: Uint8Array, needs: readonly string[] = []): Sized {
  const version = createHash('sha256').update(bytes).digest('base64url').slice(0, 16);
  return { resource: create(ResourceSchema, { name, version, body }), bytes: bytes.length + name.length + 32, needs };
}

export function workloadResource(workload: Workload): Sized {
  return sized(WORKLOAD_RESOURCE, { case: 'workload', value: workload }, toBinary(WorkloadSchema, workload));
}

export function trustResource(trust: TrustBundle): Sized {
  return sized(TRUST_RESOURCE, { case: 'trust', value: trust }, toBinary(TrustBundleSchema, trust));
}

export function addressResource(key: string, address: ServiceAddress): Sized {
  return sized(serviceResourceName('address', key), { case: 'address', value: address }, toBinary(ServiceAddressSchema, address));
}

/** @param needs see Sized */
export function serviceResource(key: string, service: Service, needs: readonly string[] = []): Sized {
  return sized(serviceResourceName('service', key), { case: 'service', value: service }, toBinary(ServiceSchema, service), needs);
}

export function endpointsResource(key: string, endpoints: Endpoints): Sized {
  return sized(serviceResourceName('endpoints', key), { case: 'endpoints', value: endpoints }, toBinary(EndpointsSchema, endpoints));
}

/** @param newest what a sidecar has when it has applied the delta */
export function endpointsDeltaResource({ name, version }: Resource, delta: EndpointsDelta): Sized {
  const bytes = toBinary(EndpointsDeltaSchema, delta).length + name.length + 32;
  return {
    resource: create(ResourceSchema, { name, version, body: { case: 'endpointsDelta', value: delta } }),
    bytes,
    needs: [],
    isDelta: true,
  };
}

export function placesResource(places: PlaceSet): Sized {
  const message = places.message();
  return sized(PLACES_RESOURCE, { case: 'places', value: message }, toBinary(ServicePlacesSchema, message));
}

/** @param newest what a sidecar has when it has applied the changes @param base the version that they change */
export function placesDeltaResource({ resource: { name, version } }: Sized, changes: PlaceSet, base: string): Sized {
  const body: Resource['body'] = { case: 'places', value: changes.message(base) };
  return { resource: create(ResourceSchema, { name, version, body }), bytes: changes.size + name.length + 48, needs: [], isDelta: true };
}

export function podResource(pod: PodAddress): Sized {
  return sized(podResourceName(pod.address), { case: 'pod', value: pod }, toBinary(PodAddressSchema, pod));
}
