// Brings each change of the objects to the sidecars that it concerns.
//
// One stream is three objects: SubscribeCall (serve.ts) speaks gRPC; Subscriber is the sidecar at its other end; the
// Publisher knows all Subscribers and hears what changes. A Subscriber reaches its SubscribeCall as a Line.
import type { Hello, TrustBundle } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { PodAddress, Workload } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { parseResourceName, TRUST_RESOURCE, WORKLOAD_RESOURCE } from '#core/contract/resource-names.ts';
import type { AppliedOn } from '#core/contract/view.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { Translation } from '../translate/service.ts';
import { Catalogue } from './catalogue.ts';
import { Connected, identityOf, podOf } from './connected.ts';
import { podResource, type Sized, trustResource, workloadResource } from './resources.ts';
import { Rounds } from './rounds.ts';
import { Siblings } from './siblings.ts';
import {
  appliedOn,
  type RouteState,
  routeStates,
  ServiceCounts,
  type ServiceStanding,
  type TrustProgress,
  trustProgress,
} from './standings.ts';
import { type Line, type Peer, Subscriber, type SubscriberDeps } from './subscriber.ts';
import { Translating } from './translating.ts';
import { Turns, type Work } from './turns.ts';

/**
 * So many Services it is given because its siblings use them; the rest of MOST_WANTED is left for what it wants itself.
 */
const MOST_OFFERED = 5_000;

export interface PublisherDeps {
  /** The pure function over the objects as they are when it is called. */
  readonly translate: (key: string) => Translation;
  /**
   * The pod as its sidecar should know it; undefined: nothing is known of such a pod. Asked again after
   * workloadsChanged().
   */
  readonly workloadOf: (peer: Peer) => Workload | undefined;
  /** The uid of a pod "<namespace>/<name>" as it is known; undefined: it has none, or the pod is not known. */
  readonly podUidOf?: (pod: string) => string | undefined;
  readonly trust: () => TrustBundle;
  /** The pod at an IP address, as it is when it is called. */
  readonly podAt: (address: string) => PodAddress;
  /** Called often; what it does must be little. */
  readonly onProgress?: (what: Progress) => void;
  readonly timers: Timers;
  /** Monotonic ms: how long something took. */
  readonly elapsedMs: () => number;
  readonly log: Logger;
}

/** `unknown`: such a pod may be reported a moment later. */
export type PodVerdict = { readonly is: 'accepted' } | { readonly is: 'unknown' | 'refused'; readonly reason: string };

/** `verdicts`: some routes are judged otherwise than before. `standing`: a sidecar came, went or answered. */
export type Progress = 'verdicts' | 'standing';

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

export class Publisher {
  readonly catalogue: Catalogue;
  readonly counters: PublisherCounters = { responses: 0, rejections: {}, connects: 0, rounds: 0, roundMs: 0 };
  private readonly deps: PublisherDeps;
  private readonly subscriberDeps: SubscriberDeps;
  private readonly turns: Turns;
  private readonly rounds: Rounds;
  private readonly translating: Translating;
  private readonly siblings = new Siblings();
  private readonly connected = new Connected();
  private readonly counts = new ServiceCounts((key) => this.catalogue.version(key));
  /** Of connected sidecars, by identityOf(); null: nothing is known of the pod. */
  private readonly workloads = new Map<string, Sized | null>();
  private trust: Sized;
  private seenVerdicts = 0;
  private changedAddresses = new Set<string>();
  /** It has been closed: no sidecar is taken in any more. */
  closed = false;

  constructor(deps: PublisherDeps) {
    this.deps = deps;
    const { timers, elapsedMs } = deps;
    this.catalogue = new Catalogue(deps.translate, deps.log);
    this.turns = new Turns(timers, elapsedMs);
    const { catalogue, turns } = this;
    this.translating = new Translating({ catalogue, turns, elapsedMs, onRound: (changed, beganMs) => this.finishRound(changed, beganMs) });
    this.rounds = new Rounds(timers, (keys) => this.translating.add(keys));
    this.trust = trustResource(deps.trust());
    this.subscriberDeps = {
      catalogue,
      workload: (peer) => this.workload(peer),
      trust: () => this.trust,
      podAt: (address) => podResource(deps.podAt(address)),
      now: () => timers.now(),
      work: (work) => turns.add(work),
      onWanted: (peer, keys) => this.siblings.note(this.workloadName(peer), keys),
      onStanding: (subscriber, key) => this.counts.note(subscriber, key),
      onAcknowledged: () => this.progress('standing'),
      onDetached: (subscriber) => this.forget(subscriber),
    };
  }

