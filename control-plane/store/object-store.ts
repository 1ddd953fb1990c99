// The object store: what Weft knows of the cluster, and what a change touches. In memory; fed by source/, read by
// translate/.

import type { KubeObject } from '#kube/object.ts';
import type { EndpointSlice } from '#objects/endpoint-slice.ts';
import type { FollowedKind } from '#objects/kind.ts';
import { FOLLOWED_KINDS, followedKind, identify, type ObjectOf, ROUTE_KIND_NAMES, type StoredKind, sameForUs } from '#objects/kinds.ts';
import type { Namespace } from '#objects/namespace.ts';
import { zoneOf } from '#objects/node.ts';
import type { Pod } from '#objects/pod.ts';
import type { ReferenceGrant } from '#objects/reference-grant.ts';
import { keyOf, splitKey } from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import type { Service } from '#objects/service.ts';
import type { XTelemetryPolicy } from '#objects/telemetry-policy.ts';
import { Touched } from '#objects/touched.ts';
import { ObjectIndex } from './object-index.ts';

/** All that translateService() may ask. Objects are read, never changed. */
export interface ObjectView {
  service(key: string): Service | undefined;
  /** Keys of all Services that exist. */
  serviceKeys(): Iterable<string>;
  /** Names of the Services in a namespace. */
  serviceNamesIn(namespace: string): Iterable<string>;
  /** Namespaces that have a Service of this name. */
  namespacesOfService(name: string): Iterable<string>;
  slicesOf(serviceKey: string): readonly EndpointSlice[];
  pod(key: string): Pod | undefined;
  /** Pods whose status says that they have this address; there may be several, see translate/endpoints.ts. */
  podsAt(address: string): readonly Pod[];
  /** EndpointSlices with an endpoint that is this pod (by key), or at this address. */
  slicesWith(endpoint: string): readonly EndpointSlice[];
  /** Whether a node's status says that it has this address. */
  isNode(address: string): boolean;
  /** The zone of a node; '': it is in none, or not known. */
  zoneOfNode(name: string): string;
  /** Routes of a kind, in any namespace, with a parentRef to this Service, which need not exist. */
  routesTo<K extends StoredKind>(kind: K, serviceKey: string): readonly ObjectOf<K>[];
  grantsIn(namespace: string): readonly ReferenceGrant[];
  namespace(name: string): Namespace | undefined;
  policiesIn(namespace: string): readonly XTelemetryPolicy[];
  /** Keys of the Services that have this pod among their endpoints, ready or not. */
  servicesOf(podKey: string): ReadonlySet<string>;
}

type ObjectMaps = { readonly [K in StoredKind]: Map<string, ObjectOf<K>> };

/**
 * Holds the latest version of each object. Every change gives what it touches: translateService() of just those
 * Services brings everything up to date, and so on. The cost of a change is what it touches. Objects become the
 * store's: do not change them afterwards.
 */
export class ObjectStore implements ObjectView {
  private readonly objects: ObjectMaps = Object.fromEntries(FOLLOWED_KINDS.map(({ kind }) => [kind, new Map()])) as ObjectMaps;
  private readonly index = new ObjectIndex();

  /**
   * Adds an object or replaces its older version. One of a kind that the store does not hold, or without a name,
   * touches nothing.
   */
  apply(object: KubeObject): Touched {
    const touched = new Touched();
    const found = identify(object);
    if (found !== undefined) this.put(found.kind, found.key, object, touched);
    return touched;
  }

  /** Removes an object, if it is there. `namespace` is ignored for cluster-wide kinds. */
  remove(kindName: string, namespace: string | undefined, name: string): Touched {
    const touched = new Touched();
    const kind = followedKind(kindName);
    if (kind !== undefined) this.put(kind, kind.namespaced ? keyOf(namespace || 'default', name) : name, undefined, touched);
    return touched;
  }

  /**
   * Makes these all the objects there are; what is equal to before touches nothing. Of two with the same name the last
   * counts.
   */
  replaceAll(objects: Iterable<KubeObject>): Touched {
    const touched = new Touched();
    const wanted = new Map<string, { kind: FollowedKind<StoredKind>; key: string; object: KubeObject }>();
    for (const object of objects) {
      const found = identify(object);
      if (found !== undefined) wanted.set(`${found.kind.kind} ${found.key}`, { ...found, object });
    }
    for (const kind of FOLLOWED_KINDS) {
      for (const key of [...this.objects[kind.kind].keys()])
        if (!wanted.has(`${kind.kind} ${key}`)) this.put(kind, key, undefined, touched);
    }
    for (const { kind, key, object } of wanted.values()) this.put(kind, key, object, touched);
    return touched;
  }

