// How objects name each other: keys, and the Services that parentRefs and backendRefs mean. Translation and index read
// them here alike.
import { fieldsOf, textOf } from './fields.ts';

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export interface ParentReference {
  /** Absent: gateway.networking.k8s.io. A Service has "" (Weft also takes "core"). */
  group?: string;
  /** Absent: Gateway. */
  kind?: string;
  /** Absent: the route's. */
  namespace?: string;
  name?: string;
  /** Of a Service: the name of a port. */
  sectionName?: string;
  /** Of a Service: the number of a port, not the target port. */
  port?: number;
}

export interface BackendObjectReference {
  /** Absent: "". */
  group?: string;
  /** Absent: Service. */
  kind?: string;
  /** Absent: the route's. */
  namespace?: string;
  name?: string;
  /** Of a Service: the number of a port; must be there. */
  port?: number;
}

/** "<namespace>/<name>", of a Service, Pod or route. */
export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** The two parts of keyOf(); a Kubernetes namespace has no slash. */
export function splitKey(key: string): [namespace: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}

/** The namespace of a namespaced object; "default" where none is said, as kubectl has it. */
export function namespaceOf(object: { metadata?: { namespace?: string } }): string {
  return textOf(fieldsOf(object.metadata).namespace) || 'default';
}

/** The core group is ""; people also write "core", as the mesh examples of the Gateway API's own documents do. */
export function isCoreGroup(group: unknown): boolean {
  return group === '' || group === 'core';
}

/** The Service that a parentRef names, as a key; undefined: it names something else, which is not ours to judge. */
export function parentServiceOf(ref: ParentReference | null | undefined, routeNamespace: string): string | undefined {
  const { group, kind, namespace, name } = fieldsOf(ref);
  const parent = textOf(name);
  if (!isCoreGroup(group) || kind !== 'Service' || !parent) return undefined;
  return keyOf(textOf(namespace) || routeNamespace, parent);
}

/** Two parentRefs with the same key after defaulting are the same parent. */
export function keyOfParent(ref: Partial<ParentReference>, routeNamespace: string): string {
  const { group, kind, namespace, name, sectionName, port } = ref;
  // The core group is ""; isCoreGroup() also knows how mesh documents spell it.
  const ofGroup = isCoreGroup(group) ? '' : (group ?? GATEWAY_GROUP);
  return JSON.stringify([ofGroup, kind ?? 'Gateway', namespace ?? routeNamespace, name, sectionName || null, port ?? null]);
}

/**
 * The Service that a backendRef (or a mirror's) names, as a key; undefined: it names none. Its port is not looked at.
 */
export function backendServiceOf(ref: BackendObjectReference | null | undefined, routeNamespace: string): string | undefined {
  const { group, kind, namespace, name } = fieldsOf(ref);
  const backend = textOf(name);
  if (!isCoreGroup(group ?? '') || (kind ?? 'Service') !== 'Service' || !backend) return undefined;
  return keyOf(textOf(namespace) || routeNamespace, backend);
}
