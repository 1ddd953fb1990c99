// Regular expressions of matches: RE2's syntax, and a bound on what one costs a sidecar per call.
import { RE2JS } from 're2js';
import { printable } from '#core/text/printable.ts';

/** The longest pattern that Weft takes; the CRD's limit for paths. */
export const LONGEST_PATTERN = 1024;
/**
 * Steps of a compiled pattern that has repetitions. Matching costs input times steps at worst: 256 take about 5 ms for
 * 8 kB of the most hostile input (re2js 2.10 on the development machine: `(a?){60}b` 5 ms, `.*a.{120}` 5 ms;
 * `(a?){500}b` would take 65 ms). Without repetitions, as in a long list of names, a pattern only matches what is as
 * short as itself, and costs nothing to speak of.
 */
export const MOST_STEPS = 256;

const REPETITION = /[*+?{]/;
// The same routes are translated again and again while Services around them change; compiling costs up to some
// milliseconds.
const MOST_VERDICTS = 2000;
const verdicts = new Map<string, string>();

/** Why a pattern cannot be used; empty: it can. */
export function faultOfPattern(pattern: string): string {
  if (pattern.length > LONGEST_PATTERN)
    return `the regular expression has ${pattern.length} characters, at most ${LONGEST_PATTERN} are taken`;
  let verdict = verdicts.get(pattern);
  if (verdict === undefined) {
    verdict = judge(pattern);
    if (verdicts.size >= MOST_VERDICTS) verdicts.clear();
    verdicts.set(pattern, verdict);
  }
  return verdict;
}

function judge(pattern: string): string {
  try {
    const steps = RE2JS.compile(pattern).programSize();
    if (steps <= MOST_STEPS || !REPETITION.test(pattern)) return '';
    return `the regular expression is too costly (${steps} steps, at most ${MOST_STEPS}): use smaller repetition counts`;
  } catch (error) {
    return `not a regular expression of RE2 (which has no look-around and no back-references): ${printable((error as Error).message)}`;
  }
}
