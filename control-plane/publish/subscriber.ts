// One connected sidecar: its identity, what it wants, what it has been sent, what it reports. The gRPC stream is behind
// a Line.
import type { Ack, CallReport, Hello, LeafReport, SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
  PLACES_RESOURCE,
  parseResourceName,
  podResourceName,
  serviceResourceName,
  TRUST_RESOURCE,
  WORKLOAD_RESOURCE,
} from '#core/contract/resource-names.ts';
import { ReportedCalls } from './call-reports.ts';
import type { Catalogue } from './catalogue.ts';
import { Delivery, type Rejection } from './delivery.ts';
import type { Sized } from './resources.ts';
import { afterOthers, type Work } from './turns.ts';
import { Wanted } from './wanted.ts';

const LONGEST_VERSION = 64;
/** Of Authority.id. */
const LONGEST_SIGNING = 64;
const ENDPOINTS = serviceResourceName('endpoints', '');
const SERVICE_RULES = serviceResourceName('service', '');

/** The sidecar at the other end, as its certificate names it; the pod as it says itself. */
export interface Peer {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  /** Of the pod that the certificate was issued to; absent: it names none. */
  readonly podUid?: string;
}

/** Why a sidecar's stream ends. */
export type Ending =
  | { readonly reason: 'replaced' }
  | { readonly reason: 'not its pod'; readonly detail: string }
  | { readonly reason: 'too many wants' }
  | { readonly reason: 'shutting down' };

/** The way to the sidecar: what serves its stream. */
export interface Line {
  send(response: SubscribeResponse): void;
  /** Ends the stream; detach() follows. */
  end(ending: Ending): void;
}

/** What a subscriber is given by the publisher. */
export interface SubscriberDeps {
  readonly catalogue: Catalogue;
  /** Null: nothing is known of the pod (yet). */
  workload(peer: Peer): Sized | null;
  trust(): Sized;
  /** The pod at an IP address. */
  podAt(address: string): Sized;
  /** Unix ms. */
  now(): number;
  /** Does this work in turns with others. */
  work(work: Work): void;
  /** It has asked for these Services. */
  onWanted(peer: Peer, keys: readonly string[]): void;
  /** It wants this Service, or how the Service's rules stand with it may be different. */
  onStanding(subscriber: Subscriber, key: string): void;
  onAcknowledged(): void;
  onDetached(subscriber: Subscriber): void;
}

/** Hand it the sidecar's messages, and detach() it when the stream is over, however it ended. */
export class Subscriber {
  readonly peer: Peer;
  /** Weft's version in the sidecar, as it says itself. */
  readonly version: string;
  /** Unix ms. */
  readonly connectedSinceMs: number;
  /** Unix ms: end of the newest certificate that is known of; 0: none is. */
  certificateNotAfterMs: number;
  /** Which authority signed it (Authority.id); '': not known. */
  signing: string;
  /** Calls of it whose traces are worth a look. */
  readonly calls = new ReportedCalls();
  readonly wants: Wanted;
  readonly delivery: Delivery;
  private readonly line: Line;
  private readonly deps: SubscriberDeps;
  /** It does not ask which Services are at an address: it has the addresses of all. */
  private readonly hasAllAddresses: boolean;
  /** What is to be done for it, in its order. */
  private works: Work[] = [];
  private isOver = false;

  /**
   * greet() follows.
   * @param certificateNotAfterMs Unix ms, of the certificate that opened the stream; 0: not known
   */
  constructor(peer: Peer, hello: Hello, certificateNotAfterMs: number, line: Line, deps: SubscriberDeps) {
    this.peer = peer;
    this.version = hello.version.slice(0, LONGEST_VERSION);
    this.connectedSinceMs = deps.now();
    this.certificateNotAfterMs = certificateNotAfterMs;
    this.signing = signingOf(hello.leaf);
    this.line = line;
    this.deps = deps;
    // The closures below must not keep the hello: it is as long as what the sidecar holds.
    const { deltas, places } = hello;
    this.hasAllAddresses = !places;
    this.wants = new Wanted(deps.catalogue, peer.namespace, (name) => this.touched(name));
    this.delivery = new Delivery({
      current: (name) => this.current(name),
      since: (name, version) => {
        if (name === PLACES_RESOURCE) return deps.catalogue.places.since(version);
        return deltas && name.startsWith(ENDPOINTS) ? deps.catalogue.endpointsSince(name.slice(ENDPOINTS.length), version) : null;
      },
      isDropped: (name) => this.isDropped(name),
      takeAbsent: () => this.wants.takeAbsent(),
      now: () => deps.now(),
      later: (then) => deps.work(afterOthers(then)),
      send: (response) => line.send(response),
    });
  }

  /** Does this work when all that came before it is done; at once if there is nothing. */
  does(work: Work): void {
    this.works.push(work);
    if (this.works.length === 1) this.deps.work(this.work());
  }

  /**
   * Takes in what it asks for and what it holds, and sends the first response, an empty one if it holds everything
   * already.
   * @param wanted Services that it asks for in its hello, and those that it is given besides
   */
  *greet(hello: Hello, wanted: Iterable<string>): Work {
    for (const own of [TRUST_RESOURCE, WORKLOAD_RESOURCE, PLACES_RESOURCE]) this.delivery.touch(own);
    if (this.hasAllAddresses)
      for (const key of this.deps.catalogue.keys()) {
        this.delivery.touch(serviceResourceName('address', key));
        yield;
      }
    yield* this.wants.addAddresses(hello.addresses);
    yield* this.wants.add(wanted);
    yield* this.wants.assumeRunning(hello.held);
    for (const { name, version } of hello.held) {
      this.delivery.brings(name, version);
      yield;
    }
    this.delivery.begin();
  }

