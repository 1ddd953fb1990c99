// Long-running programs of a test cluster: started once, recorded with pid and start time, so that a later run ends
// just those.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const STOP_POLL_MS = 25;
/** A program that does not end by SIGTERM within this time is killed. */
const STOP_MS = 5_000;

export interface ProcessRecord {
  readonly name: string;
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: a pid that was given to another program has another one. */
  readonly startTime: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

interface Stat {
  readonly state: string;
  readonly parent: number;
  readonly startTime: string;
}

/** What /proc says of a process; undefined if there is none. */
export function statOf(pid: number): Stat | undefined {
  try {
    // The name, in parentheses, may hold anything; after it: state, parent, … and the start time as field 22.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0], parent: Number(fields[1]), startTime: fields[19] };
  } catch {
    return undefined;
  }
}

/** Every process of the machine that /proc shows. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Whether the recorded process is there; one that ended and was not waited for is not. */
export function isRunning(record: Pick<ProcessRecord, 'pid' | 'startTime'>): boolean {
  const stat = statOf(record.pid);
  return stat !== undefined && stat.startTime === record.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

function recordFile(directory: string, name: string): string {
  return path.join(directory, 'run', `${name}.json`);
}

/** What was started under this name, running or not. */
export function recordOf(directory: string, name: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordFile(directory, name), 'utf8')) as ProcessRecord;
  } catch {
    return undefined;
  }
}

/** All that were started and not yet stopped, by their records. */
export function records(directory: string): ProcessRecord[] {
  const run = path.join(directory, 'run');
  if (!existsSync(run)) return [];
  return readdirSync(run)
    .filter((file) => file.endsWith('.json'))
    .map((file) => recordOf(directory, file.slice(0, -'.json'.length)))
    .filter((record) => record !== undefined);
}

/**
 * Starts a program that outlives us; its output is appended to logs/<name>.log.
 * @throws Error when it cannot be started
 */
export async function startProcess(
  directory: string,
  name: string,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ProcessRecord> {
  mkdirSync(path.join(directory, 'run'), { recursive: true });
  mkdirSync(path.join(directory, 'logs'), { recursive: true });
  const output = openSync(logFile(directory, name), 'a');
  try {
    const child = spawn(argv[0], argv.slice(1), {
      cwd: directory,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', output, output],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (error) => reject(new Error(`${name} cannot be started: ${error.message}`)));
    });
    child.unref();
    const pid = child.pid as number;
    const record: ProcessRecord = { name, pid, startTime: statOf(pid)?.startTime ?? '', argv, env };
    writeFileSync(recordFile(directory, name), `${JSON.stringify(record)}\n`);
    return record;
  } finally {
    closeSync(output);
  }
}

/** Ends the recorded process, if it still runs and is still the same, and waits until it has. */
export async function stopProcess(directory: string, name: string, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
  const record = recordOf(directory, name);
  if (record && isRunning(record)) {
    process.kill(record.pid, signal);
    const deadline = Date.now() + STOP_MS;
    while (isRunning(record)) {
      if (Date.now() > deadline) process.kill(record.pid, 'SIGKILL');
      await new Promise((resolve) => setTimeout(resolve, STOP_POLL_MS));
    }
  }
  rmSync(recordFile(directory, name), { force: true });
}

/** Where a program's output goes. */
export function logFile(directory: string, name: string): string {
  return path.join(directory, 'logs', `${name}.log`);
}

/** The last lines a program said, for an error message. */
export function lastLines(directory: string, name: string, lines = 8): string {
  try {
    return readFileSync(logFile(directory, name), 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return '';
  }
}
