// One connected sidecar: its identity, what it wants, what it has been sent, what it reports. The gRPC stream is behind
// a Line.
import type { Ack, CallReport, Hello, LeafReport, SubscribeResponse } from '#core/contract/gen/weft/v1/config_pb.ts';
import {
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

  /**
   * Sends the first response at once, an empty one if the sidecar holds everything already.
   * @param wanted Services that it asks for in its hello, and those that it is given besides
   * @param certificateNotAfterMs Unix ms, of the certificate that opened the stream; 0: not known
   */
  constructor(peer: Peer, hello: Hello, wanted: Iterable<string>, certificateNotAfterMs: number, line: Line, deps: SubscriberDeps) {
    this.peer = peer;
    this.version = hello.version.slice(0, LONGEST_VERSION);
    this.connectedSinceMs = deps.now();
    this.certificateNotAfterMs = certificateNotAfterMs;
    this.signing = signingOf(hello.leaf);
    this.line = line;
    this.deps = deps;
    // The closures below must not keep the hello: it is as long as what the sidecar holds.
    const { deltas } = hello;
    const held = new Map(hello.held.map(({ name, version }) => [name, version]));
    this.wants = new Wanted(deps.catalogue, peer.namespace, (name) => this.touched(name));
    this.delivery = new Delivery(
      {
        current: (name) => this.current(name),
        since: (name, version) => (deltas && name.startsWith(ENDPOINTS) ? this.endpointsSince(name, version) : null),
        isDropped: (name) => this.isDropped(name),
        takeAbsent: () => this.wants.takeAbsent(),
        now: () => deps.now(),
        send: (response) => line.send(response),
      },
      held,
    );
    this.delivery.touch(TRUST_RESOURCE);
    this.delivery.touch(WORKLOAD_RESOURCE);
    for (const key of deps.catalogue.keys()) this.delivery.touch(serviceResourceName('address', key));
    this.wants.addAddresses(hello.addresses);
    this.wants.add(wanted);
    this.wants.assumeRunning(held);
    this.delivery.begin();
  }

  /** It sends to these Services from now on. They go out at once, if nothing is under way. */
  want(keys: readonly string[]): void {
    if (!this.wants.hasRoomFor(keys, [])) return this.line.end({ reason: 'too many wants' });
    this.wants.add(keys);
    this.delivery.flush();
    this.deps.onWanted(this.peer, keys);
  }

  /** It sends to these addresses from now on, and no longer to those: it has forgotten what it knew of them. */
  wantAddresses(addresses: readonly string[], dropped: readonly string[]): void {
    if (!this.wants.hasRoomFor([], addresses)) return this.line.end({ reason: 'too many wants' });
    for (const address of dropped) {
      this.wants.dropAddress(address);
      this.delivery.forget(podResourceName(address));
    }
    this.wants.addAddresses(addresses);
    this.delivery.flush();
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
  servicesChanged(keys: Iterable<string>): void {
    for (const key of keys) this.wants.noteService(key);
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
    this.deps.onDetached(this);
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
      case 'address':
        return catalogue.address(parsed.key, this.peer.namespace);
      case 'endpoints':
        return this.wants.needsEndpoints(parsed.key) ? catalogue.endpoints(parsed.key) : null;
      case 'service':
        return this.wants.has(parsed.key) ? catalogue.service(parsed.key, this.peer.namespace) : null;
    }
  }

  private endpointsSince(name: string, version: string): Sized | null {
    return this.deps.catalogue.endpointsSince(name.slice(ENDPOINTS.length), version);
  }

  private touched(name: string): void {
    this.delivery.touch(name);
    this.noteStanding(name);
  }

  private noteStanding(name: string): void {
    if (!name.startsWith(SERVICE_RULES)) return;
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