  /**
   * Translates everything for the first time. Before this no sidecar may be served: what is not there yet would look
   * removed.
   */
  load(keys: Iterable<string>): Promise<void> {
    return this.translating.load(keys);
  }

  /** These Services may translate to something else now. The first change goes out at once, a burst in rounds. */
  servicesChanged(keys: Iterable<string>): void {
    this.rounds.add(keys);
  }

  /** workloadOf() may answer differently, for any pod. */
  workloadsChanged(): void {
    this.turns.add(this.toEach((subscriber) => this.reviewWorkload(subscriber)));
  }

  /** The same for one pod; costs what it touches. */
  podChanged(namespace: string, pod: string): void {
    for (const subscriber of this.connected.ofPod(`${namespace}/${pod}`)) this.reviewWorkload(subscriber);
  }

  /** The same for the pods of a namespace. */
  namespaceChanged(namespace: string): void {
    this.turns.add(
      this.toEach((subscriber) => {
        if (subscriber.peer.namespace === namespace) this.reviewWorkload(subscriber);
      }),
    );
  }

  /** A pod got a new certificate. @param notAfterMs Unix ms */
  certified(namespace: string, pod: string, notAfterMs: number): void {
    for (const subscriber of this.connected.ofPod(`${namespace}/${pod}`)) subscriber.certified(notAfterMs);
  }

  /** Other pods may be at these IP addresses now. */
  addressesChanged(addresses: ReadonlySet<string>): void {
    const isQueued = this.changedAddresses.size > 0;
    for (const address of addresses) this.changedAddresses.add(address);
    if (!isQueued && this.changedAddresses.size > 0) this.turns.add(this.reviewAddresses());
  }

  /** trust() answers differently. */
  trustChanged(): void {
    this.trust = trustResource(this.deps.trust());
    this.turns.add(this.toEach((subscriber) => subscriber.ownChanged(TRUST_RESOURCE)));
  }

  /** Whether this peer is the pod that it names (decision 19). */
  judge(peer: Peer): PodVerdict {
    const workload = this.deps.workloadOf(peer);
    if (workload === undefined) return { is: 'unknown', reason: `pod ${podOf(peer)} is not known` };
    if (workload.serviceAccount !== peer.serviceAccount) {
      const { serviceAccount: runsAs } = workload;
      return { is: 'refused', reason: `pod ${podOf(peer)} runs as ServiceAccount ${runsAs}, the certificate is of ${peer.serviceAccount}` };
    }
    const { podUid = '' } = peer;
    const known = this.deps.podUidOf?.(podOf(peer)) ?? '';
    // A pod of the same name came after the one that the certificate was issued to, or is not known here yet.
    if (podUid !== '' && known !== '' && podUid !== known)
      return { is: 'unknown', reason: `pod ${podOf(peer)} has the uid ${known}, the certificate is of ${podUid}` };
    return { is: 'accepted' };
  }

  /**
   * Whether this peer, which is accepted, may take the place of the stream that its pod has: a certificate that names no
   * pod is any of its ServiceAccount's pods.
   */
  mayConnect(peer: Peer): boolean {
    const other = this.connected.get(peer)?.peer;
    if (other === undefined) return true;
    const { podUid = '' } = peer;
    return podUid !== '' && (other.podUid === undefined || other.podUid === podUid || this.deps.podUidOf?.(podOf(peer)) === podUid);
  }

  /**
   * Takes a sidecar in; an older stream of the same pod ends. Its first response is sent before this returns, unless
   * there is more to do than fits into a turn.
   * @param certificateNotAfterMs Unix ms, of the certificate that opened the stream; 0: not known
   */
  connect(peer: Peer, hello: Hello, line: Line, certificateNotAfterMs = 0): Subscriber {
    this.connected.get(peer)?.end({ reason: 'replaced' });
    this.counters.connects++;
    const subscriber = new Subscriber(peer, hello, certificateNotAfterMs, line, this.subscriberDeps);
    this.connected.add(subscriber);
    this.progress('standing');
    subscriber.does(this.greet(subscriber, hello));
    return subscriber;
  }

  /** How far a resource (`service/shop/payment`) has come. */
  appliedOn(name: string): AppliedOn {
    return appliedOn(this.connected.all(), name);
  }

  /** How far the roots and the leaves of an authority that signs now have come. */
  trustProgress(): TrustProgress {
    const { body } = this.trust.resource;
    return trustProgress(this.connected.all(), this.trust.resource, body.case === 'trust' ? body.value.signing : '');
  }

