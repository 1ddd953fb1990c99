// One sidecar's end of the configuration stream, without the stream: what it wants, what it has, what goes out next.
import { create } from '@bufbuild/protobuf';
import {
  type Ack,
  type CallReport,
  type Hello,
  type Resource,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from '#core/contract/gen/weft/v1/config_pb.ts';
import { neededBy } from '../scope.ts';
import { ReportedCalls } from './call-reports.ts';
import type { Catalogue } from './catalogue.ts';
import {
  addressOfPodResource,
  inOrder,
  parseResourceName,
  podResourceName,
  resourceName,
  type Sized,
  TRUST,
  WORKLOAD,
} from './resources.ts';

/** Who is at the other end, as its certificate says; the pod as it says itself. */
export interface Peer {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
}

/** What a sidecar may be sent besides Services. */
export interface Surroundings {
  readonly catalogue: Catalogue;
  /** Null: nothing is known of the pod (yet). */
  workload(peer: Peer): Sized | null;
  trust(): Sized;
  /** Who is at an IP address. */
  podAt(address: string): Sized;
  /** Unix ms. */
  now(): number;
}

/** A resource as it stands with one sidecar. `unwanted`: it does not get this resource. */
export type Standing =
  | { readonly state: 'unwanted' | 'pending' | 'applied' }
  | { readonly state: 'rejected'; readonly version: string; readonly reason: string };

interface Flight {
  readonly nonce: string;
  readonly sent: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
  /** Service that is sent → the Services whose endpoints this version needs. */
  readonly needs: ReadonlyMap<string, readonly string[]>;
}

/** A response larger than this is cut in several, each after the ACK of the one before. A single resource goes out whatever its size. */
export const RESPONSE_BYTES = 1024 * 1024;
const LONGEST_REASON = 1000;
const LONGEST_VERSION = 64;

/**
 * At most one response is under way; what changes meanwhile is only a name in a set, looked up when the next one is made. So a slow
 * sidecar costs its set of names and gets the latest version of each.
 */
export class Subscriber {
  readonly peer: Peer;
  /** Responses sent, for the record. */
  responses = 0;
  /** Weft's version in the sidecar, as it says itself. */
  readonly version: string;
  /** Unix ms. */
  readonly connectedSinceMs: number;
  /** Unix ms; 0: it has acknowledged nothing yet. */
  lastAckMs = 0;
  /** Unix ms: when the response was sent that it has not acknowledged; 0: there is none. */
  sentMs = 0;
  /** Unix ms: end of the newest certificate that is known of; 0: none is. */
  certificateNotAfterMs = 0;
  /** Calls of it whose traces are worth a look. */
  readonly calls = new ReportedCalls();
  private readonly surroundings: Surroundings;
  private readonly send: (response: SubscribeResponse) => void;
  /** Wanted Service → the Services whose endpoints its newest version needs. */
  private readonly wants = new Map<string, readonly string[]>();
  /** The same for the version that the sidecar runs: it goes on with it when it refuses the newest, so these endpoints stay until the newest is in force. */
  private readonly running = new Map<string, readonly string[]>();
  /** How many Services of the two maps need the endpoints of this one. */
  private readonly users = new Map<string, number>();
  /** Resource → version that the sidecar has. */
  private readonly inForce: Map<string, string>;
  /** IP addresses that it sends to directly. */
  private readonly addresses: Set<string>;
  private readonly rejections = new Map<string, { version: string; reason: string }>();
  private readonly stale = new Set<string>();
  private readonly missing = new Set<string>();
  private readonly toldMissing = new Set<string>();
  private flight: Flight | null = null;

  /** Sends the first response at once, an empty one if the sidecar holds everything already: it then knows that it is up to date. */
  constructor(peer: Peer, hello: Hello, wanted: Iterable<string>, surroundings: Surroundings, send: (response: SubscribeResponse) => void) {
    this.peer = peer;
    this.surroundings = surroundings;
    this.version = hello.version.slice(0, LONGEST_VERSION);
    this.connectedSinceMs = surroundings.now();
    this.send = send;
    this.inForce = new Map(hello.held.map(({ name, version }) => [name, version]));
    this.addresses = new Set(hello.addresses);
    for (const address of this.addresses) this.stale.add(podResourceName(address));
    for (const name of [TRUST, WORKLOAD, ...this.inForce.keys()]) this.stale.add(name);
    for (const key of surroundings.catalogue.keys()) this.stale.add(resourceName('address', key));
    for (const key of wanted) this.addWant(key);
    this.assumeRunning();
    this.sendNext(true);
  }

  /** Services it has asked for or was given because its siblings use them. */
  wanted(): Iterable<string> {
    return this.wants.keys();
  }

  get wantedCount(): number {
    return this.wants.size + this.addresses.size;
  }

  /** It sends to these addresses from now on, and to those not any more: it has forgotten what it knew of them. */
  wantAddresses(addresses: Iterable<string>, dropped: Iterable<string>): void {
    for (const address of dropped) {
      this.addresses.delete(address);
      this.inForce.delete(podResourceName(address));
    }
    for (const address of addresses) {
      this.addresses.add(address);
      this.stale.add(podResourceName(address));
    }
    this.flush();
  }

  /** Somebody else may be at this address now. @returns whether that concerns this sidecar */
  noteAddress(address: string): boolean {
    if (!this.addresses.has(address)) return false;
    this.stale.add(podResourceName(address));
    return true;
  }

  /** It sends to these from now on. They go out at once, if nothing is under way. */
  want(keys: Iterable<string>): void {
    for (const key of keys) if (!this.wants.has(key)) this.addWant(key);
    this.flush();
  }

  /** It tells of calls to Services that it wants. */
  reportCalls(report: CallReport): void {
    this.calls.take(report, (service) => this.wants.has(service), this.surroundings.now());
  }

  /** A Service was translated anew (or came, or went): notes what of it this sidecar gets. */
  noteService(key: string): void {
    this.stale.add(resourceName('address', key));
    if (this.wants.has(key)) this.look(key);
    if (this.users.has(key)) this.stale.add(resourceName('endpoints', key));
  }

  /** The trust bundle or the pod's own workload may be different. */
  noteOwn(name: typeof WORKLOAD | typeof TRUST): void {
    this.stale.add(name);
  }

  /** Sends what is different, unless a response is under way: then it follows the ACK. */
  flush(): void {
    this.sendNext(false);
  }

  /** @returns the rejections that are new */
  acknowledge(ack: Ack): { name: string; version: string; reason: string }[] {
    const { flight } = this;
    if (flight === null || ack.nonce !== flight.nonce) return [];
    this.flight = null;
    this.sentMs = 0;
    this.lastAckMs = this.surroundings.now();
    const fresh: { name: string; version: string; reason: string }[] = [];
    const refused = new Set<string>();
    for (const { name, reason } of ack.rejected) {
      const version = flight.sent.get(name);
      if (version === undefined) continue;
      refused.add(name);
      const rejection = { version, reason: reason.slice(0, LONGEST_REASON) };
      this.rejections.set(name, rejection);
      fresh.push({ name, ...rejection });
    }
    for (const [name, version] of flight.sent) {
      // What was dropped while it was on its way is forgotten there.
      const address = addressOfPodResource(name);
      if (refused.has(name) || (address !== null && !this.addresses.has(address))) continue;
      this.inForce.set(name, version);
      this.rejections.delete(name);
      const needs = flight.needs.get(name);
      if (needs !== undefined) this.runs(name, needs);
    }
    for (const name of flight.removed) {
      this.inForce.delete(name);
      this.rejections.delete(name);
      this.runs(name, []);
    }
    this.flush();
    return fresh;
  }

  standing(name: string): Standing {
    const wanted = this.current(name);
    if (wanted === null) return { state: 'unwanted' };
    const { version } = wanted.resource;
    if (this.inForce.get(name) === version) return { state: 'applied' };
    const rejection = this.rejections.get(name);
    return rejection?.version === version ? { state: 'rejected', ...rejection } : { state: 'pending' };
  }

  /** Resources whose latest version it refused. */
  rejected(): { name: string; version: string; reason: string }[] {
    const names = [...this.rejections.keys()].sort();
    return names.flatMap((name) => {
      const standing = this.standing(name);
      return standing.state === 'rejected' ? [{ name, version: standing.version, reason: standing.reason }] : [];
    });
  }

  /** How many resources it has, and how many are on their way to it or wait for their turn. */
  get counts(): { readonly inForce: number; readonly pending: number } {
    return { inForce: this.inForce.size, pending: (this.flight?.sent.size ?? 0) + this.stale.size };
  }

  /** For people: versions in force and what was refused. */
  dump(): { inForce: Record<string, string>; rejected: Record<string, { version: string; reason: string }>; underWay: string[] } {
    return {
      inForce: Object.fromEntries([...this.inForce].sort()),
      rejected: Object.fromEntries([...this.rejections].sort()),
      underWay: [...(this.flight?.sent.keys() ?? [])],
    };
  }

  private addWant(key: string): void {
    this.wants.set(key, []);
    this.look(key);
  }

  /** Brings the needs of a wanted Service in line with its present rules. */
  private look(key: string): void {
    const scoped = this.surroundings.catalogue.service(key, this.peer.namespace);
    const before = this.wants.get(key)!;
    const after = scoped?.needs ?? [];
    this.use(before, after);
    this.wants.set(key, after);
    this.stale.add(resourceName('service', key));
    if (scoped !== null) {
      this.missing.delete(key);
      this.toldMissing.delete(key);
    } else if (!this.toldMissing.has(key)) this.missing.add(key);
  }

  /** What the sidecar brought along: a version that is not the newest may need any of the endpoints that it holds. */
  private assumeRunning(): void {
    const names = [...this.inForce.keys()];
    const held = names.map(parseResourceName).flatMap((name) => (name?.kind === 'endpoints' ? [name.key] : []));
    for (const name of names) {
      const parsed = parseResourceName(name);
      if (parsed?.kind !== 'service') continue;
      const newest = this.surroundings.catalogue.service(parsed.key, this.peer.namespace);
      this.runs(name, newest?.resource.resource.version === this.inForce.get(name) ? newest!.needs : held);
    }
  }

  /** The sidecar runs a version of this Service that needs these endpoints; none: it does not have it any more. */
  private runs(service: string, needs: readonly string[]): void {
    this.use(this.running.get(service) ?? [], needs);
    if (needs.length > 0) this.running.set(service, needs);
    else this.running.delete(service);
  }

  private use(before: readonly string[], after: readonly string[]): void {
    for (const need of after) this.users.set(need, (this.users.get(need) ?? 0) + 1);
    for (const need of before) {
      const left = this.users.get(need)! - 1;
      if (left === 0) this.users.delete(need);
      else this.users.set(need, left);
    }
    for (const need of [...before, ...after]) this.stale.add(resourceName('endpoints', need));
  }

  /** The resource as this sidecar should have it; null: it should not. */
  private current(name: string): Sized | null {
    if (name === TRUST) return this.surroundings.trust();
    if (name === WORKLOAD) return this.surroundings.workload(this.peer);
    const address = addressOfPodResource(name);
    if (address !== null) return this.addresses.has(address) ? this.surroundings.podAt(address) : null;
    const parsed = parseResourceName(name);
    if (parsed === null) return null;
    const { catalogue } = this.surroundings;
    if (parsed.kind === 'address') return catalogue.address(parsed.key, this.peer.namespace);
    if (parsed.kind === 'endpoints') return this.users.has(parsed.key) ? catalogue.endpoints(parsed.key) : null;
    return this.wants.has(parsed.key) ? (catalogue.service(parsed.key, this.peer.namespace)?.resource ?? null) : null;
  }

  private sendNext(evenIfEmpty: boolean): void {
    if (this.flight !== null) return;
    const { resources, removed } = this.takeStale();
    const absent = [...this.missing];
    if (!evenIfEmpty && resources.length === 0 && removed.length === 0 && absent.length === 0) return;
    for (const key of absent) this.toldMissing.add(key);
    this.missing.clear();
    const nonce = String(++this.responses);
    const needs = new Map<string, readonly string[]>();
    for (const { name, body } of resources) {
      if (body.case === 'service') needs.set(name, neededBy(body.value));
    }
    this.flight = { nonce, sent: new Map(resources.map(({ name, version }) => [name, version])), removed, needs };
    this.sentMs = this.surroundings.now();
    this.send(create(SubscribeResponseSchema, { nonce, resources, removed, absent }));
  }

  /** What differs from what the sidecar has, as much as fits. Removals go with the last part: nothing leaves before its successor is there. */
  private takeStale(): { resources: Resource[]; removed: string[] } {
    const different: Sized[] = [];
    const removed: string[] = [];
    for (const name of this.stale) {
      const sized = this.current(name);
      if (sized === null) {
        // A pod that is not known yet is no reason to take the sidecar's own configuration away.
        if (name !== WORKLOAD && this.inForce.has(name)) removed.push(name);
        this.rejections.delete(name);
      } else if (this.inForce.get(name) === sized.resource.version) this.rejections.delete(name);
      else if (this.rejections.get(name)?.version !== sized.resource.version) different.push(sized);
    }
    this.stale.clear();
    different.sort((a, b) => inOrder(a.resource, b.resource));
    const resources: Resource[] = [];
    let bytes = 0;
    let index = 0;
    for (; index < different.length; index++) {
      bytes += different[index]!.bytes;
      if (bytes > RESPONSE_BYTES && index > 0) break;
      resources.push(different[index]!.resource);
    }
    if (index === different.length) return { resources, removed: removed.sort() };
    for (const { resource } of different.slice(index)) this.stale.add(resource.name);
    for (const name of removed) this.stale.add(name);
    return { resources, removed: [] };
  }
}
