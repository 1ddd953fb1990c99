// What probes ask the containers of a pod: requests by the sidecar's own code for the kubelet's probes, and commands.
import { spawn } from 'node:child_process';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { DEFAULT_PROBE_TIMEOUT_MS } from '#core/contract/probes.ts';
import { systemTimers } from '#core/program/timers.ts';
import { portOfTarget } from '#injector/probes.ts';
import { type ProbeOutcome, runProbe } from '#sidecar/pod/probe/run.ts';
import type { PlannedPod } from '../plan/pods.ts';
import type { ProbeQuestion } from '../plan/probes.ts';
import type { Guard } from './guard.ts';
import type { Launch } from './supervised.ts';

/** After a command's end its output is waited for so long. */
const LAST_WORDS_MS = 200;
/** So many characters of a command's output are kept for people. */
const LONGEST_OUTPUT = 512;

/**
 * Asks once. Never rejects, and answers within the probe's time.
 * @param launch of the container: a command runs in its directory and environment
 */
export function askProbe(question: ProbeQuestion, pod: PlannedPod, launch: Launch, guard: Guard): Promise<ProbeOutcome> {
  switch (question.kind) {
    case 'never':
      return Promise.resolve({ ok: false, detail: question.why, status: 0 });
    case 'exec':
      // Words that no command can have, such as one with a NUL, are refused before anything runs.
      return runCommand(question.argv, question.timeoutMs, launch, guard).catch(({ message }: Error) => ({
        ok: false,
        detail: message,
        status: 0,
      }));
    case 'target': {
      // The sidecar's own port is at the pod's address, the application's ports are at the containers'.
      const own = portOfTarget(question.target) === SIDECAR_ADMIN_PORT ? pod.podAddress : pod.appAddress;
      return runProbe(question.target, question.host || own, systemTimers);
    }
  }
}

/** Whether all of these ports accept connections. */
export async function askPorts(ports: readonly number[], host: string): Promise<ProbeOutcome> {
  const outcomes = await Promise.all(
    ports.map((port) => runProbe({ timeoutMs: DEFAULT_PROBE_TIMEOUT_MS, tcp: { port } }, host, systemTimers)),
  );
  return outcomes.find(({ ok }) => !ok) ?? { ok: true, detail: 'all ports accept connections', status: 0 };
}

/** Runs a command; code 0 is a success. What it started goes when its time is over. */
function runCommand(
  argv: readonly string[],
  timeoutMs: number,
  { directory, env }: Pick<Launch, 'directory' | 'env'>,
  guard: Guard,
): Promise<ProbeOutcome> {
  const [command, ...args] = argv;
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: directory, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const { pid } = child;
    if (pid !== undefined) guard.add(pid);
    let output = '';
    const settle = (ok: boolean, what: string): void => {
      clearTimeout(timer);
      if (pid !== undefined) endGroup(pid, guard);
      const said = output.trim();
      resolve({ ok, detail: `${command}: ${what}${said === '' ? '' : `: ${said}`}`, status: 0 });
    };
    let timer = setTimeout(() => settle(false, `it has not ended within ${timeoutMs} ms`), timeoutMs);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = `${output}${text}`.slice(0, LONGEST_OUTPUT);
      });
    child.on('error', (error: NodeJS.ErrnoException) => settle(false, error.code ?? error.message));
    child.on('exit', (code, signal) => {
      const ended = () => settle(code === 0, signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`);
      // Its last words are still in the pipes; but what it started may hold them open, so not for long.
      clearTimeout(timer);
      timer = setTimeout(ended, LAST_WORDS_MS);
      child.on('close', ended);
    });
  });
}

function endGroup(pid: number, guard: Guard): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nothing of it is left.
  }
  guard.remove(pid);
}
