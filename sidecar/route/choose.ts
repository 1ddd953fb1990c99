// Which backend gets the next call, and which mirror a copy: splits by weight and by percentage, by low-discrepancy
// sequences instead of dice.
// After n calls a share is off by about 2/n (dice: 1/√n), so that a canary of 1 % gets its calls even at low rates.
import type { MirrorRecord, RuleRecord } from './records.ts';

// Multiples of these, modulo 1, spread as evenly as any sequence can: the golden ratio and the silver ratio. There are
// two because with one step the mirror would copy the very calls that fall to one backend.
const SPLIT_STEP = (Math.sqrt(5) - 1) / 2;
const MIRROR_STEP = Math.SQRT2 - 1;

/**
 * Index into `rule.backends` of the backend that serves the next call; -1: the rule has none. Moves `rule.turn` on;
 * allocates nothing.
 */
export function chooseBackend(rule: RuleRecord): number {
  const turn = rule.turn + SPLIT_STEP;
  rule.turn = turn >= 1 ? turn - 1 : turn;
  const { cumulative } = rule;
  const last = cumulative.length - 1;
  const point = rule.turn * rule.totalWeight;
  for (let i = 0; i < last; i++) {
    if (point < cumulative[i]) return i;
  }
  return last;
}

/** Whether the next call is copied. Moves `mirror.turn` on; allocates nothing. */
export function shouldMirror(mirror: MirrorRecord): boolean {
  const turn = mirror.turn + MIRROR_STEP;
  mirror.turn = turn >= 1 ? turn - 1 : turn;
  return mirror.turn < mirror.fraction;
}

/**
 * Where a record's sequence starts: in [0, 1), the same for the same key and seed, and apart for different keys.
 * @param seed in [0, 1); each process has another, or all sidecars would send their first call to the same backend
 */
export function firstTurn(key: string, seed: number): number {
  // FNV-1a, then a final mix, for keys that differ in their last character only.
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  const turn = ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32 + seed;
  return turn % 1;
}
