// The object store: what Weft knows of the cluster, and which Services a change touches. In memory; fed by kube/ or files/, read by translate/.
import { isDeepStrictEqual } from 'node:util';
import {
  type EndpointSlice,
  GATEWAY_GROUP,
  type GRPCRoute,
  type KubeObject,
  LABEL_SERVICE_NAME,
  type Namespace,
  type Pod,
  type ReferenceGrant,
  type Service,
} from './kube/types.ts';
import { Links } from './links.ts';
import { entriesOf, fieldsOf, isAbsent, textOf } from './translate/fields.ts';
import { keyOf, namespaceOf, parentServices, splitKey, targetServices } from './translate/references.ts';

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
}

/** The kinds that the store holds. HTTPRoute and the others are not served yet; objects of other kinds are ignored. */
export type StoredKind = 'Service' | 'EndpointSlice' | 'Pod' | 'Namespace' | 'GRPCRoute' | 'ReferenceGrant';

const GROUP_OF: Readonly<Record<StoredKind, string>> = {
  Service: '',
  Pod: '',
  Namespace: '',
  EndpointSlice: 'discovery.k8s.io',
  GRPCRoute: GATEWAY_GROUP,
  ReferenceGrant: GATEWAY_GROUP,
};

/**
 * Holds the latest version of each object. Every change gives the keys ("ns/name") of the Services whose translation it may alter, existing or not
 * (a parentRef may name a missing one): translateService() of just these brings everything up to date. The cost of a change is what it touches.
 * Objects become the store's: do not change them afterwards.
 */
export class ObjectStore implements ObjectView {
  private readonly objects: Readonly<Record<StoredKind, Map<string, KubeObject>>> = {
    Service: new Map(),
    EndpointSlice: new Map(),
    Pod: new Map(),
    Namespace: new Map(),
    GRPCRoute: new Map(),
    ReferenceGrant: new Map(),
  };
  private readonly serviceOfSlice = new Links();
  /** EndpointSlice → the pods that it names, and the addresses of endpoints. A pod key has a slash, an address has none. */
  private readonly podsOfSlice = new Links();
  private readonly addressesOfPod = new Links();
  private readonly parentsOfRoute = new Links();
  private readonly targetsOfRoute = new Links();
  private readonly namespaceOfGrant = new Links();
  /** Service → its namespace as "ns/" and its name, and the same for the missing ones that routes name. */
  private readonly partsOfService = new Links();
  private readonly partsOfMissing = new Links();

  /** Adds an object or replaces its older version. One of a kind that the store does not hold, or without a name, changes nothing. */
  apply(object: KubeObject): ReadonlySet<string> {
    const found = identify(object);
    return found === undefined ? new Set() : this.put(found.kind, found.key, object);
  }

  /** Removes an object, if it is there. `namespace` is ignored for cluster-wide kinds. */
  remove(kind: string, namespace: string | undefined, name: string): ReadonlySet<string> {
    if (!isStoredKind(kind)) return new Set();
    return this.put(kind, kind === 'Namespace' ? name : keyOf(namespace || 'default', name), undefined);
  }

  /** Makes these all the objects there are; what is equal to before touches nothing. Of two with the same name the last counts. */
  replaceAll(objects: Iterable<KubeObject>): ReadonlySet<string> {
    const wanted = new Map<string, { kind: StoredKind; key: string; object: KubeObject }>();
    for (const object of objects) {
      const found = identify(object);
      if (found !== undefined) wanted.set(`${found.kind} ${found.key}`, { ...found, object });
    }
    const affected = new Set<string>();
    const take = (keys: ReadonlySet<string>) => {
      for (const key of keys) affected.add(key);
    };
    for (const kind of Object.keys(this.objects) as StoredKind[]) {
      for (const key of [...this.objects[kind].keys()]) if (!wanted.has(`${kind} ${key}`)) take(this.put(kind, key, undefined));
    }
    for (const { kind, key, object } of wanted.values()) take(this.put(kind, key, object));
    return affected;
  }

  /** Every key that has anything to translate: existing Services, and missing ones that are a route's parent. Sorted. */
  allKeys(): string[] {
    const missing = [...this.objects.GRPCRoute.keys()].flatMap((route) => [...this.parentsOfRoute.targetsOf(route)]);
    return [...new Set([...this.objects.Service.keys(), ...missing])].sort();
  }

