// Older first: which of two routes or two policies wins where both would hold (GEP-713, Gateway API conflict
// resolution). Pure.
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf, textOf } from '#objects/fields.ts';

/** A route or policy as compareByAge() needs it. */
export interface Aged {
  /**
   * Milliseconds since 1970. Infinity for one without a time, as from a file: it has no claim to age and comes after
   * those that have one.
   */
  readonly createdAtMs: number;
  /** "namespace/name". */
  readonly key: string;
}

/** The older route first; equally old ones (the time has whole seconds only) by namespace/name. */
export function compareByAge(a: Aged, b: Aged): number {
  if (a.createdAtMs !== b.createdAtMs) return a.createdAtMs < b.createdAtMs ? -1 : 1;
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0;
}

/** For compareByAge(). */
export function creationTimeOf(object: KubeObject): number {
  const at = Date.parse(textOf(fieldsOf(object.metadata).creationTimestamp) ?? '');
  return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at;
}
