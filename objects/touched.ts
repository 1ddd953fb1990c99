// What a change of objects touches, as a value: the one answer to all that follow the store. Each kind's file says what
// its objects touch.

/** What an object names, by relation. The index of the store holds it readable from both ends. */
export interface Names {
  /** Services that it is a part of, by key: an EndpointSlice's one. */
  readonly services?: Iterable<string>;
  /** Pods by key, and addresses: the endpoints in an EndpointSlice. A key has a slash, an address has none. */
  readonly endpoints?: Iterable<string>;
  /** IP addresses that it has: a pod's. */
  readonly addresses?: Iterable<string>;
  /** The node that it is on, by name: a pod's. */
  readonly nodes?: Iterable<string>;
  /** Services that it is attached to, by key: a route's parents, existing or not. */
  readonly parents?: Iterable<string>;
  /** Services that it sends to, by key: a route's backends and mirrors, existing or not. */
  readonly targets?: Iterable<string>;
  /** The namespace in which it holds. */
  readonly namespaces?: Iterable<string>;
  /** By what "did you mean …?" finds a Service: its namespace as "ns/", and its name. */
  readonly parts?: Iterable<string>;
}

export type Relation = keyof Names;

/** What a kind may ask about a changed object, as the index stands when it is asked. */
export interface Change {
  /** "namespace/name", or the name of a cluster-wide object. */
  readonly key: string;
  /** There is no version before, or none after. */
  readonly comesOrGoes: boolean;
  names(relation: Relation): Iterable<string>;
  /** Pods on a node, by key. */
  podsOn(node: string): Iterable<string>;
  /** Services with routes that send to this one. */
  sendersTo(service: string): Iterable<string>;
  /** Services with an endpoint that is this pod (by key), or at this address. */
  servicesWith(endpoint: string): Iterable<string>;
  /** Pods (by key) and addresses in the EndpointSlices of a Service. */
  endpointsOf(service: string): Iterable<string>;
  /** Services in a namespace, and missing ones there that routes name. */
  servicesIn(namespace: string): Iterable<string>;
  /** Services whose routes name a missing one, for which this one may be, or have been, the one that was meant. */
  misledBy(service: string): Iterable<string>;
}

/** Whose statuses the leader writes. */
export type StatusSort = 'routes' | 'policies';

/** Keys are "namespace/name". A set may hold more than what differs, and never less. */
export class Touched {
  /** Services whose translation may differ, existing or not, because a parentRef may name a missing one. */
  readonly services = new Set<string>();
  /** Services whose endpoints may be other pods. */
  readonly endpoints = new Set<string>();
  /** Pods whose sidecar may have to know something else about its pod. */
  readonly pods = new Set<string>();
  /** Namespaces that say something else about all their pods, or are gone. */
  readonly namespaces = new Set<string>();
  /** IP addresses where another pod may be, or one with another identity. */
  readonly addresses = new Set<string>();
  /** Namespaces whose policies are others. */
  readonly policies = new Set<string>();
  /** What policies of any namespace refer to may be different. */
  policyInputs = false;
  /** Where objects are another version, if only in their status: the leader may have to write it. */
  readonly statuses = new Set<StatusSort>();

  /** Adds what another change touches. */
  add(other: Touched): void {
    for (const set of ['services', 'endpoints', 'pods', 'namespaces', 'addresses', 'policies'] as const) addAll(this[set], other[set]);
    addAll(this.statuses, other.statuses);
    this.policyInputs ||= other.policyInputs;
  }
}

export function addAll<T>(set: Set<T>, entries: Iterable<T>): void {
  for (const entry of entries) set.add(entry);
}
