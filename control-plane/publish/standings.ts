// How far resources have come, counted over the connected sidecars.
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

/**
 * The same for every Service that a sidecar wants, by its key. Costs what the sidecars want, not Services times
 * sidecars.
 */
export function appliedOnServices(sidecars: readonly Subscriber[]): Map<string, AppliedOn> {
  const counts = new Map<string, Count>();
  for (const { peer, wants, delivery } of sidecars) {
    for (const key of wants.keys()) {
      const standing = delivery.standing(serviceResourceName('service', key));
      if (standing.state === 'unwanted') continue;
      let counted = counts.get(key);
      if (counted === undefined) counts.set(key, (counted = { want: 0, applied: 0, rejected: [] }));
      count(counted, peer, standing);
    }
  }
  return counts;
}

/** @param statuses of every parentRef to a Service, with the key of that Service */
export function routeStates(
  statuses: readonly { readonly parent: string; readonly status: RouteParentStatus }[],
  sidecars: readonly Subscriber[],
): RouteState[] {
  const applied = appliedOnServices(sidecars);
  return statuses.map(({ parent, status }) => ({ ...status, parent, applied: applied.get(parent) ?? ON_NONE }));
}