  service(key: string): Service | undefined {
    return this.objects.Service.get(key);
  }

  serviceKeys(): Iterable<string> {
    return this.objects.Service.keys();
  }

  serviceNamesIn(namespace: string): Iterable<string> {
    return [...this.partsOfService.ownersOf(`${namespace}/`)].map((key) => splitKey(key)[1]);
  }

  namespacesOfService(name: string): Iterable<string> {
    return [...this.partsOfService.ownersOf(name)].map((key) => splitKey(key)[0]);
  }

  slicesOf(serviceKey: string): readonly EndpointSlice[] {
    return this.all('EndpointSlice', this.serviceOfSlice.ownersOf(serviceKey));
  }

  pod(key: string): Pod | undefined {
    return this.objects.Pod.get(key);
  }

  podsAt(address: string): readonly Pod[] {
    return this.all('Pod', this.addressesOfPod.ownersOf(address));
  }

  routesTo(serviceKey: string): readonly GRPCRoute[] {
    return this.all('GRPCRoute', this.parentsOfRoute.ownersOf(serviceKey));
  }

  grantsIn(namespace: string): readonly ReferenceGrant[] {
    return this.all('ReferenceGrant', this.namespaceOfGrant.ownersOf(namespace));
  }

  namespace(name: string): Namespace | undefined {
    return this.objects.Namespace.get(name);
  }

  private all(kind: StoredKind, keys: Iterable<string>): KubeObject[] {
    const map = this.objects[kind];
    return Array.from(keys, (key) => map.get(key)!);
  }

  private put(kind: StoredKind, key: string, after: KubeObject | undefined): ReadonlySet<string> {
    const map = this.objects[kind];
    const before = map.get(key);
    const affected = new Set<string>();
    if (before === undefined && after === undefined) return affected;
    if (after === undefined) map.delete(key);
    else map.set(key, after);
    if (before !== undefined && after !== undefined && sameForUs(kind, before, after)) return affected;
    // What the old version named is touched as well as what the new one names.
    this.collect(kind, key, affected);
    this.link(kind, key, after);
    this.collect(kind, key, affected);
    if (kind === 'Service' && (before === undefined) !== (after === undefined)) this.collectMisled(key, affected);
    return affected;
  }

  /** Brings the index in line with the new version of an object. */
  private link(kind: StoredKind, key: string, after: KubeObject | undefined): void {
    switch (kind) {
      case 'Service':
        this.partsOfService.set(key, after === undefined ? [] : partsOf(key));
        this.noteMissing(key);
        break;
      case 'EndpointSlice':
        this.serviceOfSlice.set(key, serviceOf(after));
        this.podsOfSlice.set(key, after === undefined ? [] : podsNamedBy(after));
        break;
      case 'Pod':
        this.addressesOfPod.set(key, after === undefined ? [] : addressesOf(after));
        break;
      case 'GRPCRoute': {
        const named = new Set([...this.parentsOfRoute.targetsOf(key), ...this.targetsOfRoute.targetsOf(key)]);
        this.parentsOfRoute.set(key, after === undefined ? [] : parentServices(after));
        this.targetsOfRoute.set(key, after === undefined ? [] : targetServices(after));
        for (const service of this.parentsOfRoute.targetsOf(key)) named.add(service);
        for (const service of this.targetsOfRoute.targetsOf(key)) named.add(service);
        for (const service of named) this.noteMissing(service);
        break;
      }
      case 'ReferenceGrant':
        this.namespaceOfGrant.set(key, after === undefined ? [] : [splitKey(key)[0]]);
        break;
      case 'Namespace':
        break;
    }
  }

  /** The Services whose translation reads this object, as the index stands now. */
  private collect(kind: StoredKind, key: string, affected: Set<string>): void {
    switch (kind) {
      case 'Service':
        affected.add(key);
        this.collectUsersOf(key, affected);
        break;
      case 'EndpointSlice':
        for (const service of this.serviceOfSlice.targetsOf(key)) affected.add(service);
        break;
      case 'Pod':
        for (const name of [key, ...this.addressesOfPod.targetsOf(key)]) {
          for (const slice of this.podsOfSlice.ownersOf(name)) {
            for (const service of this.serviceOfSlice.targetsOf(slice)) affected.add(service);
          }
        }
        break;
      case 'GRPCRoute':
        for (const service of this.parentsOfRoute.targetsOf(key)) affected.add(service);
        break;
      case 'ReferenceGrant': {
        // Routes that send into the grant's namespace, whether to a Service that is there or to one that is not.
        const namespace = `${splitKey(key)[0]}/`;
        for (const service of this.partsOfService.ownersOf(namespace)) this.collectUsersOf(service, affected);
        for (const service of this.partsOfMissing.ownersOf(namespace)) this.collectUsersOf(service, affected);
        break;
      }
      // Nothing that translate() makes depends on a Namespace object: mTLS modes go out with the workload.
      case 'Namespace':
        break;
    }
  }