  /** The same for every Service that a sidecar wants, by its key. */
  standings(): ReadonlyMap<string, ServiceStanding> {
    return this.counts.all();
  }

  /** All routes with a Service for a parent, one state for each parentRef. */
  routeStates(): RouteState[] {
    return routeStates(this.catalogue.statuses(), this.counts.all());
  }

  /** The pod of a connected sidecar as it is known; null: not at all. */
  workloadOf(peer: Peer): Workload | null {
    const body = this.workload(peer)?.resource.body;
    return body?.case === 'workload' ? body.value : null;
  }

  /** The connected sidecars. */
  sidecars(): readonly Subscriber[] {
    return this.connected.all();
  }

  /** Ends all streams: the sidecars look for another replica and keep what they have. */
  close(): void {
    this.closed = true;
    this.rounds.stop();
    this.turns.stop();
    for (const subscriber of this.connected.all()) subscriber.end({ reason: 'shutting down' });
  }

  private *greet(subscriber: Subscriber, hello: Hello): Work {
    const workload = this.workloadName(subscriber.peer);
    const wanted = new Set<string>();
    yield* this.wantedBy(hello, workload, wanted);
    yield* subscriber.greet(hello, wanted);
    this.siblings.note(workload, wanted);
  }

  /**
   * What a new sidecar asks for, what it holds (also at a replica that does not know its siblings), and what its
   * siblings use.
   */
  private *wantedBy(hello: Hello, workload: string, wanted: Set<string>): Work {
    for (const key of hello.services) {
      wanted.add(key);
      yield;
    }
    const offer = (key: string): void => {
      if (this.catalogue.exists(key) && wanted.size < hello.services.length + MOST_OFFERED) wanted.add(key);
    };
    for (const { name } of hello.held) {
      const held = parseResourceName(name);
      if (held?.kind === 'service') offer(held.key);
      yield;
    }
    for (const key of this.siblings.of(workload)) {
      offer(key);
      yield;
    }
  }

  private *toEach(then: (subscriber: Subscriber) => void): Work {
    for (const subscriber of this.connected.all()) {
      if (this.connected.get(subscriber.peer) === subscriber) then(subscriber);
      yield;
    }
  }

  private *reviewAddresses(): Work {
    const changed = this.changedAddresses;
    this.changedAddresses = new Set();
    yield* this.toEach((subscriber) => subscriber.addressesChanged(changed));
  }

  private forget(subscriber: Subscriber): void {
    this.counters.responses += subscriber.delivery.responses;
    this.counts.forget(subscriber);
    if (!this.connected.remove(subscriber)) return;
    this.workloads.delete(identityOf(subscriber.peer));
    this.progress('standing');
  }

  private workload(peer: Peer): Sized | null {
    const identity = identityOf(peer);
    let sized = this.workloads.get(identity);
    if (sized === undefined) {
      const workload = this.deps.workloadOf(peer);
      this.workloads.set(identity, (sized = workload === undefined ? null : workloadResource(workload)));
    }
    return sized;
  }

  private workloadName(peer: Peer): string {
    return `${peer.namespace}/${this.workloadOf(peer)?.name || peer.pod}`;
  }

  /**
   * Sidecars hear of a round when all of it is translated: a route never comes before the backend that was saved with
   * it.
   */
  private *finishRound(changed: ReadonlySet<string>, beganMs: number): Work {
    // Also where no sidecar sees a difference.
    if (this.catalogue.verdicts !== this.seenVerdicts) {
      this.seenVerdicts = this.catalogue.verdicts;
      this.progress('verdicts');
    }
    if (changed.size === 0) return;
    this.counters.rounds++;
    for (const subscriber of this.connected.all()) {
      yield* subscriber.servicesChanged(changed);
      yield;
    }
    this.counters.roundMs += this.deps.elapsedMs() - beganMs;
  }

  private reviewWorkload(subscriber: Subscriber): void {
    const { peer } = subscriber;
    const wasKnown = this.workload(peer) !== null;
    this.workloads.delete(identityOf(peer));
    const verdict = this.judge(peer);
    if (verdict.is === 'refused' || (verdict.is === 'unknown' && wasKnown)) {
      this.deps.log.warn('a sidecar is not of the pod that it says', { pod: identityOf(peer), reason: verdict.reason });
      subscriber.end({ reason: 'not its pod', detail: verdict.reason });
      return;
    }
    subscriber.ownChanged(WORKLOAD_RESOURCE);
  }

  private progress(what: Progress): void {
    this.deps.onProgress?.(what);
  }
}
