// The condition that says on how many sidecars a route is in force, and when it is worth a write. Pure but for what it
// remembers.

import { sentence } from '#core/text/printable.ts';
import type { Condition, StoredCondition } from '#objects/condition.ts';
import { type MeshApplied, UNKNOWN_AFTER_MS } from '../replicas/mesh-counts.ts';
import { APPLIED } from './next-parents.ts';

/** After a change of the route itself its sidecars have so long to answer before they are counted. */
export const SETTLED_AFTER_MS = 1000;
/** Between two writes of one route that only this condition causes. */
export const APPLIED_EVERY_MS = 5000;
/** The same where only the numbers of the message differ, because pods come and go all day. */
export const COUNTS_EVERY_MS = 30_000;
const MOST_NAMED = 3;
const LONGEST_MESSAGE = 1024;

/**
 * One sidecar that has not got so far settles it, whatever is not known of others; that all have, only what is known of
 * all does.
 * @returns null when no sidecar wants the route: nothing can be said then
 */
export function appliedCondition({ want, applied, rejected, refusals, unknown }: MeshApplied, generation: number): Condition | null {
  if (want === 0 && unknown === '') return null;
  const says = [`applied on ${applied} of ${want} ${want === 1 ? 'sidecar' : 'sidecars'}`];
  if (unknown !== '') says.push(`the sidecars of ${unknown} are not known`);
  const named = refusals.slice(0, MOST_NAMED).map(({ pod, reason }) => `${pod}: ${reason}`);
  if (rejected > named.length) named.push(`and ${rejected - named.length} more`);
  if (named.length > 0) says.push(`rejected by ${named.join('; ')}`);
  return {
    type: APPLIED,
    ...verdictOn(applied === want, rejected > 0, unknown === ''),
    message: sentence(says.join('; '), LONGEST_MESSAGE),
    observedGeneration: generation,
  };
}

function verdictOn(done: boolean, isRejected: boolean, isKnown: boolean): Pick<Condition, 'status' | 'reason'> {
  if (!done) return { status: 'False', reason: isRejected ? 'Rejected' : 'Pending' };
  return isKnown ? { status: 'True', reason: 'AllSidecars' } : { status: 'Unknown', reason: 'ReplicaUnknown' };
}

export type AppliedDecision =
  /** `condition` null: it is to be absent. `paced`: call wrote() when it was written. */
  | { readonly write: true; readonly condition: Condition | null; readonly paced: boolean }
  /** As it stands, until then at least (Unix ms); Infinity: until something changes. */
  | { readonly write: false; readonly lookAgainMs: number };

interface Memory {
  verdict: string;
  sinceMs: number;
  writtenMs: number;
  /** Since when it is Unknown; null: it is not. */
  unknownSinceMs: number | null;
}

/** Remembers of each parent of a route when its verdict changed and when the condition was written last. */
export class AppliedPace {
  private readonly memories = new Map<string, Memory>();

  /**
   * @param key of the route and its parent
   * @param verdict the other conditions with their generation: the route has settled when this stays
   * @param stored the condition as it stands in the route
   */
  decide(key: string, verdict: string, stored: StoredCondition | undefined, wanted: Condition | null, nowMs: number): AppliedDecision {
    let memory = this.memories.get(key);
    if (memory === undefined) {
      // What an earlier leader wrote stays a while: the sidecars have not all come over yet.
      memory = { verdict, sinceMs: nowMs, writtenMs: stored === undefined ? 0 : nowMs, unknownSinceMs: null };
      this.memories.set(key, memory);
    } else if (memory.verdict !== verdict) {
      memory.verdict = verdict;
      memory.sinceMs = nowMs;
    }
    if (wanted?.status === 'Unknown') memory.unknownSinceMs ??= nowMs;
    else memory.unknownSinceMs = null;
    if (wanted === null ? stored === undefined : sameCondition(stored, wanted)) return { write: false, lookAgainMs: Infinity };
    // The route is written anyway: a count for an older generation would look as if it were of this one.
    if (stored !== undefined && stored.observedGeneration !== wanted?.observedGeneration && wanted !== null)
      return { write: true, condition: wanted, paced: false };
    const onlyCounts = stored !== undefined && stored.status === wanted?.status && stored.reason === wanted?.reason;
    const dueMs = Math.max(
      memory.sinceMs + SETTLED_AFTER_MS,
      memory.writtenMs + (onlyCounts ? COUNTS_EVERY_MS : APPLIED_EVERY_MS),
      // A replica that restarts, or a new leader that has not been answered yet, is no news.
      memory.unknownSinceMs === null ? 0 : memory.unknownSinceMs + UNKNOWN_AFTER_MS,
    );
    return nowMs >= dueMs ? { write: true, condition: wanted, paced: true } : { write: false, lookAgainMs: dueMs };
  }

  /** Unix ms: when the condition was written last; 0: never. */
  writtenMs(key: string): number {
    return this.memories.get(key)?.writtenMs ?? 0;
  }

  /** The condition was written. */
  wrote(key: string, nowMs: number): void {
    const memory = this.memories.get(key);
    if (memory !== undefined) memory.writtenMs = nowMs;
  }

  /** Forgets all but these. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.memories.keys()) if (!keys.has(key)) this.memories.delete(key);
  }
}

function sameCondition(stored: StoredCondition | undefined, wanted: Condition): boolean {
  return (['status', 'reason', 'message', 'observedGeneration'] as const).every((field) => stored?.[field] === wanted[field]);
}
