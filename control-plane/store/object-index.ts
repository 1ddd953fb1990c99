// The index of the object store: who names whom, so that a change finds the Services that it touches without looking at the others.

import type { KubeObject } from '#kube/object.ts';
import { type EndpointSlice, LABEL_SERVICE_NAME } from '#objects/endpoint-slice.ts';
import { entriesOf, fieldsOf, textOf } from '#objects/fields.ts';
import type { StoredKind } from '#objects/kinds.ts';
import type { Pod } from '#objects/pod.ts';
import { keyOf, namespaceOf, splitKey } from '#objects/references.ts';
import { parentServices, targetServices } from '#objects/route.ts';
import { Links } from './links.ts';

/** Keys are those of identify(). */
export class ObjectIndex {
  private readonly serviceOfSlice = new Links();
  /** EndpointSlice → the pods that it names, and the addresses of endpoints. A pod key has a slash, an address has none. */
  private readonly podsOfSlice = new Links();
  private readonly addressesOfPod = new Links();
  private readonly parentsOfRoute = new Links();
  private readonly targetsOfRoute = new Links();
  private readonly namespaceOfGrant = new Links();
  private readonly namespaceOfPolicy = new Links();
  /** Service → its namespace as "ns/" and its name, and the same for the missing ones that routes name. */
  private readonly partsOfService = new Links();
  private readonly partsOfMissing = new Links();

  servicesIn(namespace: string): ReadonlySet<string> {
    return this.partsOfService.ownersOf(`${namespace}/`);
  }

  servicesNamed(name: string): ReadonlySet<string> {
    return this.partsOfService.ownersOf(name);
  }

  slicesOf(service: string): ReadonlySet<string> {
    return this.serviceOfSlice.ownersOf(service);
  }

  podsAt(address: string): ReadonlySet<string> {
    return this.addressesOfPod.ownersOf(address);
  }

  addressesOf(pod: string): ReadonlySet<string> {
    return this.addressesOfPod.targetsOf(pod);
  }

  routesTo(service: string): ReadonlySet<string> {
    return this.parentsOfRoute.ownersOf(service);
  }

  parentsOf(route: string): ReadonlySet<string> {
    return this.parentsOfRoute.targetsOf(route);
  }

  grantsIn(namespace: string): ReadonlySet<string> {
    return this.namespaceOfGrant.ownersOf(namespace);
  }

  policiesIn(namespace: string): ReadonlySet<string> {
    return this.namespaceOfPolicy.ownersOf(namespace);
  }

  /** Services with an endpoint that is this pod, ready or not. */
  servicesOf(pod: string): Set<string> {
    return new Set([...this.podsOfSlice.ownersOf(pod)].flatMap((slice) => [...this.serviceOfSlice.targetsOf(slice)]));
  }

  /** Brings the index in line with the new version of an object. */
  link(kind: StoredKind, key: string, after: KubeObject | undefined): void {
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
      case 'XTelemetryPolicy':
        this.namespaceOfPolicy.set(key, after === undefined ? [] : [splitKey(key)[0]]);
        break;
      case 'Namespace':
        break;
    }
  }

  /** The Services whose translation reads this object, as the index stands now. */
  collect(kind: StoredKind, key: string, affected: Set<string>): void {
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
      // Nothing that translate() makes depends on these: mTLS modes and telemetry go out with the workload.
      case 'XTelemetryPolicy':
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
  collectMisled(service: string, affected: Set<string>): void {
    for (const part of partsOf(service)) {
      for (const missing of this.partsOfMissing.ownersOf(part)) {
        if (this.parentsOfRoute.ownersOf(missing).size > 0) affected.add(missing);
        this.collectUsersOf(missing, affected);
      }
    }
  }

  private noteMissing(service: string): void {
    const named = this.parentsOfRoute.ownersOf(service).size > 0 || this.targetsOfRoute.ownersOf(service).size > 0;
    this.partsOfMissing.set(service, named && !this.exists(service) ? partsOf(service) : []);
  }

  private exists(service: string): boolean {
    return this.partsOfService.targetsOf(service).size > 0;
  }
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
