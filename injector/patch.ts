// What injection changed as a JSON Patch (RFC 6902): only what differs, arrays by insertion.
import { createPatch, type Pointer } from 'rfc6902';
import { type InjectablePod, isObject } from './pod.ts';

export type Operation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/**
 * The operations that turn one pod into the other. Parts that are the same object in both are not looked into, so that
 * the cost is that of what changed, however large the pod is.
 */
export function patchOf(before: InjectablePod, after: InjectablePod): Operation[] {
  return difference(before, after);
}

function difference(before: unknown, after: unknown): Operation[] {
  return createPatch(before, after, diffLists) as Operation[];
}

/**
 * Lists: what stands equal at their begin and end is kept, what is between is replaced. rfc6902's own comparison of
 * lists recurses as deep as they are long and takes the product of their lengths: a pod with 50,000 volumes would end
 * it. Everything else is left to it (undefined).
 */
function diffLists(before: unknown, after: unknown, at: Pointer): Operation[] | undefined {
  if (!Array.isArray(before) || !Array.isArray(after)) return undefined;
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && alike(before[head], after[head])) head++;
  let tail = 0;
  while (tail < shorter - head && alike(before[before.length - 1 - tail], after[after.length - 1 - tail])) tail++;
  const operations: Operation[] = [];
  // Elements that stay are changed at their old places, before anything is taken away or inserted.
  for (let i = 0; i < before.length; i++) {
    const stays = i < head || i >= before.length - tail;
    const j = i < head ? i : i + after.length - before.length;
    if (!stays || before[i] === after[j]) continue;
    const place = at.add(String(i)).toString();
    operations.push(...difference(before[i], after[j]).map((operation) => ({ ...operation, path: place + operation.path })));
  }
  for (let i = before.length - tail - 1; i >= head; i--) operations.push({ op: 'remove', path: at.add(String(i)).toString() });
  for (let j = head; j < after.length - tail; j++) operations.push({ op: 'add', path: at.add(String(j)).toString(), value: after[j] });
  return operations;
}

/** The same element of a list, perhaps changed inside: lists of a pod's spec are keyed by name. */
function alike(a: unknown, b: unknown): boolean {
  return a === b || (isObject(a) && isObject(b) && a.name !== undefined && a.name === b.name);
}
