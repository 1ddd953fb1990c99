// The object store: what Weft knows of the cluster, and which Services a change touches. In memory; fed by kube/ or files/, read by translate/.

import type { KubeObject } from '#kube/object.ts';
import type { EndpointSlice } from '#objects/endpoint-slice.ts';
import type { GRPCRoute } from '#objects/grpc-route.ts';
import type { FollowedKind } from '#objects/kind.ts';
import { FOLLOWED_KINDS, followedKind, identify, type ObjectOf, type StoredKind, sameForUs } from '#objects/kinds.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Pod } from '#objects/pod.ts';
import type { ReferenceGrant } from '#objects/reference-grant.ts';
import { keyOf, splitKey } from '#objects/references.ts';
import type { Service } from '#objects/service.ts';
import type { XTelemetryPolicy } from '#objects/telemetry-policy.ts';
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
  /** GRPCRoutes of any namespace with a parentRef to this Service, which need not exist. */
  routesTo(serviceKey: string): readonly GRPCRoute[];
  grantsIn(namespace: string): readonly ReferenceGrant[];
  namespace(name: string): Namespace | undefined;
  policiesIn(namespace: string): readonly XTelemetryPolicy[];
  /** Keys of the Services that have this pod among their endpoints, ready or not. */
  servicesOf(podKey: string): ReadonlySet<string>;
}

type ObjectMaps = { readonly [K in StoredKind]: Map<string, ObjectOf<K>> };

/**
 * Holds the latest version of each object. Every change gives the keys ("ns/name") of the Services whose translation it may alter, existing or not
 * (a parentRef may name a missing one): translateService() of just these brings everything up to date. The cost of a change is what it touches.
 * Objects become the store's: do not change them afterwards.
 */
export class ObjectStore implements ObjectView {
  private readonly objects: ObjectMaps = Object.fromEntries(FOLLOWED_KINDS.map(({ kind }) => [kind, new Map()])) as ObjectMaps;
  private readonly index = new ObjectIndex();
  /** Another number: XTelemetryPolicies may be judged otherwise than before. */
  policyInputs = 0;
  /** Called with the IP addresses at which somebody else may be now. */
  podsMoved: (addresses: readonly string[]) => void = () => {};

  /** Adds an object or replaces its older version. One of a kind that the store does not hold, or without a name, changes nothing. */
  apply(object: KubeObject): ReadonlySet<string> {
    const found = identify(object);
    return found === undefined ? new Set() : this.put(found.kind, found.key, object);
  }

  /** Removes an object, if it is there. `namespace` is ignored for cluster-wide kinds. */
  remove(kindName: string, namespace: string | undefined, name: string): ReadonlySet<string> {
    const kind = followedKind(kindName);
    if (kind === undefined) return new Set();
    return this.put(kind, kind.namespaced ? keyOf(namespace || 'default', name) : name, undefined);
  }

  /** Makes these all the objects there are; what is equal to before touches nothing. Of two with the same name the last counts. */
  replaceAll(objects: Iterable<KubeObject>): ReadonlySet<string> {
    const wanted = new Map<string, { kind: FollowedKind<StoredKind>; key: string; object: KubeObject }>();
    for (const object of objects) {
      const found = identify(object);
      if (found !== undefined) wanted.set(`${found.kind.kind} ${found.key}`, { ...found, object });
    }
    const affected = new Set<string>();
    const take = (keys: ReadonlySet<string>) => {
      for (const key of keys) affected.add(key);
    };
    for (const kind of FOLLOWED_KINDS) {
      for (const key of [...this.objects[kind.kind].keys()]) if (!wanted.has(`${kind.kind} ${key}`)) take(this.put(kind, key, undefined));
    }
    for (const { kind, key, object } of wanted.values()) take(this.put(kind, key, object));
    return affected;
  }

  /** Every key that has anything to translate: existing Services, and missing ones that are a route's parent. Sorted. */
  allKeys(): string[] {
    const missing = [...this.objects.GRPCRoute.keys()].flatMap((route) => [...this.index.parentsOf(route)]);
    return [...new Set([...this.objects.Service.keys(), ...missing])].sort();
  }

  /** All objects of a kind. */
  every<K extends StoredKind>(kind: K): Iterable<ObjectOf<K>> {
    return (this.objects[kind] as ReadonlyMap<string, ObjectOf<K>>).values();
  }

  /** Keys of all objects of a kind: "namespace/name", or the name of a cluster-wide object. */
  keysOf(kind: StoredKind): Iterable<string> {
    return this.objects[kind].keys();
  }

  route(key: string): GRPCRoute | undefined {
    return this.objects.GRPCRoute.get(key);
  }

  service(key: string): Service | undefined {
    return this.objects.Service.get(key);
  }

  serviceKeys(): Iterable<string> {
    return this.objects.Service.keys();
  }

  serviceNamesIn(namespace: string): Iterable<string> {
    return [...this.index.servicesIn(namespace)].map((key) => splitKey(key)[1]);
  }

  namespacesOfService(name: string): Iterable<string> {
    return [...this.index.servicesNamed(name)].map((key) => splitKey(key)[0]);
  }

  slicesOf(serviceKey: string): readonly EndpointSlice[] {
    return this.all('EndpointSlice', this.index.slicesOf(serviceKey));
  }

  pod(key: string): Pod | undefined {
    return this.objects.Pod.get(key);
  }

  podsAt(address: string): readonly Pod[] {
    return this.all('Pod', this.index.podsAt(address));
  }

  routesTo(serviceKey: string): readonly GRPCRoute[] {
    return this.all('GRPCRoute', this.index.routesTo(serviceKey));
  }

  grantsIn(namespace: string): readonly ReferenceGrant[] {
    return this.all('ReferenceGrant', this.index.grantsIn(namespace));
  }

  namespace(name: string): Namespace | undefined {
    return this.objects.Namespace.get(name);
  }

  policiesIn(namespace: string): readonly XTelemetryPolicy[] {
    return this.all('XTelemetryPolicy', this.index.policiesIn(namespace));
  }

  servicesOf(podKey: string): ReadonlySet<string> {
    return this.index.servicesOf(podKey);
  }

  private all<K extends StoredKind>(kind: K, keys: Iterable<string>): ObjectOf<K>[] {
    const map = this.objects[kind] as ReadonlyMap<string, ObjectOf<K>>;
    return Array.from(keys, (key) => map.get(key)!);
  }

  private put(of: FollowedKind<StoredKind>, key: string, after: KubeObject | undefined): ReadonlySet<string> {
    const { kind } = of;
    const map = this.objects[kind] as Map<string, KubeObject>;
    const before = map.get(key);
    const affected = new Set<string>();
    if (before === undefined && after === undefined) return affected;
    if (after === undefined) map.delete(key);
    else map.set(key, after);
    if (before !== undefined && after !== undefined && sameForUs(of, before, after)) return affected;
    if (kind === 'XTelemetryPolicy' || kind === 'Service' || kind === 'ReferenceGrant') this.policyInputs++;
    // What the old version named is touched as well as what the new one names.
    this.index.collect(kind, key, affected);
    const left = kind === 'Pod' ? [...this.index.addressesOf(key)] : [];
    this.index.link(kind, key, after);
    this.index.collect(kind, key, affected);
    if (kind === 'Pod') this.podsMoved([...left, ...this.index.addressesOf(key)]);
    if (kind === 'Service' && (before === undefined) !== (after === undefined)) this.index.collectMisled(key, affected);
    return affected;
  }
}
