// Finds the first process of pods: that of their sandbox, which the runtime starts in the pod's network namespace before
// any container.

import type { Processes } from './proc.ts';
import type { ProcessStat } from './process-stat.ts';

/**
 * A process moves into its control group soon after it began: for so long what was read of it is read again. An id may
 * also be given to another process: after FORGET_MS everything is read anew.
 */
const SETTLED_MS = 2_000;
const FORGET_MS = 5_000;

export interface FirstProcess extends ProcessStat {
  readonly pid: number;
}

interface Known {
  readonly uid: string | undefined;
  readonly seenMs: number;
}

export class Sandboxes {
  private readonly processes: Processes;
  /** What is known of each process id, so that a look that follows soon reads new ones alone. */
  private known = new Map<number, Known>();
  private forgottenMs = Number.NEGATIVE_INFINITY;

  constructor(processes: Processes) {
    this.processes = processes;
  }

  /**
   * The oldest process of each of these pods; a pod without one is absent. A later process may have made a network
   * namespace of its own, for which no right is needed.
   * @param nowMs of a clock that only goes forward
   */
  find(pods: ReadonlySet<string>, nowMs: number): Map<string, FirstProcess> {
    if (nowMs - this.forgottenMs >= FORGET_MS) {
      this.known.clear();
      this.forgottenMs = nowMs;
    }
    const known = new Map<number, Known>();
    const first = new Map<string, FirstProcess>();
    for (const pid of this.processes.ids()) {
      const before = this.known.get(pid);
      const isSettled = before !== undefined && nowMs - before.seenMs >= SETTLED_MS;
      const uid = isSettled ? before.uid : this.processes.podUid(pid);
      known.set(pid, { uid, seenMs: before?.seenMs ?? nowMs });
      if (uid === undefined || !pods.has(uid)) continue;
      const stat = this.processes.stat(pid);
      const oldest = first.get(uid);
      if (stat !== undefined && (oldest === undefined || isOlder({ pid, ...stat }, oldest))) first.set(uid, { pid, ...stat });
    }
    this.known = known;
    return first;
  }
}

function isOlder(one: FirstProcess, other: FirstProcess): boolean {
  return one.startTime < other.startTime || (one.startTime === other.startTime && one.pid < other.pid);
}
