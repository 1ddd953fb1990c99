// The processes of a run that cannot stay up: what is said at each exit, and what stands as a problem until the pod is
// ready.
import type { PlannedPod } from '../plan/pods.ts';
import type { RunningPod } from '../process/pod.ts';
import type { Exit } from '../process/supervised.ts';
import { exitText, hopelessText, portClash } from './exit-text.ts';

export class Troubles {
  private readonly say: (line: string) => void;
  /** "<pod's key> <part>" → what is wrong with it. */
  private readonly standing = new Map<string, string>();

  constructor(say: (line: string) => void) {
    this.say = say;
  }

  /** A process has ended unasked. @param running all pods of the run, so that one in another's way gets its name */
  add(pod: PlannedPod, part: string, exit: Exit, running: readonly RunningPod[]): void {
    this.say(exitText(pod.name, part, exit));
    const clash = portClash(pod, exit.lastErrors, (group) => ownerOf(group, running));
    const trouble = hopelessText(pod.name, part, exit, clash);
    if (trouble === null) return;
    const key = `${pod.key} ${part}`;
    if (!this.standing.has(key)) this.say(trouble);
    this.standing.set(key, trouble);
  }

  /** A container of a pod is not ready, by the answer to its probe. */
  failing(pod: PlannedPod, part: string, detail: string): void {
    const trouble = `${pod.name} ${part} is not ready: ${detail}`;
    this.say(trouble);
    this.standing.set(`${pod.key} ${part}`, trouble);
  }

  /** The pod is ready, or gone. */
  clear(pod: PlannedPod): void {
    for (const key of this.standing.keys()) if (key.startsWith(`${pod.key} `)) this.standing.delete(key);
  }

  texts(): string[] {
    return [...this.standing.values()];
  }
}

/** The pod and part that a process group belongs to; undefined: it is not one of this run. */
function ownerOf(group: number, running: readonly RunningPod[]): string | undefined {
  for (const pod of running) {
    for (const [part, pid] of Object.entries(pod.pids())) if (pid === group) return `${pod.plan.name} ${part}`;
  }
  return undefined;
}
