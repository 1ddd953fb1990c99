// When to ask for the next certificate, and how long to wait after a failure. Pure: randomness in [0, 1) is an
// argument.

/** Half of the lifetime ± this share, so that pods started together do not renew together. */
const RENEWAL_JITTER = 0.1;
/** A laptop sleeps and a clock jumps: no timer waits longer than this before it looks at the clock again. */
export const LONGEST_WAIT_MS = 30_000;

/** Unix ms at which a certificate is renewed: the middle of what is left after it was received, ± 10 % of that half. */
export function renewAtMs(receivedMs: number, notAfterMs: number, random: number): number {
  const half = Math.max(0, notAfterMs - receivedMs) / 2;
  return receivedMs + half * (1 - RENEWAL_JITTER + 2 * RENEWAL_JITTER * random);
}

/** Full-jitter backoff: anything from 0 to min(cap, base · 2^failures) ms, and never less than a tenth of the base. */
export function backoffMs(failures: number, baseMs: number, capMs: number, random: number): number {
  const most = Math.min(capMs, baseMs * 2 ** Math.min(failures, 30));
  return Math.max(baseMs / 10, most * random);
}
