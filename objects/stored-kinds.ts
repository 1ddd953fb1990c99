// The kinds of objects that the store holds: how one is told from another, and which of its parts a translation reads.
import { isDeepStrictEqual } from 'node:util';
import { endpointSliceKind } from './endpoint-slice.ts';
import { fieldsOf, isAbsent, textOf } from './fields.ts';
import { grpcRouteKind } from './grpc-route.ts';
import { followedKind } from './kinds.ts';
import { namespaceKind } from './namespace.ts';
import { podKind } from './pod.ts';
import { referenceGrantKind } from './reference-grant.ts';
import { keyOf, namespaceOf } from './references.ts';
import { serviceKind } from './service.ts';
import { EXPERIMENTAL_GROUP, type KubeObject, type XTelemetryPolicy } from './types.ts';

/** The kinds that the store holds. HTTPRoute and the others are not served yet; objects of other kinds are ignored. */
export type StoredKind = 'Service' | 'EndpointSlice' | 'Pod' | 'Namespace' | 'GRPCRoute' | 'ReferenceGrant' | 'XTelemetryPolicy';

const GROUP_OF: Readonly<Record<string, string>> = {
  Service: serviceKind.group,
  Pod: podKind.group,
  Namespace: namespaceKind.group,
  EndpointSlice: endpointSliceKind.group,
  GRPCRoute: grpcRouteKind.group,
  ReferenceGrant: referenceGrantKind.group,
  XTelemetryPolicy: EXPERIMENTAL_GROUP,
};

export function isStoredKind(kind: unknown): kind is StoredKind {
  return typeof kind === 'string' && Object.hasOwn(GROUP_OF, kind);
}

/** Kind and key ("namespace/name", or the name of a cluster-wide object). Undefined: not a kind that the store holds, or no proper name. */
export function identify(object: KubeObject): { kind: StoredKind; key: string } | undefined {
  const { apiVersion, kind, metadata } = fieldsOf(object);
  const name = textOf(fieldsOf(metadata).name);
  const version = textOf(apiVersion);
  // No name of Kubernetes has a slash (RFC 1123); one that had would read as another object's key.
  if (!isStoredKind(kind) || !name || name.includes('/') || version === undefined) return undefined;
  if ((version.includes('/') ? version.slice(0, version.indexOf('/')) : '') !== GROUP_OF[kind]) return undefined;
  if (kind === 'Namespace') return { kind, key: name };
  const said = fieldsOf(metadata).namespace;
  if (!isAbsent(said) && (textOf(said) === undefined || said.includes('/'))) return undefined;
  return { kind, key: keyOf(namespaceOf(object), name) };
}

/** Whether all that translate() reads of an object is the same: the API server also tells of new statuses, leases and annotations of others. */
export function sameForUs(kind: StoredKind, before: KubeObject, after: KubeObject): boolean {
  return isDeepStrictEqual(readPart(kind, before), readPart(kind, after));
}

function readPart(kind: StoredKind, object: KubeObject): unknown {
  const known = followedKind(kind);
  if (known !== undefined) return known.matter(object);
  const { generation, creationTimestamp } = fieldsOf(object.metadata);
  switch (kind) {
    case 'XTelemetryPolicy':
      return [generation, creationTimestamp, (object as XTelemetryPolicy).spec];
  }
}
