// The names of the configuration stream's resources, and the order in which their kinds go into force: both planes hold
// to them (config.proto).

import type { Resource } from './gen/weft/v1/config_pb.ts';

/** What `weft.v1.Resource.body` can carry. */
type ResourceBody = NonNullable<Resource['body']['case']>;

/** What a resource can be. A delta is a way to send endpoints. */
export type StreamResourceKind = Exclude<ResourceBody, 'endpointsDelta'>;

/** Kinds of which each Service has one. */
export type ServiceResourceKind = 'endpoints' | 'service' | 'address';

/** A resource's name, taken apart. */
export type ResourceName =
  /** One of each per sidecar: the name is the kind. */
  | { readonly kind: 'trust' | 'workload' | 'places' }
  /** `key` is the Service's `<namespace>/<name>`. */
  | { readonly kind: ServiceResourceKind; readonly key: string }
  /** What stands at an IP address that the sidecar asked about. */
  | { readonly kind: 'pod'; readonly address: string };

/** The roots to trust. */
export const TRUST_RESOURCE = 'trust';
/** The pod's own configuration: its identity, mTLS mode, ports and telemetry. */
export const WORKLOAD_RESOURCE = 'workload';
/** Where all Services are. */
export const PLACES_RESOURCE = 'places';

/** `endpoints/<namespace>/<name>`, `service/…` or `address/…`; `key` is the Service's `<namespace>/<name>`. */
export function serviceResourceName(kind: ServiceResourceKind, key: string): string {
  return `${kind}/${key}`;
}

/** `pod/<IP address>` */
export function podResourceName(address: string): string {
  return `pod/${address}`;
}

/**
 * Takes a resource's name apart. What stands behind the kind is not judged.
 * @returns null for what is no name of a kind known here, as a newer control plane may send
 */
export function parseResourceName(name: string): ResourceName | null {
  if (name === TRUST_RESOURCE || name === WORKLOAD_RESOURCE || name === PLACES_RESOURCE) return { kind: name };
  const slash = name.indexOf('/');
  const rest = name.slice(slash + 1);
  if (slash === -1 || rest === '') return null;
  const kind = name.slice(0, slash);
  if (kind === 'pod') return { kind, address: rest };
  return kind === 'endpoints' || kind === 'service' || kind === 'address' ? { kind, key: rest } : null;
}

/**
 * The order in which the resources of one response go out and into force. The sidecar needs trust and its workload to
 * start, and the places before it takes connections. Endpoints come before the Service whose routes send to them, and
 * the Service before the address that makes calls follow it (make before break). Who is at a place comes last: that is
 * the answer to a question, after which the addresses of the Services there are known.
 */
export const RESOURCE_ORDER: readonly StreamResourceKind[] = ['trust', 'workload', 'places', 'endpoints', 'service', 'address', 'pod'];

/** A kind's place in RESOURCE_ORDER, to sort by. A kind that is absent or unknown here comes behind all others. */
export function resourceRank(body: ResourceBody | undefined): number {
  const rank = body === undefined ? -1 : RESOURCE_ORDER.indexOf(body === 'endpointsDelta' ? 'endpoints' : body);
  return rank === -1 ? RESOURCE_ORDER.length : rank;
}

/** The same of a resource's name; one that has no parts comes last. */
export function nameRank(name: string): number {
  const kind = parseResourceName(name)?.kind;
  return kind === undefined ? RESOURCE_ORDER.length - 1 : RESOURCE_ORDER.indexOf(kind);
}
