// All kinds of objects that Weft reads: the only list of them.
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '#kube/object.ts';
import { deploymentKind } from './deployment.ts';
import { endpointSliceKind } from './endpoint-slice.ts';
import { fieldsOf, isAbsent, textOf } from './fields.ts';
import { grpcRouteKind } from './grpc-route.ts';
import { httpRouteKind } from './http-route.ts';
import { apiVersionOf, type FollowedKind, groupOf, type Kind } from './kind.ts';
import { namespaceKind } from './namespace.ts';
import { nodeKind } from './node.ts';
import { podKind } from './pod.ts';
import { referenceGrantKind } from './reference-grant.ts';
import { keyOf, namespaceOf } from './references.ts';
import { serviceKind } from './service.ts';
import { serviceAccountKind } from './service-account.ts';
import { telemetryPolicyKind } from './telemetry-policy.ts';

/**
 * The kinds that the control plane follows on a cluster and holds in its store, in the order of a report. Objects of
 * other kinds are ignored.
 */
export const FOLLOWED_KINDS = [
  serviceKind,
  endpointSliceKind,
  podKind,
  namespaceKind,
  nodeKind,
  grpcRouteKind,
  httpRouteKind,
  referenceGrantKind,
  telemetryPolicyKind,
] as const;

/** The names of these kinds. */
export type StoredKind = (typeof FOLLOWED_KINDS)[number]['kind'];

/** The kinds of routes, the more specific first. */
export const ROUTE_KIND_NAMES = ['GRPCRoute', 'HTTPRoute'] as const satisfies readonly StoredKind[];

export type RouteKindName = (typeof ROUTE_KIND_NAMES)[number];

/** The type of objects of a kind. */
export type ObjectOf<K extends StoredKind> =
  Extract<(typeof FOLLOWED_KINDS)[number], { kind: K }> extends FollowedKind<K, infer T> ? T : never;

const BY_NAME: ReadonlyMap<unknown, FollowedKind<StoredKind>> = new Map(
  (FOLLOWED_KINDS as readonly FollowedKind<StoredKind>[]).map((kind) => [kind.kind, kind]),
);

/** Undefined: the control plane does not hold objects of this kind. */
export function followedKind(name: unknown): FollowedKind<StoredKind> | undefined {
  return BY_NAME.get(name);
}

/**
 * The kind of an object and its key ("namespace/name", or the name of a cluster-wide object). Undefined: it is of no
 * kind that the store holds, or has no proper name.
 */
export function identify(object: KubeObject): { kind: FollowedKind<StoredKind>; key: string } | undefined {
  const { apiVersion, kind: kindName, metadata } = fieldsOf(object);
  const kind = followedKind(kindName);
  const name = textOf(fieldsOf(metadata).name);
  const version = textOf(apiVersion);
  // No name of Kubernetes has a slash (RFC 1123); one that had would read as another object's key.
  if (kind === undefined || !name || name.includes('/') || version === undefined || groupOf(version) !== kind.group) return undefined;
  if (!kind.namespaced) return { kind, key: name };
  const said = fieldsOf(metadata).namespace;
  if (!isAbsent(said) && (textOf(said) === undefined || said.includes('/'))) return undefined;
  return { kind, key: keyOf(namespaceOf(object), name) };
}

/** What is kept of an object from the API server, which leaves apiVersion and kind out of the items of a list. */
export function kept(kind: FollowedKind, raw: Record<string, unknown>): KubeObject {
  const object = raw as KubeObject;
  return { apiVersion: apiVersionOf(kind), kind: kind.kind, ...kind.keep(object, fieldsOf(object.metadata)) };
}

/**
 * Whether all that translate() reads of an object is the same: the API server also reports new statuses, and labels and
 * annotations of other programs.
 */
export function sameForUs(kind: FollowedKind, before: KubeObject, after: KubeObject): boolean {
  return isDeepStrictEqual(kind.matter(before), kind.matter(after));
}

/** The kinds that are read from files, of any version of their group. */
export const FILE_KINDS: readonly FileKind[] = ([...FOLLOWED_KINDS, deploymentKind, serviceAccountKind] as readonly Kind[]).filter(
  isFileKind,
);

/** Undefined: objects of this kind are not read from files. */
export function fileKind(apiVersion: string, name: string): FileKind | undefined {
  const group = groupOf(apiVersion);
  return FILE_KINDS.find((known) => known.kind === name && known.group === group);
}

export type FileKind = Kind & Required<Pick<Kind, 'shape'>>;

function isFileKind(kind: Kind): kind is FileKind {
  return kind.shape !== undefined;
}
