// What the injector knows of the LimitRanges and ResourceQuotas of namespaces, kept up to date by two watches.
import type { KubeObject } from '#kube/object.ts';
import { countedBy, type LimitItem, limitItemsOf, type NamespaceLimits, NO_LIMITS } from './limits.ts';

interface Limiting extends KubeObject {
  readonly ranges: readonly LimitItem[];
  readonly counted: readonly string[];
}

export class LimitCache {
  /** By namespace, then by name. */
  private readonly ranges = new Map<string, Map<string, Limiting>>();
  private readonly quotas = new Map<string, Map<string, Limiting>>();

  /** For a Reflector on LimitRanges, with `projectLimitRange`. */
  readonly rangeHandler = handlerOf(this.ranges);
  /** For a Reflector on ResourceQuotas, with `projectQuota`. */
  readonly quotaHandler = handlerOf(this.quotas);

  /** What limits the pods of a namespace, as the watches know it. */
  of(namespace: string): NamespaceLimits {
    const [ranges, quotas] = [this.ranges.get(namespace), this.quotas.get(namespace)];
    if (ranges === undefined && quotas === undefined) return NO_LIMITS;
    return {
      ranges: [...(ranges?.values() ?? [])].flatMap((each) => each.ranges),
      counted: [...(quotas?.values() ?? [])].flatMap((each) => each.counted),
    };
  }
}

function handlerOf(known: Map<string, Map<string, Limiting>>) {
  const applied = (object: KubeObject): void => {
    const { namespace = '', name = '' } = object.metadata ?? {};
    const there = known.get(namespace) ?? new Map<string, Limiting>();
    known.set(namespace, there.set(name, object as Limiting));
  };
  return {
    applied,
    synced: (objects: KubeObject[]): void => {
      known.clear();
      for (const object of objects) applied(object);
    },
    removed: ({ metadata }: KubeObject): void => {
      const there = known.get(metadata?.namespace ?? '');
      there?.delete(metadata?.name ?? '');
      if (there?.size === 0) known.delete(metadata?.namespace ?? '');
    },
  };
}

/** Keeps of a LimitRange its name and its entries. */
export function projectLimitRange(raw: Record<string, unknown>): Limiting {
  return { metadata: placeOf(raw), ranges: limitItemsOf(raw), counted: [] };
}

/** Keeps of a ResourceQuota its name and what it counts. */
export function projectQuota(raw: Record<string, unknown>): Limiting {
  return { metadata: placeOf(raw), ranges: [], counted: countedBy(raw) };
}

function placeOf(raw: Record<string, unknown>): { namespace: string | undefined; name: string | undefined } {
  const { namespace, name } = (raw as KubeObject).metadata ?? {};
  return { namespace, name };
}