  /**
   * Every key that has anything to translate: existing Services, and missing ones that are a route's parent. Sorted.
   */
  allKeys(): string[] {
    return [...new Set([...this.objects.Service.keys(), ...this.index.parents()])].sort();
  }

  /** All objects of a kind. */
  every<K extends StoredKind>(kind: K): Iterable<ObjectOf<K>> {
    return (this.objects[kind] as ReadonlyMap<string, ObjectOf<K>>).values();
  }

  /** Keys of all objects of a kind: "namespace/name", or the name of a cluster-wide object. */
  keysOf(kind: StoredKind): Iterable<string> {
    return this.objects[kind].keys();
  }

  /** All routes, of every kind. */
  *routes(): Iterable<Route> {
    for (const kind of ROUTE_KIND_NAMES) yield* this.objects[kind].values();
  }

  /** @param kind of a route @param key "namespace/name" */
  routeOf(kind: string, key: string): Route | undefined {
    const known = ROUTE_KIND_NAMES.find((name) => name === kind);
    return known && this.objects[known].get(key);
  }

  service(key: string): Service | undefined {
    return this.objects.Service.get(key);
  }

  serviceKeys(): Iterable<string> {
    return this.objects.Service.keys();
  }

  serviceNamesIn(namespace: string): Iterable<string> {
    return [...this.index.naming('Service', 'parts', `${namespace}/`)].map((key) => splitKey(key)[1]);
  }

  namespacesOfService(name: string): Iterable<string> {
    return [...this.index.naming('Service', 'parts', name)].map((key) => splitKey(key)[0]);
  }

  slicesOf(serviceKey: string): readonly EndpointSlice[] {
    return this.all('EndpointSlice', this.index.naming('EndpointSlice', 'services', serviceKey));
  }

  pod(key: string): Pod | undefined {
    return this.objects.Pod.get(key);
  }

  podsAt(address: string): readonly Pod[] {
    return this.all('Pod', this.index.naming('Pod', 'addresses', address));
  }

  slicesWith(endpoint: string): readonly EndpointSlice[] {
    return this.all('EndpointSlice', this.index.naming('EndpointSlice', 'endpoints', endpoint));
  }

  isNode(address: string): boolean {
    return this.index.naming('Node', 'addresses', address).size > 0;
  }

  zoneOfNode(name: string): string {
    const node = this.objects.Node.get(name);
    return node === undefined ? '' : zoneOf(node);
  }

  routesTo<K extends StoredKind>(kind: K, serviceKey: string): readonly ObjectOf<K>[] {
    return this.all(kind, this.index.naming(kind, 'parents', serviceKey));
  }

  grantsIn(namespace: string): readonly ReferenceGrant[] {
    return this.all('ReferenceGrant', this.index.naming('ReferenceGrant', 'namespaces', namespace));
  }

  namespace(name: string): Namespace | undefined {
    return this.objects.Namespace.get(name);
  }

  policiesIn(namespace: string): readonly XTelemetryPolicy[] {
    return this.all('XTelemetryPolicy', this.index.naming('XTelemetryPolicy', 'namespaces', namespace));
  }

  servicesOf(podKey: string): ReadonlySet<string> {
    return this.index.servicesWith(podKey);
  }

  private all<K extends StoredKind>(kind: K, keys: Iterable<string>): ObjectOf<K>[] {
    const map = this.objects[kind] as ReadonlyMap<string, ObjectOf<K>>;
    return Array.from(keys, (key) => map.get(key)!);
  }

  private put(kind: FollowedKind<StoredKind>, key: string, after: KubeObject | undefined, touched: Touched): void {
    const objects = this.objects[kind.kind] as Map<string, KubeObject>;
    const before = objects.get(key);
    if (before === undefined && after === undefined) return;
    if (after === undefined) objects.delete(key);
    else objects.set(key, after);
    if (kind.statuses !== undefined) touched.statuses.add(kind.statuses);
    if (before !== undefined && after !== undefined && sameForUs(kind, before, after)) return;
    const comesOrGoes = before === undefined || after === undefined;
    this.index.touch(kind, key, comesOrGoes, touched);
    this.index.link(kind, key, after);
    this.index.touch(kind, key, comesOrGoes, touched);
  }
}
