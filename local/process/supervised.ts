// One process that is kept running: started again with backoff when it ends, stopped gently, with all that it started
// itself.
import { type ChildProcess, spawn } from 'node:child_process';
import { nextBackoffMs } from './backoff.ts';
import type { Guard } from './guard.ts';
import { LineSplitter } from './lines.ts';

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  /** Keep an open pipe as standard input, whose end tells the process that the runner is gone. */
  readonly pipeStdin: boolean;
}

export interface Exit {
  /** null when a signal ended it, or when it could not be started. */
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not be started. */
  readonly error: string | null;
  readonly uptimeMs: number;
  /** How many times in a row it ended soon after its start. */
  readonly shortRuns: number;
  /** When it is started again. */
  readonly restartInMs: number;
  /** The last lines that it wrote to standard error, oldest first. */
  readonly lastErrors: readonly string[];
}

export interface Observer {
  onStart(pid: number): void;
  onLine(line: string, stream: 'stdout' | 'stderr'): void;
  /** It ended without being asked to. */
  onExit(exit: Exit): void;
}

type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly child: ChildProcess; readonly startedAt: number }
  | { readonly kind: 'waiting'; readonly timer: NodeJS.Timeout }
  | { readonly kind: 'stopping'; readonly child: ChildProcess }
  | { readonly kind: 'stopped' };

const LAST_LINES = 8;
/** A run shorter than this counts as ending "at once". */
const SHORT_RUN_MS = 3000;

export class Supervised {
  private state: State = { kind: 'idle' };
  private backoffMs = 0;
  private shortRuns = 0;
  private lastErrors: string[] = [];
  /** Ends of the process after the first start. */
  restarts = 0;
  private readonly launch: Launch;
  private readonly observer: Observer;
  private readonly guard: Guard;

  constructor(launch: Launch, observer: Observer, guard: Guard) {
    this.launch = launch;
    this.observer = observer;
    this.guard = guard;
  }

  get pid(): number | undefined {
    return this.state.kind === 'running' || this.state.kind === 'stopping' ? this.state.child.pid : undefined;
  }

  /** How long the present process has been running; 0 if none is. */
  uptimeMs(): number {
    return this.state.kind === 'running' ? performance.now() - this.state.startedAt : 0;
  }

  start(): void {
    if (this.state.kind !== 'idle' && this.state.kind !== 'waiting') return;
    const { command, args, directory, env, pipeStdin } = this.launch;
    // A process group of its own: Ctrl-C reaches only the runner, which stops things in order, and a signal to the
    // group reaches grandchildren.
    const child = spawn(command, args, { cwd: directory, env, detached: true, stdio: [pipeStdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
    this.state = { kind: 'running', child, startedAt: performance.now() };
    this.lastErrors = [];
    let failure: string | null = null;
    child.on('error', (error) => {
      // No pid: 'exit' will not come. With one, the error is of a signal or message, and the process goes on.
      if (child.pid !== undefined) return;
      failure = error.message;
      this.ended(child, null, null, failure);
    });
    child.stdin?.on('error', () => {});
    if (child.pid !== undefined) {
      this.guard.add(child.pid);
      this.observer.onStart(child.pid);
    }
    for (const name of ['stdout', 'stderr'] as const) {
      const lines = new LineSplitter((line) => {
        if (name === 'stderr') this.lastErrors = [...this.lastErrors.slice(1 - LAST_LINES), line];
        this.observer.onLine(line, name);
      });
      child[name]!.setEncoding('utf8');
      child[name]!.on('data', (chunk: string) => lines.push(chunk));
      child[name]!.on('end', () => lines.end());
    }
    child.on('exit', (code, signal) => {
      // Its last words are still in the pipes; but a grandchild may hold them open, so not for long.
      const settle = () => {
        clearTimeout(timer);
        child.off('close', settle);
        this.ended(child, code, signal, null);
      };
      const timer = setTimeout(settle, 200);
      child.on('close', settle);
      // What it started and left behind goes with it.
      this.signalGroup(child, 'SIGKILL');
      this.guard.remove(child.pid!);
    });
  }

  /**
   * SIGTERM, and SIGKILL after `graceMs`. Resolves when the process and its group are gone; it is not started again.
   */
  stop(graceMs: number): Promise<void> {
    if (this.state.kind === 'waiting') clearTimeout(this.state.timer);
    if (this.state.kind !== 'running' && this.state.kind !== 'stopping') {
      this.state = { kind: 'stopped' };
      return Promise.resolve();
    }
    const { child } = this.state;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
      this.state = { kind: 'stopped' };
      return Promise.resolve();
    }
    if (this.state.kind === 'running') this.signalGroup(child, 'SIGTERM');
    this.state = { kind: 'stopping', child };
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.signalGroup(child, 'SIGKILL'), graceMs);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  private ended(child: ChildProcess, code: number | null, signal: string | null, error: string | null): void {
    if (this.state.kind === 'stopping' || this.state.kind === 'stopped') {
      this.state = { kind: 'stopped' };
      return;
    }
    if (this.state.kind !== 'running' || this.state.child !== child) return;
    const uptimeMs = this.uptimeMs();
    this.backoffMs = nextBackoffMs(this.backoffMs, uptimeMs);
    this.shortRuns = uptimeMs < SHORT_RUN_MS ? this.shortRuns + 1 : 0;
    this.restarts++;
    const timer = setTimeout(() => this.start(), this.backoffMs);
    this.state = { kind: 'waiting', timer };
    this.observer.onExit({
      code,
      signal,
      error,
      uptimeMs,
      shortRuns: this.shortRuns,
      restartInMs: this.backoffMs,
      lastErrors: this.lastErrors,
    });
  }

  private signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // ESRCH: the group is gone, which is what was wanted.
    }
  }
}
