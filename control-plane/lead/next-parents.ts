// What a route's status.parents should be, given what stands there: only our entries change, and only where something
// is different. Pure.
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { Condition, StoredCondition } from '#objects/condition.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { keyOfParent, type ParentReference } from '#objects/references.ts';
import type { RouteParentEntry } from '#objects/route.ts';

/** What the CRD of routes allows: entries of all controllers together, and conditions of one entry. */
export const MOST_PARENTS = 32;
export const MOST_ENTRY_CONDITIONS = 8;

/** How far a route has come: Weft's own condition, besides the standard's. */
export const APPLIED = 'weft.dev/Applied';
/** The types that are Weft's to write and to take away; others inside our entries are left alone. */
const OUR_TYPES: ReadonlySet<string> = new Set(['Accepted', 'ResolvedRefs', 'PartiallyInvalid', APPLIED]);

export interface WantedParent {
  readonly parentRef: ParentReference;
  /** Of different types. */
  readonly conditions: readonly Condition[];
  /** Types of ours that are to stay as they are, whether they are there or not. */
  readonly keep?: readonly string[];
}

export interface NextParents {
  /** Undefined: nothing is to be written. */
  readonly parents: readonly RouteParentEntry[] | undefined;
  /** Entries that found no room, because of other controllers' ones. */
  readonly left: number;
}

/**
 * Other controllers' entries and condition types stay as and where they are: an implementation populates status only
 * for the parents that it is responsible for (Gateway API reference, RouteStatus.parents). Ours are updated in place,
 * new ones go to the end, those of parentRefs that went away are removed. A transition time changes with the status
 * alone (metav1.Condition). What was judged at a newer generation than ours is not touched.
 * @param wanted our entries as they should be, in the order of spec.parentRefs
 * @param now RFC 3339, whole seconds
 * @param most entries of all controllers
 */
export function nextParents(
  stored: readonly RouteParentEntry[] | undefined,
  routeNamespace: string,
  wanted: readonly WantedParent[],
  now: string,
  most = MOST_PARENTS,
): NextParents {
  const open = new Map(wanted.map((parent) => [keyOfParent(parent.parentRef, routeNamespace), parent]));
  const parents: RouteParentEntry[] = [];
  let changed = false;
  for (const entry of entriesOf(stored)) {
    if (fieldsOf(entry).controllerName !== CONTROLLER_NAME) {
      parents.push(entry);
      continue;
    }
    const key = keyOfParent(fieldsOf(entry.parentRef), routeNamespace);
    const parent = open.get(key);
    open.delete(key);
    const next = parent === undefined ? undefined : nextEntry(entry, parent, now);
    if (next !== entry) changed = true;
    if (next !== undefined) parents.push(next);
  }
  let left = 0;
  for (const parent of open.values()) {
    if (parents.length >= most) {
      left++;
      continue;
    }
    changed = true;
    parents.push(nextEntry({ parentRef: parent.parentRef, controllerName: CONTROLLER_NAME }, parent, now));
  }
  return { parents: changed ? parents : undefined, left };
}

/** The entry itself when nothing about it is to change. */
function nextEntry(entry: RouteParentEntry, { parentRef, conditions, keep = [] }: WantedParent, now: string): RouteParentEntry {
  const stored = entriesOf(entry.conditions);
  const generation = Math.max(0, ...conditions.map(({ observedGeneration }) => observedGeneration));
  if (stored.some((one) => OUR_TYPES.has(one.type ?? '') && (one.observedGeneration ?? 0) > generation)) return entry;
  const open = new Map(conditions.map((condition) => [condition.type, condition]));
  const next: StoredCondition[] = [];
  for (const one of stored) {
    const type = one.type ?? '';
    const condition = open.get(type);
    open.delete(type);
    if (condition !== undefined) next.push(nextCondition(one, condition, now));
    else if (!OUR_TYPES.has(type) || keep.includes(type)) next.push(one);
  }
  for (const condition of open.values()) {
    // The standard's come first in `conditions`; where others fill the list, the last ones give way.
    if (next.length < MOST_ENTRY_CONDITIONS) next.push({ ...condition, lastTransitionTime: now });
  }
  const same = next.length === stored.length && next.every((condition, i) => condition === stored[i]);
  if (same && sameReference(fieldsOf(entry.parentRef), parentRef)) return entry;
  return { ...entry, parentRef, conditions: next };
}

function nextCondition(stored: StoredCondition, wanted: Condition, now: string): StoredCondition {
  const { status, reason, message, observedGeneration } = wanted;
  const same =
    stored.status === status &&
    stored.reason === reason &&
    stored.message === message &&
    stored.observedGeneration === observedGeneration &&
    stored.lastTransitionTime !== undefined;
  if (same) return stored;
  const lastTransitionTime = stored.status === status ? (stored.lastTransitionTime ?? now) : now;
  return { ...stored, ...wanted, lastTransitionTime };
}

function sameReference(a: Partial<ParentReference>, b: ParentReference): boolean {
  return (['group', 'kind', 'namespace', 'name', 'sectionName', 'port'] as const).every(
    (field) => (a[field] ?? null) === (b[field] ?? null),
  );
}