  /** Services with routes that send to this one. */
  private collectUsersOf(service: string, affected: Set<string>): void {
    for (const route of this.targetsOfRoute.ownersOf(service)) {
      for (const parent of this.parentsOfRoute.targetsOf(route)) affected.add(parent);
    }
  }

  /** "did you mean …?" looks at the Services of the same namespace and at those of the same name: it may say something else now. */
  private collectMisled(service: string, affected: Set<string>): void {
    for (const part of partsOf(service)) {
      for (const missing of this.partsOfMissing.ownersOf(part)) {
        if (this.parentsOfRoute.ownersOf(missing).size > 0) affected.add(missing);
        this.collectUsersOf(missing, affected);
      }
    }
  }

  private noteMissing(service: string): void {
    const named = this.parentsOfRoute.ownersOf(service).size > 0 || this.targetsOfRoute.ownersOf(service).size > 0;
    this.partsOfMissing.set(service, named && !this.objects.Service.has(service) ? partsOf(service) : []);
  }
}

function isStoredKind(kind: unknown): kind is StoredKind {
  return typeof kind === 'string' && Object.hasOwn(GROUP_OF, kind);
}

function identify(object: KubeObject): { kind: StoredKind; key: string } | undefined {
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

function partsOf(serviceKey: string): string[] {
  const [namespace, name] = splitKey(serviceKey);
  return [`${namespace}/`, name];
}

function serviceOf(slice: EndpointSlice | undefined): string[] {
  if (slice === undefined) return [];
  const name = textOf(fieldsOf(fieldsOf(slice.metadata).labels)[LABEL_SERVICE_NAME]);
  return name ? [keyOf(namespaceOf(slice), name)] : [];
}

function podsNamedBy(slice: EndpointSlice): string[] {
  const namespace = namespaceOf(slice);
  return entriesOf(slice.endpoints).flatMap((endpoint) => {
    const { targetRef, addresses } = fieldsOf(endpoint);
    const ref = fieldsOf(targetRef);
    const pod = ref.kind === 'Pod' ? textOf(ref.name) : undefined;
    const named = pod ? [keyOf(textOf(ref.namespace) || namespace, pod)] : [];
    return [...named, ...entriesOf(addresses).flatMap((address) => textOf(address) ?? [])];
  });
}

function addressesOf(pod: Pod): string[] {
  const { podIP, podIPs } = fieldsOf(pod.status);
  return [podIP, ...entriesOf(podIPs).map((entry) => fieldsOf(entry).ip)].flatMap((address) => textOf(address) || []);
}

/** Whether all that translate() reads of an object is the same: the API server also tells of new statuses, leases and annotations of others. */
function sameForUs(kind: StoredKind, before: KubeObject, after: KubeObject): boolean {
  return isDeepStrictEqual(readPart(kind, before), readPart(kind, after));
}

function readPart(kind: StoredKind, object: KubeObject): unknown {
  const { generation, creationTimestamp, labels, annotations } = fieldsOf(object.metadata);
  switch (kind) {
    case 'Service':
    case 'ReferenceGrant':
      return (object as Service | ReferenceGrant).spec;
    case 'GRPCRoute':
      return [generation, creationTimestamp, (object as GRPCRoute).spec];
    case 'EndpointSlice': {
      const { addressType, endpoints, ports } = object as EndpointSlice;
      return [fieldsOf(labels)[LABEL_SERVICE_NAME], addressType, endpoints, ports];
    }
    case 'Pod': {
      const { phase, podIP, podIPs } = fieldsOf((object as Pod).status);
      const { serviceAccountName, hostNetwork } = fieldsOf((object as Pod).spec);
      return [annotations, serviceAccountName, hostNetwork, phase, podIP, podIPs];
    }
    case 'Namespace':
      return null;
  }
}
