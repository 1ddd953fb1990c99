// "did you mean …?": the nearest of some names to a name that does not exist.

// A longer name is no typing mistake, and the cost is the product of two lengths.
const LONGEST = 256;

/**
 * The candidate that `name` was most likely meant to be: the fewest typing mistakes (a wrong, missing, extra or swapped
 * character; upper and lower case are nearly the same), at most one per three characters. Equally near ones: the first
 * by code units. Undefined: nothing is near.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length === 0 || name.length > LONGEST) return undefined;
  const lower = name.toLowerCase();
  let best: string | undefined;
  let least = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    if (candidate === name || candidate.length > LONGEST) continue;
    // Half a mistake for another case: "exact" is nearer to "Exact" than any other word, and "Payment" still to
    // "payment".
    const mistakes = distance(lower, candidate.toLowerCase(), least) + (candidate.toLowerCase() === lower ? 0.5 : 0);
    if (mistakes < least || (mistakes === least && best !== undefined && candidate < best)) {
      best = candidate;
      least = mistakes;
    }
  }
  return best;
}

/** `, did you mean "payment"?`, or nothing when no candidate is near: to be put behind a message. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const found = nearest(name, candidates);
  return found === undefined ? '' : `, did you mean ${JSON.stringify(found)}?`;
}

/**
 * Optimal string alignment distance (Damerau-Levenshtein without repeated edits of one place). More than `most`: any
 * number above it.
 */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, substituted);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, beforeLast[j - 2] + 1);
      row.push(cost);
    }
    if (Math.min(...row) > most) return most + 1;
    beforeLast = last;
    last = row;
  }
  return last[b.length];
}