  /** It sends to these Services from now on. They go out at once, if nothing is under way. */
  want(keys: readonly string[]): void {
    this.does(this.take(keys, [], []));
    this.deps.onWanted(this.peer, keys);
  }

  /** It sends to these addresses from now on, and no longer to those: it has forgotten what it knew of them. */
  wantAddresses(addresses: readonly string[], dropped: readonly string[]): void {
    this.does(this.take([], addresses, dropped));
  }

  /** @returns what of the response it refuses */
  acknowledge(ack: Ack): readonly Rejection[] {
    const answer = this.delivery.acknowledge(ack);
    if (answer !== null) {
      for (const { name, needs } of answer.applied) {
        this.wants.runs(name, needs);
        this.noteStanding(name);
      }
      for (const { name } of answer.rejected) this.noteStanding(name);
      for (const name of answer.removed) {
        this.wants.runs(name, []);
        this.noteStanding(name);
      }
      this.delivery.flush();
    }
    this.deps.onAcknowledged();
    return answer?.rejected ?? [];
  }

  /** It reports calls to Services that it wants. */
  reportCalls(report: CallReport): void {
    this.calls.take(report, (service) => this.wants.has(service), this.deps.now());
  }

  /** It says which certificate it has now. */
  reportLeaf(leaf: LeafReport): void {
    this.certificateNotAfterMs = Number(leaf.notAfterMs);
    this.signing = signingOf(leaf);
    this.deps.onAcknowledged();
  }

  /** Its pod got a certificate. @param notAfterMs Unix ms */
  certified(notAfterMs: number): void {
    this.certificateNotAfterMs = Math.max(this.certificateNotAfterMs, notAfterMs);
  }

  /** These Services were translated anew (or came, or went). */
  *servicesChanged(keys: ReadonlySet<string>): Work {
    if (this.isOver) return;
    if (this.hasAllAddresses) for (const key of keys) this.delivery.touch(serviceResourceName('address', key));
    for (const key of this.wants.concernedBy(keys)) {
      this.wants.noteService(key);
      yield;
    }
    this.delivery.touch(PLACES_RESOURCE);
    this.delivery.flush();
  }

  /** Other pods may be at these IP addresses now. */
  addressesChanged(addresses: ReadonlySet<string>): void {
    const concerned = this.wants.wantedOf(addresses);
    if (concerned.length === 0) return;
    for (const address of concerned) this.delivery.touch(podResourceName(address));
    this.delivery.flush();
  }

  /** The trust bundle or the pod's own workload may be different. */
  ownChanged(name: typeof WORKLOAD_RESOURCE | typeof TRUST_RESOURCE): void {
    this.delivery.touch(name);
    this.delivery.flush();
  }

  /** Ends its stream. */
  end(ending: Ending): void {
    this.line.end(ending);
  }

  /** The stream is over. */
  detach(): void {
    this.isOver = true;
    this.deps.onDetached(this);
  }

  private *work(): Work {
    for (const work of this.works) {
      // Work that was begun before the end does not go on after it.
      while (!this.isOver && work.next().done !== true) yield;
    }
    this.works = [];
  }

  private *take(keys: readonly string[], addresses: readonly string[], dropped: readonly string[]): Work {
    if (!this.wants.hasRoomFor(keys, addresses)) return this.line.end({ reason: 'too many wants' });
    for (const address of dropped) {
      this.wants.dropAddress(address);
      this.delivery.forget(podResourceName(address));
      yield;
    }
    yield* this.wants.addAddresses(addresses);
    yield* this.wants.add(keys);
    this.delivery.flush();
  }

  private current(name: string): Sized | null {
    const parsed = parseResourceName(name);
    if (parsed === null) return null;
    const { catalogue } = this.deps;
    switch (parsed.kind) {
      case 'trust':
        return this.deps.trust();
      case 'workload':
        return this.deps.workload(this.peer);
      case 'pod':
        return this.wants.hasAddress(parsed.address) ? this.deps.podAt(parsed.address) : null;
      case 'places':
        return this.hasAllAddresses ? null : catalogue.places.resource();
      case 'address':
        return this.hasAllAddresses || this.wants.needsAddress(parsed.key) ? catalogue.address(parsed.key, this.peer.namespace) : null;
      case 'endpoints':
        return this.wants.needsEndpoints(parsed.key) ? catalogue.endpoints(parsed.key) : null;
      case 'service':
        return this.wants.has(parsed.key) ? catalogue.service(parsed.key, this.peer.namespace) : null;
    }
  }

  private touched(name: string): void {
    this.delivery.touch(name);
    this.noteStanding(name);
  }

  private noteStanding(name: string): void {
    if (this.isOver || !name.startsWith(SERVICE_RULES)) return;
    const key = name.slice(SERVICE_RULES.length);
    if (this.wants.has(key)) this.deps.onStanding(this, key);
  }

  private isDropped(name: string): boolean {
    const parsed = parseResourceName(name);
    return parsed?.kind === 'pod' && !this.wants.hasAddress(parsed.address);
  }
}

function signingOf(leaf: LeafReport | undefined): string {
  return leaf?.signing.slice(0, LONGEST_SIGNING) ?? '';
}
