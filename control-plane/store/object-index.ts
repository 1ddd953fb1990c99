// The index of the object store: which object names which, so that a change finds what it touches without looking at
// the others.
import type { KubeObject } from '#kube/object.ts';
import type { FollowedKind } from '#objects/kind.ts';
import { FOLLOWED_KINDS, type StoredKind } from '#objects/kinds.ts';
import { partsOfService, serviceKind } from '#objects/service.ts';
import { addAll, type Change, type Names, type Relation, type Touched } from '#objects/touched.ts';
import { Links } from './links.ts';

type LinksOfKind = Readonly<Record<Relation, Links>>;

/** Keys are those of identify(). */
export class ObjectIndex {
  private readonly links: ReadonlyMap<StoredKind, LinksOfKind> = new Map(FOLLOWED_KINDS.map(({ kind }) => [kind, newLinks()]));
  private readonly services = this.links.get(serviceKind.kind)!;
  /** Missing Services that routes name, and the parts of their keys. */
  private readonly partsOfMissing = new Links();

  /** Objects of a kind that name this. */
  naming(kind: StoredKind, relation: Relation, target: string): ReadonlySet<string> {
    return this.links.get(kind)![relation].ownersOf(target);
  }

  /** All Services that routes of any kind are attached to, existing or not. */
  *parents(): Iterable<string> {
    for (const { parents } of this.links.values()) yield* parents.targets();
  }

  /** Services with an endpoint that is this pod (by key), or at this address, ready or not. */
  servicesWith(endpoint: string): Set<string> {
    const found = new Set<string>();
    for (const { endpoints, services } of this.links.values()) {
      for (const slice of endpoints.ownersOf(endpoint)) addAll(found, services.targetsOf(slice));
    }
    return found;
  }

  /** Brings the index in line with the new version of an object. */
  link(kind: FollowedKind<StoredKind>, key: string, after: KubeObject | undefined): void {
    const links = this.links.get(kind.kind)!;
    const names: Names = (after === undefined ? undefined : kind.names?.(after)) ?? {};
    const named = new Set(links === this.services ? [key] : []);
    const note = (): void => {
      addAll(named, links.parents.targetsOf(key));
      addAll(named, links.targets.targetsOf(key));
    };
    note();
    for (const [relation, one] of Object.entries(links) as [Relation, Links][]) {
      const targets = names[relation];
      if (targets !== undefined || one.targetsOf(key).size > 0) one.set(key, targets ?? []);
    }
    note();
    for (const service of named) this.noteMissing(service);
  }

  /** What an object touches, as the index stands now. */
  touch(kind: FollowedKind<StoredKind>, key: string, comesOrGoes: boolean, touched: Touched): void {
    const links = this.links.get(kind.kind)!;
    const change: Change = {
      key,
      comesOrGoes,
      names: (relation) => links[relation].targetsOf(key),
      podsOn: (node) => this.naming('Pod', 'nodes', node),
      sendersTo: (service) => this.sendersTo(service),
      servicesWith: (endpoint) => this.servicesWith(endpoint),
      endpointsOf: (service) => this.endpointsOf(service),
      servicesIn: (namespace) => this.servicesIn(namespace),
      misledBy: (service) => this.misledBy(service),
    };
    kind.touch?.(change, touched);
  }

  private *sendersTo(service: string): Iterable<string> {
    for (const { targets, parents } of this.links.values()) {
      for (const route of targets.ownersOf(service)) yield* parents.targetsOf(route);
    }
  }

  private *endpointsOf(service: string): Iterable<string> {
    const { services, endpoints } = this.links.get('EndpointSlice')!;
    for (const slice of services.ownersOf(service)) yield* endpoints.targetsOf(slice);
  }

  private *servicesIn(namespace: string): Iterable<string> {
    yield* this.services.parts.ownersOf(`${namespace}/`);
    yield* this.partsOfMissing.ownersOf(`${namespace}/`);
  }

  /** "did you mean …?" looks at the Services of the same namespace and at those of the same name. */
  private *misledBy(service: string): Iterable<string> {
    for (const part of partsOfService(service)) {
      for (const missing of this.partsOfMissing.ownersOf(part)) {
        if (this.isParent(missing)) yield missing;
        yield* this.sendersTo(missing);
      }
    }
  }

  private noteMissing(service: string): void {
    const exists = this.services.parts.targetsOf(service).size > 0;
    this.partsOfMissing.set(service, !exists && (this.isParent(service) || this.isTarget(service)) ? partsOfService(service) : []);
  }

  private isParent(service: string): boolean {
    return [...this.links.values()].some(({ parents }) => parents.ownersOf(service).size > 0);
  }

  private isTarget(service: string): boolean {
    return [...this.links.values()].some(({ targets }) => targets.ownersOf(service).size > 0);
  }
}

function newLinks(): LinksOfKind {
  return {
    services: new Links(),
    endpoints: new Links(),
    addresses: new Links(),
    nodes: new Links(),
    parents: new Links(),
    targets: new Links(),
    namespaces: new Links(),
    parts: new Links(),
  };
}
