// Spans of time as people read them. Pure.

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** "12s", "4m10s", "3h", "29d": kubectl's way, two units below ten of the first, never more. */
export function spanText(ms: number): string {
  const at = UNITS.findIndex(([, size]) => ms >= size);
  if (at === -1) return '0s';
  const [name, size] = UNITS[at];
  const whole = Math.floor(ms / size);
  const next = UNITS[at + 1];
  const rest = next && whole < 10 ? Math.floor((ms - whole * size) / next[1]) : 0;
  return rest > 0 ? `${whole}${name}${rest}${next[0]}` : `${whole}${name}`;
}
