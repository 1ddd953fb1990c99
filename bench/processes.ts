// Programs that a benchmark starts: pinned to a core, measured through /proc, ended by pid.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

/** Kernel ticks per second of /proc/<pid>/stat (getconf CLK_TCK; 100 on every Linux that Node runs on). */
const TICKS_PER_SECOND = 100;

/** A program's file on the PATH or among the given places; null if it is not there. */
export function findProgram(name: string, places: readonly string[] = []): string | null {
  const candidates = [...places, ...(process.env.PATH ?? '').split(path.delimiter).map((dir) => path.join(dir, name)), `/usr/sbin/${name}`];
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not here
    }
  }
  return null;
}

export interface Memory {
  readonly rssMiB: number;
  readonly anonymousMiB: number;
}

/** A program as a measurement reads it. */
export interface Measured {
  readonly name: string;
  /** User and system CPU time so far, in µs. */
  cpuUs(): number;
  /** Resident and anonymous memory, in MiB. */
  memory(): Memory;
}

/** A process that something else started and will end. */
export function watch(name: string, pid: number): Measured {
  return { name, cpuUs: () => cpuUsOf([pid]), memory: () => memoryOf([pid]) };
}

export class Program implements Measured {
  readonly name: string;
  readonly child: ChildProcess;
  private output = '';

  /** @param core CPU core to pin to */
  constructor(name: string, core: number, command: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.name = name;
    this.child = spawn('taskset', ['-c', `${core}`, ...command], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-4000);
    };
    this.child.stdout!.on('data', keep);
    this.child.stderr!.on('data', keep);
  }

  /**
   * The process that does the work: taskset replaces itself by it; a master's only worker is found among its children.
   */
  get pids(): number[] {
    const own = this.child.pid!;
    return [own, ...childrenOf(own)];
  }

  /** Waits until something accepts on the port. @throws with the program's last words */
  async listening(port: number, timeoutMs = 15_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      if (this.child.exitCode !== null) break;
      if (await accepts(port)) return;
      await sleep(50);
    }
    throw new Error(`${this.name} does not listen on ${port}: ${this.lastWords()}`);
  }

  cpuUs(): number {
    return cpuUsOf(this.pids);
  }

  memory(): Memory {
    return memoryOf(this.pids);
  }

  /** The last lines that it wrote. */
  lastWords(): string {
    return this.output.trim().split('\n').slice(-5).join(' | ');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 2000);
    await gone;
    clearTimeout(timer);
  }
}

function cpuUsOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks * 1e6) / TICKS_PER_SECOND;
}

function memoryOf(pids: readonly number[]): Memory {
  let rss = 0;
  let anonymous = 0;
  for (const pid of pids) {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    rss += Number(/^Rss:\s+(\d+)/m.exec(text)![1]);
    anonymous += Number(/^Anonymous:\s+(\d+)/m.exec(text)![1]);
  }
  return { rssMiB: rss / 1024, anonymousMiB: anonymous / 1024 };
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A port that is not in use now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
