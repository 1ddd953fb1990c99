// Brings each change of the objects to the sidecars that it concerns, and knows what each of them runs.
import type { Ack, CallReport, Hello, SubscribeResponse, TrustBundle } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { PodAddress, Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { AppliedOn } from '#core/contract/view.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { RouteParentStatus, Translation } from '../translate/service.ts';
import { Catalogue } from './catalogue.ts';
import { parseResourceName, podResource, resourceName, type Sized, TRUST, trustResource, WORKLOAD, workloadResource } from './resources.ts';
import { Rounds } from './rounds.ts';
import { Siblings } from './siblings.ts';
import { type Peer, type Standing, Subscriber } from './subscriber.ts';

/** Services and addresses that one sidecar may want: more than it ever does (sidecar/control/wants.ts, sidecar/outbound/pod-addresses.ts), or it could never come back. */
export const MOST_WANTS = 20_000;
/** So many Services it is given because its siblings use them; the rest is for what it wants itself. */
const MOST_OFFERED = 5_000;
// Translating many Services in one go would leave the streams unserved meanwhile.
const SLICE_MS = 20;

export interface PublisherSettings {
  /** The pure function over the objects as they are when it is called. */
  readonly translate: (key: string) => Translation;
  /** The pod as its sidecar should know it; undefined: nothing is known of such a pod. Asked again after workloadsChanged(). */
  readonly workloadOf: (peer: Peer) => Workload | undefined;
  readonly trust: () => TrustBundle;
  /** Who is at an IP address, as it is when it is called. */
  readonly podAt: (address: string) => PodAddress;
  /** Called often; what it does must be little. */
  readonly onProgress?: (what: Progress) => void;
  readonly timers: Timers;
  readonly log: Logger;
}

/** `verdicts`: some routes are judged otherwise than before. `standing`: a sidecar came, went or answered. */
export type Progress = 'verdicts' | 'standing';

/** How a sidecar is told that its stream is over. */
export type Ending =
  | { readonly reason: 'replaced' }
  | { readonly reason: 'not its pod'; readonly detail: string }
  | { readonly reason: 'too many wants' }
  | { readonly reason: 'shutting down' };

export interface Line {
  send(response: SubscribeResponse): void;
  end(ending: Ending): void;
}

/** A route's verdict for one parentRef, and how many sidecars run it. */
export interface RouteState extends RouteParentStatus {
  /** Key of the Service that it is attached to. */
  readonly parent: string;
  readonly applied: AppliedOn;
}

const ON_NONE: AppliedOn = { want: 0, applied: 0, rejected: [] };

export interface PublisherCounters {
  /** Responses sent on streams that are over. */
  responses: number;
  /** By kind of resource. */
  readonly rejections: Record<string, number>;
  connects: number;
  rounds: number;
  /** From the beginning of the translation of each round until it was sent, in ms. */
  roundMs: number;
}

interface Connected {
  readonly subscriber: Subscriber;
  readonly line: Line;
}

/** What serves one stream: hand it the sidecar's messages; detach() when the stream is over, however it ended. */
export interface Connection {
  readonly subscriber: Subscriber;
  want(keys: readonly string[]): void;
  /** @returns the rejections that are new */
  acknowledge(ack: Ack): { name: string; version: string; reason: string }[];
  wantAddresses(addresses: readonly string[], dropped: readonly string[]): void;
  reportCalls(report: CallReport): void;
  detach(): void;
}

export class Publisher {
  readonly catalogue: Catalogue;
  readonly counters: PublisherCounters = { responses: 0, rejections: {}, connects: 0, rounds: 0, roundMs: 0 };
  private readonly settings: PublisherSettings;
  private readonly rounds: Rounds;
  private readonly siblings = new Siblings();
  private readonly connected = new Map<string, Connected>();
  private readonly workloads = new Map<string, Sized | null>();
  /** "namespace/pod" → its keys in `connected`; several only where certificates of different accounts claim one pod. */
  private readonly byPod = new Map<string, Set<string>>();
  private trust: Sized;
  private queue = new Set<string>();
  private changed = new Set<string>();
  private toldVerdicts = 0;
  private slicing = false;
  private roundBegan = 0;
  /** It has been closed: no sidecar is taken in any more. */
  closed = false;

  constructor(settings: PublisherSettings) {
    this.settings = settings;
    this.catalogue = new Catalogue(settings.translate, settings.log);
    this.rounds = new Rounds(settings.timers, (keys) => this.translateNext(keys));
    this.trust = trustResource(settings.trust());
  }

  /** Translates everything for the first time. Before this nobody should be served: what is not there yet would look removed. */
  async load(keys: Iterable<string>): Promise<void> {
    let sliceStart = performance.now();
    for (const key of keys) {
      this.catalogue.refresh(key);
      if (performance.now() - sliceStart < SLICE_MS) continue;
      await new Promise<void>((resolve) => setImmediate(resolve));
      sliceStart = performance.now();
    }
  }

  /** These Services may translate to something else now. The first change goes out at once, a burst in rounds. */
  servicesChanged(keys: Iterable<string>): void {
    this.rounds.add(keys);
  }

  /** workloadOf() may answer differently, for any pod. */
  workloadsChanged(): void {
    this.workloads.clear();
    for (const connected of [...this.connected.values()]) this.reviewWorkload(connected);
  }

  /** The same for one pod; costs what it touches. */
  podChanged(namespace: string, pod: string): void {
    for (const key of [...(this.byPod.get(`${namespace}/${pod}`) ?? [])]) {
      this.workloads.delete(key);
      this.reviewWorkload(this.connected.get(key)!);
    }
  }

  /** The same for the pods of a namespace. */
  namespaceChanged(namespace: string): void {
    for (const [key, connected] of [...this.connected]) {
      if (connected.subscriber.peer.namespace !== namespace) continue;
      this.workloads.delete(key);
      this.reviewWorkload(connected);
    }
  }

  /** A pod got a new certificate. @param notAfterMs Unix ms */
  certified(namespace: string, pod: string, notAfterMs: number): void {
    for (const key of this.byPod.get(`${namespace}/${pod}`) ?? []) {
      const { subscriber } = this.connected.get(key)!;
      subscriber.certificateNotAfterMs = Math.max(subscriber.certificateNotAfterMs, notAfterMs);
    }
  }

  /** Somebody else may be at these IP addresses now. */
  addressesChanged(addresses: readonly string[]): void {
    for (const { subscriber } of this.connected.values()) {
      let concerned = false;
      for (const address of addresses) if (subscriber.noteAddress(address)) concerned = true;
      if (concerned) subscriber.flush();
    }
  }

  trustChanged(): void {
    this.trust = trustResource(this.settings.trust());
    for (const { subscriber } of this.connected.values()) {
      subscriber.noteOwn(TRUST);
      subscriber.flush();
    }
  }

  /** Why this peer cannot be the pod that it names; null: it can, or the pod is not known. */
  refusalOf(peer: Peer): string | null {
    const workload = this.settings.workloadOf(peer);
    if (workload === undefined || workload.serviceAccount === peer.serviceAccount) return null;
    return `pod ${peer.namespace}/${peer.pod} runs as ServiceAccount ${workload.serviceAccount}, the certificate is of ${peer.serviceAccount}`;
  }

  /**
   * Takes a sidecar in; an older stream of the same pod ends. Its first response is sent before this returns.
   * @param certificateNotAfterMs Unix ms, of the certificate that opened the stream; 0: not known
   */
  connect(peer: Peer, hello: Hello, line: Line, certificateNotAfterMs = 0): Connection {
    const pod = podOf(peer);
    this.connected.get(pod)?.line.end({ reason: 'replaced' });
    this.counters.connects++;
    const workload = this.workloadName(peer);
    const wanted = new Set(hello.services);
    const offer = (key: string): void => {
      if (this.catalogue.exists(key) && wanted.size < hello.services.length + MOST_OFFERED) wanted.add(key);
    };
    // What it holds it goes on getting, also from a replica that does not know its siblings.
    for (const { name } of hello.held) {
      const held = parseResourceName(name);
      if (held?.kind === 'service') offer(held.key);
    }
    for (const key of this.siblings.of(workload)) offer(key);
    const surroundings = {
      catalogue: this.catalogue,
      workload: (of: Peer) => this.workload(of),
      trust: () => this.trust,
      podAt: (address: string) => podResource(this.settings.podAt(address)),
      now: () => this.settings.timers.now(),
    };
    const subscriber = new Subscriber(peer, hello, wanted, surroundings, (response) => line.send(response));
    subscriber.certificateNotAfterMs = certificateNotAfterMs;
    const connected: Connected = { subscriber, line };
    this.connected.set(pod, connected);
    const place = `${peer.namespace}/${peer.pod}`;
    const keys = this.byPod.get(place) ?? new Set();
    this.byPod.set(place, keys.add(pod));
    this.progress('standing');
    this.siblings.note(workload, wanted);
    return {
      subscriber,
      want: (keys) => {
        if (subscriber.wantedCount + keys.length > MOST_WANTS && countNew(subscriber, keys) + subscriber.wantedCount > MOST_WANTS) {
          line.end({ reason: 'too many wants' });
          return;
        }
        subscriber.want(keys);
        this.siblings.note(this.workloadName(peer), keys);
      },
      wantAddresses: (addresses, dropped) => {
        if (subscriber.wantedCount + addresses.length > MOST_WANTS) line.end({ reason: 'too many wants' });
        else subscriber.wantAddresses(addresses, dropped);
      },
      acknowledge: (ack) => {
        const rejections = subscriber.acknowledge(ack);
        this.progress('standing');
        return rejections;
      },
      reportCalls: (report) => subscriber.reportCalls(report),
      detach: () => {
        this.counters.responses += subscriber.responses;
        if (this.connected.get(pod) !== connected) return;
        this.connected.delete(pod);
        this.workloads.delete(pod);
        keys.delete(pod);
        if (keys.size === 0) this.byPod.delete(place);
        this.progress('standing');
      },
    };
  }

  /** How far a resource (`service/shop/payment`) has come. */
  appliedOn(name: string): AppliedOn {
    let want = 0;
    let applied = 0;
    const rejected: { pod: string; version: string; reason: string }[] = [];
    for (const { subscriber } of this.connected.values()) {
      const standing: Standing = subscriber.standing(name);
      if (standing.state === 'unwanted') continue;
      want++;
      if (standing.state === 'applied') applied++;
      else if (standing.state === 'rejected') rejected.push(rejectionBy(subscriber.peer, standing));
    }
    return { want, applied, rejected };
  }

  /** The same for every Service that a sidecar wants; costs what the sidecars want, not Services times sidecars. */
  appliedOnServices(): Map<string, AppliedOn> {
    const counts = new Map<string, { want: number; applied: number; rejected: { pod: string; version: string; reason: string }[] }>();
    for (const { subscriber } of this.connected.values()) {
      for (const key of subscriber.wanted()) {
        const standing = subscriber.standing(resourceName('service', key));
        if (standing.state === 'unwanted') continue;
        let count = counts.get(key);
        if (count === undefined) counts.set(key, (count = { want: 0, applied: 0, rejected: [] }));
        count.want++;
        if (standing.state === 'applied') count.applied++;
        else if (standing.state === 'rejected') count.rejected.push(rejectionBy(subscriber.peer, standing));
      }
    }
    return counts;
  }

  /** All routes with a Service for a parent, one state for each parentRef. */
  routeStates(): RouteState[] {
    const applied = this.appliedOnServices();
    return this.catalogue.statuses().map(({ parent, status }) => ({ ...status, parent, applied: applied.get(parent) ?? ON_NONE }));
  }

  /** The pod of a connected sidecar as it is known; null: not at all. */
  workloadOf(peer: Peer): Workload | null {
    const body = this.workload(peer)?.resource.body;
    return body?.case === 'workload' ? body.value : null;
  }

  /** The connected sidecars. */
  sidecars(): readonly Subscriber[] {
    return [...this.connected.values()].map(({ subscriber }) => subscriber);
  }

  /** Ends all streams: the sidecars look for another replica and keep what they have. */
  close(): void {
    this.closed = true;
    this.rounds.stop();
    for (const { line } of [...this.connected.values()]) line.end({ reason: 'shutting down' });
  }

  private workload(peer: Peer): Sized | null {
    const pod = podOf(peer);
    let sized = this.workloads.get(pod);
    if (sized === undefined) {
      const workload = this.settings.workloadOf(peer);
      this.workloads.set(pod, (sized = workload === undefined ? null : workloadResource(workload)));
    }
    return sized;
  }

  private workloadName(peer: Peer): string {
    return `${peer.namespace}/${this.workloadOf(peer)?.name || peer.pod}`;
  }

  private translateNext(keys: ReadonlySet<string>): void {
    for (const key of keys) this.queue.add(key);
    if (this.slicing) return;
    this.roundBegan = performance.now();
    this.slice();
  }

  /** Sidecars hear of a round when all of it is translated: a route never comes before the backend that was saved with it. */
  private slice(): void {
    if (this.closed) return;
    this.slicing = true;
    const start = performance.now();
    for (const key of this.queue) {
      this.queue.delete(key);
      if (this.catalogue.refresh(key)) this.changed.add(key);
      if (performance.now() - start >= SLICE_MS) break;
    }
    if (this.queue.size > 0) {
      this.settings.timers.after(0, () => this.slice());
      return;
    }
    this.slicing = false;
    const { changed } = this;
    this.changed = new Set();
    if (changed.size > 0) {
      this.counters.rounds++;
      for (const { subscriber } of this.connected.values()) {
        for (const key of changed) subscriber.noteService(key);
        subscriber.flush();
      }
      this.counters.roundMs += performance.now() - this.roundBegan;
    }
    // Also where no sidecar sees a difference.
    if (this.catalogue.verdicts === this.toldVerdicts) return;
    this.toldVerdicts = this.catalogue.verdicts;
    this.progress('verdicts');
  }

  private reviewWorkload({ subscriber, line }: Connected): void {
    const refusal = this.refusalOf(subscriber.peer);
    if (refusal !== null) {
      this.settings.log.warn('a sidecar is not of the pod that it says', { pod: podOf(subscriber.peer), reason: refusal });
      line.end({ reason: 'not its pod', detail: refusal });
      return;
    }
    subscriber.noteOwn(WORKLOAD);
    subscriber.flush();
  }

  private progress(what: Progress): void {
    this.settings.onProgress?.(what);
  }
}

/** `<namespace>/<pod>` with the ServiceAccount: another account's sidecar cannot take a pod's place. */
function podOf(peer: Peer): string {
  return `${peer.namespace}/${peer.pod} (${peer.serviceAccount})`;
}

function rejectionBy(peer: Peer, { version, reason }: { version: string; reason: string }) {
  return { pod: `${peer.namespace}/${peer.pod}`, version, reason };
}

function countNew(subscriber: Subscriber, keys: readonly string[]): number {
  const have = new Set(subscriber.wanted());
  return new Set(keys.filter((key) => !have.has(key))).size;
}
