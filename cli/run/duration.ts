// Durations on the command line.

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** setTimeout() takes no more. */
const LONGEST_MS = 2 ** 31 - 1;

/** "20s", "1m30s", "500ms", "2h"; a bare number is seconds. Milliseconds; null if it is none of these. */
export function parseDuration(text: string): number | null {
  if (/^\d+(\.\d+)?$/.test(text)) return bounded(Number(text) * 1000);
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return null;
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) sum += Number(number) * UNIT_MS[unit];
  return bounded(sum);
}

function bounded(ms: number): number | null {
  return ms > 0 && ms <= LONGEST_MS ? ms : null;
}
