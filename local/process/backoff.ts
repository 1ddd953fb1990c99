// How long a crashed process waits before it is started again.

export const FIRST_BACKOFF_MS = 200;
export const LAST_BACKOFF_MS = 10_000;
/** A process that ran this long is taken for healthy: its next crash starts from the first backoff again. */
export const HEALTHY_AFTER_MS = 10_000;

/**
 * @param previousMs the backoff before the run that just ended, 0 for the first
 * @param uptimeMs how long that run lasted
 */
export function nextBackoffMs(previousMs: number, uptimeMs: number): number {
  if (previousMs === 0 || uptimeMs >= HEALTHY_AFTER_MS) return FIRST_BACKOFF_MS;
  return Math.min(previousMs * 2, LAST_BACKOFF_MS);
}
