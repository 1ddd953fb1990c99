// Which Services a route names, as parents and as targets: read in one place, for the translation and for the index of the object store alike.

import { entriesOf, fieldsOf, textOf } from './fields.ts';
import type { BackendObjectReference, GRPCRoute, GRPCRouteFilter, ParentReference } from './types.ts';

/** "<namespace>/<name>", of a Service, Pod or route. */
export function keyOf(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

/** The two parts of keyOf(); a Kubernetes namespace has no slash. */
export function splitKey(key: string): [namespace: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}

/** The core group is "". The project's own mesh documents also write "core" (gamma.md §7.19). */
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

/** The Service that a backendRef (or a mirror's) names, as a key; undefined: it names none. Its port is not looked at. */
export function backendServiceOf(ref: BackendObjectReference | null | undefined, routeNamespace: string): string | undefined {
  const { group, kind, namespace, name } = fieldsOf(ref);
  const backend = textOf(name);
  if (!isCoreGroup(group ?? '') || (kind ?? 'Service') !== 'Service' || !backend) return undefined;
  return keyOf(textOf(namespace) || routeNamespace, backend);
}

/** Keys of all Services among a route's parents. */
export function parentServices(route: GRPCRoute): Set<string> {
  const namespace = namespaceOf(route);
  const keys = new Set<string>();
  for (const ref of entriesOf(fieldsOf(route.spec).parentRefs)) {
    const key = parentServiceOf(ref, namespace);
    if (key !== undefined) keys.add(key);
  }
  return keys;
}

/** Keys of all Services among a route's backends and mirrors, of whatever weight. */
export function targetServices(route: GRPCRoute): Set<string> {
  const namespace = namespaceOf(route);
  const keys = new Set<string>();
  const add = (ref: BackendObjectReference | null | undefined) => {
    const key = backendServiceOf(ref, namespace);
    if (key !== undefined) keys.add(key);
  };
  const addMirrors = (filters: GRPCRouteFilter[] | undefined) => {
    for (const filter of entriesOf(filters)) add(fieldsOf(fieldsOf(filter).requestMirror).backendRef);
  };
  for (const rule of entriesOf(fieldsOf(route.spec).rules)) {
    const { filters, backendRefs } = fieldsOf(rule);
    addMirrors(filters);
    for (const backend of entriesOf(backendRefs)) {
      add(backend);
      addMirrors(fieldsOf(backend).filters);
    }
  }
  return keys;
}

/** The namespace of a namespaced object; "default" where none is said, as kubectl has it. */
export function namespaceOf(object: { metadata?: { namespace?: string } }): string {
  return textOf(fieldsOf(object.metadata).namespace) || 'default';
}
