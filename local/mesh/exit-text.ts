// What is said of processes that end by themselves, with the reason where it can be known.
import { readFileSync } from 'node:fs';
import { collides, type HeldPort, heldPorts, holderOf } from '../network/held-ports.ts';
import type { PlannedPod } from '../plan/pods.ts';
import type { Exit } from '../process/supervised.ts';

/** After this many runs that ended at once it is not an accident. */
export const HOPELESS_AFTER = 3;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** "payment-v1-… payment exited with code 1 after 0.1 s, starts again in 0.2 s". */
export function exitText(pod: string, part: string, exit: Exit): string {
  const end =
    exit.error !== null
      ? `could not be started (${exit.error})`
      : exit.signal !== null
        ? `was ended by ${exit.signal}`
        : `exited with code ${exit.code}`;
  return `${pod} ${part} ${end} after ${seconds(exit.uptimeMs)}, starts again in ${seconds(exit.restartInMs)}`;
}

/**
 * A standing problem for a process that cannot stay up: its last errors, and the process in its way. Null while it may
 * be an accident.
 */
export function hopelessText(pod: string, part: string, exit: Exit, clash: string | null): string | null {
  if (clash === null && exit.shortRuns < HOPELESS_AFTER) return null;
  const why =
    clash ??
    (exit.lastErrors.length > 0 ? `its last words: ${exit.lastErrors.slice(-3).join(' / ')}` : 'it wrote nothing to standard error');
  const runs = exit.shortRuns >= HOPELESS_AFTER ? `ended at once ${exit.shortRuns} times` : 'cannot run';
  return `${pod} ${part} ${runs}: ${why}`;
}

/** Does a process complain of an address in use? The usual words of Node, Go, Python, Java, Rust and C. */
export function complainsOfPort(lines: readonly string[]): boolean {
  return lines.some((line) => /EADDRINUSE|address already in use|No address added out of total|Failed to bind/i.test(line));
}

/** The ports that a process may have wanted: those that its pod declares, and those that its complaint names. */
export function wantedPorts(pod: PlannedPod, lines: readonly string[]): number[] {
  const named = lines.flatMap((line) => [...line.matchAll(/[:\s](\d{2,5})\b/g)].map((match) => Number(match[1])));
  const declared = pod.containers.flatMap(({ ports }) => ports.map(({ port }) => port));
  return [...new Set([...declared, ...named])].filter((port) => port > 0 && port < 65536);
}

/**
 * The process that is in the way of a container that wanted to listen. All pods share one machine: the usual mistake is
 * to listen on all addresses, which collides with the sidecars and with other pods.
 * @param processOf the pod and part that a process belongs to; undefined: not one of this run
 */
export function portClash(
  pod: PlannedPod,
  lines: readonly string[],
  processOf: (group: number) => string | undefined,
  held: readonly HeldPort[] = heldPorts(),
): string | null {
  if (!complainsOfPort(lines)) return null;
  for (const port of wantedPorts(pod, lines)) {
    // Its own address is the container's alone: if that is taken, this is why. Else it wanted all addresses, and its
    // own sidecar has one of them.
    const listener =
      held.find((one) => collides(one, pod.appAddress, port)) ??
      held.find((one) => collides(one, pod.podAddress, port)) ??
      held.find((one) => one.port === port);
    if (!listener) continue;
    const holder = holderOf(listener);
    const own = holder && processOf(groupOf(holder.pid));
    const who = own ?? (holder ? `process ${holder.pid} (${holder.commandLine.slice(0, 100)})` : 'another process');
    return `port ${port} is also ${who}'s, on ${listener.address}: pods share this machine, so listen on status.podIP (here ${pod.appAddress}, also in POD_IP), not on all addresses`;
  }
  return null;
}

/** The process group of a process (proc(5), field 5 of stat); the pid itself where that cannot be read. */
function groupOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
  } catch {
    return pid;
  }
}
