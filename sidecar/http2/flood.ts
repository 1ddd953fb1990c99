// Counts what a peer makes us do for nothing, and says when it is too much: one per connection, without timers.
import {
  FORCED_RESET_BURST,
  FORCED_RESET_PER_SECOND,
  IDLE_FRAME_BUDGET,
  IDLE_FRAMES_PER_SECOND,
  IDLE_FRAMES_PER_WORK_FRAME,
  OCTETS_PER_WINDOW_UPDATE,
  RAPID_RESET_MIN_REQUESTS,
  RESET_AT_ONCE_MS,
  RESET_SOON_MS,
  TRUSTED_RESET_BURST,
  TRUSTED_RESETS_PER_SECOND,
} from './limits.ts';
import { TokenBucket } from './token-bucket.ts';

/** Halve the reset statistics after so many requests, so that a long-lived connection is judged by its present. */
const FORGET_AFTER_REQUESTS = 10_000;

export class FloodGuard {
  private idleFrames = IDLE_FRAME_BUDGET;
  private idleAtMs: number;
  private readonly trusted: boolean;
  /** Resets that the peer makes us send, and of a trusted peer also those it sends at once. */
  private readonly forced: TokenBucket;
  private requests = 0;
  private soonResets = 0;
  private windowUpdates = 0;
  /** Octets of DATA that were sent. */
  sentOctets = 0;

  /** @param trusted the peer is another sidecar or the pod's own application: only what no honest load does counts */
  constructor(nowMs: number, trusted = false) {
    this.idleAtMs = nowMs;
    this.trusted = trusted;
    this.forced = trusted
      ? new TokenBucket(TRUSTED_RESET_BURST, TRUSTED_RESETS_PER_SECOND, nowMs)
      : new TokenBucket(FORCED_RESET_BURST, FORCED_RESET_PER_SECOND, nowMs);
  }

  /** A frame that moves a message forward, in either direction. */
  work(): void {
    if (this.idleFrames < IDLE_FRAME_BUDGET) this.idleFrames += IDLE_FRAMES_PER_WORK_FRAME;
  }

  /** A frame that moves nothing. @returns true when it is one too many */
  idleFrame(nowMs: number): boolean {
    if (--this.idleFrames >= 0) return false;
    const earned = ((nowMs - this.idleAtMs) / 1000) * IDLE_FRAMES_PER_SECOND;
    if (earned < 1) return true;
    this.idleAtMs = nowMs;
    this.idleFrames = Math.min(IDLE_FRAME_BUDGET, earned) - 1;
    return this.idleFrames < 0;
  }

  /**
   * A WINDOW_UPDATE. A peer that reads in small pieces sends many at a time, long after the octets they belong to:
   * those are earned.
   * @returns whether it counts as an idle frame
   */
  windowUpdate(): boolean {
    if ((this.windowUpdates + 1) * OCTETS_PER_WINDOW_UPDATE > this.sentOctets) return true;
    this.windowUpdates++;
    return false;
  }

  request(): void {
    if (++this.requests >= FORGET_AFTER_REQUESTS) {
      this.requests /= 2;
      this.soonResets /= 2;
    }
  }

  /** The peer reset a stream it had opened. @returns true when that is rapid reset (L3) */
  peerReset(ageMs: number, nowMs: number): boolean {
    if (this.trusted) return ageMs < RESET_AT_ONCE_MS && !this.forced.take(nowMs);
    if (ageMs < RESET_SOON_MS) this.soonResets++;
    return this.requests >= RAPID_RESET_MIN_REQUESTS && this.soonResets * 2 > this.requests;
  }

  /** The peer broke a rule so that we reset a stream. @returns true when that is one too many (L4) */
  forcedReset(nowMs: number): boolean {
    return !this.forced.take(nowMs);
  }

  /** A request that was answered by an error because it is malformed. @returns true when it is one too many (L4) */
  refusedRequest(nowMs: number): boolean {
    return !this.trusted && !this.forced.take(nowMs);
  }

  /** A stream past those that the peer may have open. @returns true when it is one too many */
  refusedStream(nowMs: number): boolean {
    return !this.trusted && this.idleFrame(nowMs);
  }
}
