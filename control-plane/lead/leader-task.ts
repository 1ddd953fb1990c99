// What each of the leader's writers is: a loop that looks at everything while this replica leads, and that remembers of
// each object what its last write led to.
import type { Timers } from '#core/program/timers.ts';
import { KubeError } from '#kube/api.ts';

type State =
  /** Another replica leads. */
  | { readonly is: 'following' }
  /** Nothing is to be done until something changes. */
  | { readonly is: 'resting' }
  /** A look is due at this time (Unix ms). */
  | { readonly is: 'waiting'; readonly atMs: number; readonly cancel: () => void }
  /** A look is under way; no other begins meanwhile. `nextMs`: when another is asked for, Infinity: it is not. */
  | { readonly is: 'looking'; leading: boolean; nextMs: number }
  | { readonly is: 'stopped' };

export interface FailedWrite {
  readonly is: 'failed';
  /** In a row. */
  readonly failures: number;
  /** Unix ms: the object is left alone until then. */
  readonly untilMs: number;
  readonly error: KubeError;
}

/** What is remembered of an object. */
export type Write =
  /** `before`: the failure that this write repeats. */
  | { readonly is: 'writing'; readonly before: FailedWrite | null }
  /**
   * `version`: the one that was written over. The watch will show a newer one; after `untilMs` (Unix ms) it is no
   * longer waited for.
   */
  | { readonly is: 'written'; readonly version: string | undefined; readonly untilMs: number }
  | FailedWrite;

/** A subclass says in look() what is to be written; everything about when stands here. */
export abstract class LeaderTask {
  protected readonly timers: Timers;
  /** Key of an object → what is remembered of it. */
  protected readonly writes = new Map<string, Write>();
  private state: State = { is: 'following' };
  private trouble = '';
  private pausedUntilMs = 0;
  private underWay = 0;

  constructor(timers: Timers) {
    this.timers = timers;
  }

  /** What this looks at may be different. Cheap: looks happen some time apart. */
  abstract touch(): void;

  /**
   * Begins the writes that are needed, or makes them one after another and returns when they are done. Called while
   * leading only.
   */
  protected abstract look(nowMs: number): void | Promise<void>;

  /** What a person should know; '' when all is well or another replica leads. */
  get problem(): string {
    return this.trouble;
  }

  /** This replica leads from now on, or no longer. */
  lead(leading: boolean): void {
    const { state } = this;
    if (state.is === 'stopped') return;
    this.trouble = '';
    if (state.is === 'looking') {
      state.leading = leading;
      if (!leading) state.nextMs = Infinity;
    } else if (!leading) {
      if (state.is === 'waiting') state.cancel();
      this.state = { is: 'following' };
    } else if (state.is === 'following') this.state = { is: 'resting' };
    if (leading) this.touch();
  }

  stop(): void {
    if (this.state.is === 'waiting') this.state.cancel();
    this.state = { is: 'stopped' };
  }

  protected get leading(): boolean {
    const { state } = this;
    return state.is === 'looking' ? state.leading : state.is === 'resting' || state.is === 'waiting';
  }

  /**
   * Looks at this time (Unix ms), or after the pause. The earliest that is asked for counts: one object that waits must
   * not delay the others.
   */
  protected lookAt(atMs: number): void {
    const { state } = this;
    if (!this.leading || atMs === Infinity) return;
    const whenMs = Math.max(atMs, this.pausedUntilMs);
    if (state.is === 'looking') {
      state.nextMs = Math.min(state.nextMs, whenMs);
      return;
    }
    if (state.is === 'waiting') {
      if (state.atMs <= whenMs) return;
      state.cancel();
    }
    const cancel = this.timers.after(Math.max(0, whenMs - this.timers.now()), () => this.begin());
    this.state = { is: 'waiting', atMs: whenMs, cancel };
  }

  protected lookIn(ms: number): void {
    this.lookAt(this.timers.now() + ms);
  }

  /** Looks before this returns, pause or not; after the look that is under way, if one is. */
  protected lookNow(): void {
    const { state } = this;
    if (state.is === 'looking') state.nextMs = state.leading ? this.timers.now() : Infinity;
    else if (this.leading) {
      if (state.is === 'waiting') state.cancel();
      this.begin();
    }
  }

  /** No look before this time (Unix ms), except by lookNow(). */
  protected pauseUntil(ms: number): void {
    this.pausedUntilMs = ms;
  }

  /** Names what a person should know. @returns whether that is new, and so worth a line in the log */
  protected note(problem: string): boolean {
    if (!this.leading) return false;
    const fresh = problem !== '' && problem !== this.trouble;
    this.trouble = problem;
    return fresh;
  }

  /** Writes under way. */
  protected get writing(): number {
    return this.underWay;
  }

  /**
   * Writes an object. Another look follows, whatever comes of it.
   * @param send makes the requests; @returns what is to be remembered
   * @param failed what is to be remembered of a request that was refused
   */
  protected write(
    key: string,
    send: (before: FailedWrite | null) => Promise<Write | null>,
    failed: (error: KubeError, before: FailedWrite | null) => FailedWrite | null,
  ): void {
    const last = this.writes.get(key);
    const before = last?.is === 'failed' ? last : null;
    this.writes.set(key, { is: 'writing', before });
    this.underWay++;
    const ended = (next: Write | null): void => {
      this.underWay--;
      if (next === null) this.writes.delete(key);
      else this.writes.set(key, next);
      this.touch();
    };
    // Anything but a KubeError is a defect of ours: it ends the process.
    void send(before).then(ended, (error: unknown) => {
      if (!(error instanceof KubeError)) throw error;
      ended(failed(error, before));
    });
  }

  /** Forgets objects that are gone. */
  protected retain(exists: (key: string) => boolean): void {
    for (const [key, { is }] of this.writes) if (is !== 'writing' && !exists(key)) this.writes.delete(key);
  }

  private begin(): void {
    const state: State = { is: 'looking', leading: true, nextMs: Infinity };
    this.state = state;
    const ended = (): void => {
      if (this.state !== state) return;
      this.state = { is: state.leading ? 'resting' : 'following' };
      this.lookAt(state.nextMs);
    };
    const looked = this.look(this.timers.now());
    if (looked === undefined) ended();
    else void looked.then(ended);
  }
}

/** RFC 3339 with whole seconds, as the API server writes times. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
