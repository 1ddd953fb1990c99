// What the endpoints of one backend together show of one method: how long its answer takes, and whether it fails
// everywhere. One endpoint is judged against it.
import type { EndpointState } from './endpoint-state.ts';

/** Methods of a backend with a record of their own; past it all are forgotten, and those still called come again. */
const MAX_METHODS = 200;
/** An answer moves the usual time by this part. */
const ANSWER_WEIGHT = 1 / 16;
/** A call that waited so many times the usual time, and at least so many ms, and got no answer tells something. */
const LONG_WAIT_FACTOR = 4;
export const LONG_WAIT_MIN_MS = 10;
/** Latest answers that are kept once one of them was a failure, and until there was none for so many ms. */
const RECENT_ANSWERS = 64;
const RECENT_MS = 30_000;
/**
 * A failure weighs 1 when the other endpoints fail at most this part of their calls of the method. Five such in a row
 * are chance once in 100,000 times; where the others fail more, as many more failures are asked for as make the run as
 * unlikely: 13 at 40 %, 52 at 80 %. Past the second part the method fails everywhere, and no number is enough.
 */
const USUAL_FAILURES = 0.1;
const FAILS_EVERYWHERE = 0.9;

export class MethodRecord {
  /** Calls whose answer has begun and not ended, over all endpoints. */
  openStreams = 0;
  /** Smoothed time to the answer in ms; -1: there was none yet. */
  private answerMs = -1;
  /** null: no failure lately. */
  private recent: RecentAnswers | null = null;

  /** An endpoint has begun to answer. */
  answered(latencyMs: number): void {
    this.answerMs = this.answerMs < 0 ? latencyMs : this.answerMs + (latencyMs - this.answerMs) * ANSWER_WEIGHT;
  }

  /**
   * Whether a call that got no answer waited longer than answers take. A method that was never answered, as a watch
   * that says nothing until something happens, has no usual time: nothing is too long then.
   */
  isLong(waitedMs: number): boolean {
    return this.answerMs >= 0 && waitedMs >= Math.max(LONG_WAIT_MIN_MS, LONG_WAIT_FACTOR * this.answerMs);
  }

  /** An answer that is no failure has ended. */
  succeeded(state: EndpointState, nowMs: number): void {
    if (this.recent === null) return;
    if (nowMs - this.recent.failedAtMs > RECENT_MS) this.recent = null;
    else this.recent.note(state, false);
  }

  /** An answer, or a reset in its place, is a failure. @returns its weight, 0 to 1: what it says of the endpoint */
  failed(state: EndpointState, nowMs: number): number {
    if (this.recent === null || nowMs - this.recent.failedAtMs > RECENT_MS) this.recent = new RecentAnswers();
    const share = this.recent.failuresOfOthers(state);
    this.recent.note(state, true);
    this.recent.failedAtMs = nowMs;
    return share >= FAILS_EVERYWHERE ? 0 : Math.min(1, Math.log(share) / Math.log(USUAL_FAILURES));
  }
}

/** The latest answers to one method, by endpoint. */
class RecentAnswers {
  failedAtMs = 0;
  private readonly endpoints: (EndpointState | null)[] = new Array(RECENT_ANSWERS).fill(null);
  private readonly failures = new Uint8Array(RECENT_ANSWERS);
  private next = 0;

  note(state: EndpointState, failed: boolean): void {
    this.endpoints[this.next] = state;
    this.failures[this.next] = failed ? 1 : 0;
    this.next = (this.next + 1) % RECENT_ANSWERS;
  }

  /** The part of the other endpoints' answers that failed, as far as so few can tell (Laplace's rule). */
  failuresOfOthers(state: EndpointState): number {
    let answers = 2;
    let failures = 1;
    for (let i = 0; i < RECENT_ANSWERS; i++) {
      const endpoint = this.endpoints[i];
      if (endpoint === null || endpoint === state) continue;
      answers++;
      failures += this.failures[i];
    }
    return failures / answers;
  }
}

/** The records of a backend's methods. */
export class MethodRecords {
  private readonly byName = new Map<string, MethodRecord>();

  of(name: string): MethodRecord {
    let record = this.byName.get(name);
    if (record === undefined) {
      // Paths that are no methods may be any number.
      if (this.byName.size >= MAX_METHODS) this.byName.clear();
      this.byName.set(name, (record = new MethodRecord()));
    }
    return record;
  }
}
