// How many sidecars of the whole mesh run a route: those of this replica, and those that the others report to it while
// it leads. What a replica counts of another version of the Service counts as not applied (decision 23).
import type { ReplicaReport, ServiceCount } from '#core/contract/gen/weft/v1/replicas_pb.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import type { RouteState } from '../publish/standings.ts';
import type { Follow, FollowEnd } from './follow.ts';
import { MOST_REPLICAS, type OtherReplica } from './roster.ts';

/** A replica that has not said everything by then is asked anew, in ms. */
export const ANSWER_WITHIN_MS = 5_000;
/** A replica of which nothing has been known for so long is a problem to name, in ms; one that restarts is back by then. */
export const UNKNOWN_AFTER_MS = 10_000;
/** Services that a replica may count. */
export const MOST_COUNTED = 100_000;
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 10_000;
/** Names in a message. */
const MOST_NAMED = 3;

export interface MeshApplied {
  readonly want: number;
  readonly applied: number;
  readonly rejected: number;
  /** Some of those that refuse it. */
  readonly refusals: readonly { readonly pod: string; readonly reason: string }[];
  /** Replicas whose sidecars are not in these numbers, because nothing is known of them; '': all are. */
  readonly unknown: string;
}

export interface MeshCountsDeps {
  /** Other replicas as they are when it is called, by name. */
  readonly others: () => readonly OtherReplica[];
  readonly follow: Follow;
  /** The sum of some Service may be another. Called often. */
  readonly onChange: () => void;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

type State =
  /** The stream is open, and it has not said everything yet. */
  | { readonly is: 'asked'; readonly close: () => void; readonly cancelDeadline: () => void }
  | { readonly is: 'known'; readonly close: () => void }
  /** It is asked again. */
  | { readonly is: 'waiting'; readonly cancel: () => void };

interface Other {
  replica: OtherReplica;
  state: State;
  readonly counts: Map<string, ServiceCount>;
  /** In a row. */
  failures: number;
  /** Unix ms: since when nothing is known of its sidecars; null: they are known, or it can have none. */
  unknownSinceMs: number | null;
  /** Why. */
  reason: string;
}

export class MeshCounts {
  private readonly deps: MeshCountsDeps;
  private readonly others = new Map<string, Other>();
  private leading = false;
  /** There are more than MOST_REPLICAS. */
  private tooMany = false;

  constructor(deps: MeshCountsDeps) {
    this.deps = deps;
  }

  /** This replica leads from now on, or no longer: it alone asks. */
  lead(leading: boolean): void {
    this.leading = leading;
    if (leading) return this.review();
    for (const other of this.others.values()) leave(other);
    this.others.clear();
  }

  stop(): void {
    this.lead(false);
  }

  /** There may be other replicas than before. */
  review(): void {
    if (!this.leading) return;
    const all = this.deps.others();
    this.tooMany = all.length > MOST_REPLICAS;
    const now = new Map(all.slice(0, MOST_REPLICAS).map((replica) => [replica.name, replica]));
    for (const [name, other] of this.others) {
      const replica = now.get(name);
      if (replica?.address === other.replica.address && replica.port === other.replica.port) continue;
      leave(other);
      this.others.delete(name);
    }
    for (const [name, replica] of now) {
      const other = this.others.get(name);
      if (other === undefined) this.meet(replica);
      else {
        const begins = replica.serving && !other.replica.serving;
        other.replica = replica;
        if (begins && other.state.is === 'waiting') {
          other.state.cancel();
          other.unknownSinceMs ??= this.deps.timers.now();
          this.ask(other);
        }
      }
    }
    this.deps.onChange();
  }

  /** What is wrong, for people; '': nothing. */
  get problem(): string {
    const { timers } = this.deps;
    const silent = this.unknown().filter(({ unknownSinceMs }) => timers.now() - unknownSinceMs! >= UNKNOWN_AFTER_MS);
    if (this.tooMany) return `more than ${MOST_REPLICAS} other replicas of the control plane: not all are asked for their sidecars`;
    const [first] = silent;
    if (first === undefined) return '';
    const more = silent.length === 1 ? '' : ` (and ${silent.length - 1} more)`;
    return `what the sidecars of replica ${first.replica.name}${more} run is not known: ${first.reason}`;
  }

