// How far resources have come, counted over the connected sidecars.
import type { Resource } from '#core/contract/gen/weft/v1/config_pb.ts';
import { serviceResourceName } from '#core/contract/resource-names.ts';
import type { AppliedOn } from '#core/contract/view.ts';
import type { RouteParentStatus } from '../translate/service.ts';
import { podOf } from './connected.ts';
import type { Standing } from './delivery.ts';
import type { Peer, Subscriber } from './subscriber.ts';

/** A route's verdict for one parentRef, and how many sidecars run it. */
export interface RouteState extends RouteParentStatus {
  /** Key of the Service that it is attached to. */
  readonly parent: string;
  /** Of that Service with all its routes: see Catalogue.version(). */
  readonly version: string;
  readonly applied: AppliedOn;
}

/** How the sidecars that want a Service stand with one version of it. */
export interface ServiceStanding {
  readonly version: string;
  readonly applied: AppliedOn;
}

const ON_NONE: AppliedOn = { want: 0, applied: 0, rejected: [] };

interface Count {
  want: number;
  applied: number;
  readonly rejected: { readonly pod: string; readonly version: string; readonly reason: string }[];
}

function count(into: Count, peer: Peer, standing: Standing): void {
  if (standing.state === 'unwanted') return;
  into.want++;
  if (standing.state === 'applied') into.applied++;
  else if (standing.state === 'rejected') into.rejected.push({ pod: podOf(peer), version: standing.version, reason: standing.reason });
}

/** @param name of a resource, such as `service/shop/payment` */
export function appliedOn(sidecars: readonly Subscriber[], name: string): AppliedOn {
  const counted: Count = { want: 0, applied: 0, rejected: [] };
  for (const { peer, delivery } of sidecars) count(counted, peer, delivery.standing(name));
  return counted;
}

const MOST_NAMED = 3;

/** How far the roots have come, and how many sidecars have a leaf of another authority than the one that signs. */
export interface TrustProgress {
  /** Of the resource that is sent now. */
  readonly version: string;
  readonly connected: number;
  /** Those that do not run it, some of them by name. */
  readonly behind: number;
  readonly behindPods: readonly string[];
  /** Those whose leaf is not known to be of the authority that signs now, likewise. */
  readonly old: number;
  readonly oldPods: readonly string[];
}

/** @param trust as it is sent now @param signing Authority.id */
export function trustProgress(sidecars: readonly Subscriber[], trust: Resource, signing: string): TrustProgress {
  const behindPods = sidecars.flatMap(({ delivery, peer }) => (delivery.standing(trust.name).state === 'applied' ? [] : [podOf(peer)]));
  const oldPods = sidecars.flatMap((sidecar) => (sidecar.signing === signing ? [] : [podOf(sidecar.peer)]));
  return {
    version: trust.version,
    connected: sidecars.length,
    behind: behindPods.length,
    behindPods: behindPods.sort().slice(0, MOST_NAMED),
    old: oldPods.length,
    oldPods: oldPods.sort().slice(0, MOST_NAMED),
  };
}

/**
 * appliedOn() for every Service that a sidecar wants, kept while it changes: a look costs what has changed since the last
 * one, not all sidecars times what they want.
 */
export class ServiceCounts {
  private readonly wantedBy = new Map<string, Set<Subscriber>>();
  private readonly counts = new Map<string, ServiceStanding>();
  private readonly changed = new Set<string>();
  private readonly versionOf: (key: string) => string;

  /** @param versionOf the version of a Service as it is when it is called */
  constructor(versionOf: (key: string) => string) {
    this.versionOf = versionOf;
  }

  /** A sidecar wants this Service, or its standing with it may be another. */
  note(subscriber: Subscriber, key: string): void {
    const sidecars = this.wantedBy.get(key);
    if (sidecars === undefined) this.wantedBy.set(key, new Set([subscriber]));
    else sidecars.add(subscriber);
    this.changed.add(key);
  }

  /** Its stream is over. */
  forget(subscriber: Subscriber): void {
    for (const key of subscriber.wants.keys()) {
      const sidecars = this.wantedBy.get(key);
      if (sidecars?.delete(subscriber) !== true) continue;
      if (sidecars.size === 0) this.wantedBy.delete(key);
      this.changed.add(key);
    }
  }

  /** By key; without Services that no sidecar wants. What has not changed is the same object as before. */
  all(): ReadonlyMap<string, ServiceStanding> {
    // A Service that is translated anew, and of which the sidecars hear at the end of the round.
    for (const [key, { version }] of this.counts) if (this.versionOf(key) !== version) this.changed.add(key);
    for (const key of this.changed) {
      const applied = appliedOn([...(this.wantedBy.get(key) ?? [])], serviceResourceName('service', key));
      if (applied.want === 0) this.counts.delete(key);
      else this.counts.set(key, { version: this.versionOf(key), applied });
    }
    this.changed.clear();
    return this.counts;
  }
}

/**
 * @param statuses of every parentRef to a Service, with the key of that Service and its version
 * @param standings by key of the Service
 */
export function routeStates(
  statuses: readonly { readonly parent: string; readonly version: string; readonly status: RouteParentStatus }[],
  standings: ReadonlyMap<string, ServiceStanding>,
): RouteState[] {
  return statuses.map(({ parent, version, status }) => ({
    ...status,
    parent,
    version,
    applied: standings.get(parent)?.applied ?? ON_NONE,
  }));
}