  /** How many other replicas nothing is known of; 0 while another replica leads. */
  get unknownReplicas(): number {
    return this.unknown().length;
  }

  /** The sum for one route's parent. */
  total({ parent, version, applied: own }: Pick<RouteState, 'parent' | 'version' | 'applied'>): MeshApplied {
    let { want, applied } = own;
    let rejected = own.rejected.length;
    const refusals: { pod: string; reason: string }[] = own.rejected.slice(0, MOST_NAMED).map(({ pod, reason }) => ({ pod, reason }));
    for (const { state, counts } of this.others.values()) {
      const count = state.is === 'known' ? counts.get(parent) : undefined;
      if (count === undefined) continue;
      want += count.want;
      if (count.version !== version) continue;
      applied += count.applied;
      rejected += count.rejected;
      for (const { pod, reason } of count.refusals) if (refusals.length < MOST_NAMED) refusals.push({ pod, reason });
    }
    return { want, applied, rejected, refusals, unknown: this.unknownNames() };
  }

  private unknown(): Other[] {
    return [...this.others.values()].filter(({ unknownSinceMs }) => unknownSinceMs !== null);
  }

  private unknownNames(): string {
    const names = this.unknown()
      .map(({ replica }) => replica.name)
      .sort();
    if (this.tooMany) names.push('others');
    const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : '';
    return names.slice(0, MOST_NAMED).join(', ') + more;
  }

  private meet(replica: OtherReplica): void {
    const other: Other = {
      replica,
      state: { is: 'waiting', cancel: () => {} },
      counts: new Map(),
      failures: 0,
      unknownSinceMs: this.deps.timers.now(),
      reason: 'it has not answered yet',
    };
    this.others.set(replica.name, other);
    this.ask(other);
  }

  private ask(other: Other): void {
    const { follow, timers } = this.deps;
    other.counts.clear();
    const close = follow(other.replica, {
      report: (report) => this.take(other, report),
      ended: (end) => this.lost(other, end),
    });
    const cancelDeadline = timers.after(ANSWER_WITHIN_MS, () => {
      close();
      this.lost(other, { reason: `no answer within ${ANSWER_WITHIN_MS / 1000} s`, refused: false });
    });
    other.state = { is: 'asked', close, cancelDeadline };
  }

  private take(other: Other, { replica, counts, complete }: ReplicaReport): void {
    const { state } = other;
    if (state.is === 'waiting') return;
    // The address was another pod's when it was looked up.
    if (replica !== other.replica.name) return this.giveUp(other, `replica ${replica} answers in its place`);
    for (const count of counts) {
      if (count.want === 0) other.counts.delete(count.service);
      else other.counts.set(count.service, count);
    }
    if (other.counts.size > MOST_COUNTED) return this.giveUp(other, `it counts more than ${MOST_COUNTED} Services`);
    if (complete && state.is === 'asked') {
      state.cancelDeadline();
      other.state = { is: 'known', close: state.close };
      other.failures = 0;
      other.unknownSinceMs = null;
      other.reason = '';
    }
    this.deps.onChange();
  }

  private giveUp(other: Other, reason: string): void {
    if (other.state.is !== 'waiting') other.state.close();
    this.lost(other, { reason, refused: false });
  }

  private lost(other: Other, { reason, refused }: FollowEnd): void {
    const { timers, random, log, onChange } = this.deps;
    const { state, replica } = other;
    if (state.is === 'asked') state.cancelDeadline();
    other.counts.clear();
    // A pod that nothing is sent to, and where nothing listens: it starts, or has ended all its streams.
    const hasNone = refused && !replica.serving;
    if (hasNone) other.unknownSinceMs = null;
    else other.unknownSinceMs ??= timers.now();
    if (!hasNone && other.failures === 0) log.info('another replica does not say what its sidecars run', { replica: replica.name, reason });
    other.reason = reason;
    const waitMs = backoffMs(other.failures++, RETRY_BASE_MS, RETRY_CAP_MS, random());
    other.state = { is: 'waiting', cancel: timers.after(waitMs, () => this.ask(other)) };
    onChange();
  }
}

function leave({ state }: Other): void {
  if (state.is === 'waiting') state.cancel();
  else state.close();
  if (state.is === 'asked') state.cancelDeadline();
}
