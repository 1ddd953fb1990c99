// One bash in which a page's commands run one after the other, as a reader types them: what one sets, the next has.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ShellAnswer {
  /** Standard output and standard error, as they came. */
  readonly output: string;
  /** undefined: it was stopped. */
  readonly exitCode: number | undefined;
}

export interface ShellSettings {
  /** Where the commands run. */
  readonly directory: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface RunSettings {
  /** A command that goes on for longer is stopped. */
  readonly withinMs: number;
  /** Asked of what came so far; true: it is stopped, as by Ctrl-C. */
  readonly isEnough?: (output: string) => boolean;
}

const LOOK_MS = 100;
/** A command that is to stop is asked so often, then it is killed. */
const MOST_ASKED = 20;

export class GuideShell {
  private readonly bash;
  /** Commands and what they print. */
  private readonly files = mkdtempSync(path.join(tmpdir(), 'weft-guide-shell-'));
  private ended = false;
  private count = 0;

  constructor({ directory, env }: ShellSettings) {
    // A group of its own, so that what a page leaves in the background ends with it.
    this.bash = spawn('bash', ['--norc'], { cwd: directory, env, detached: true, stdio: ['pipe', 'ignore', 'inherit'] });
    this.bash.on('close', () => {
      this.ended = true;
    });
    this.bash.stdin.on('error', () => {});
    this.bash.stdin.write('shopt -s expand_aliases\n');
  }

  /** Runs one command to its end. @throws Error when the shell itself has ended */
  async run(command: string, { withinMs, isEnough = () => false }: RunSettings): Promise<ShellAnswer> {
    const [script, output, code] = ['sh', 'out', 'code'].map((kind) => path.join(this.files, `${this.count}.${kind}`));
    this.count++;
    for (const file of [output, code]) writeFileSync(file, '');
    writeFileSync(script, `${command}\n`);
    const before = new Set(this.children());
    // Sourced, so that exports and aliases hold for what follows.
    this.bash.stdin.write(`. ${script} </dev/null >${output} 2>&1; echo $? >${code}\n`);
    const deadline = Date.now() + withinMs;
    let asked = 0;
    for (;;) {
      const said = readFileSync(output, 'utf8');
      const exitCode = readFileSync(code, 'utf8').trim();
      if (exitCode !== '') return { output: readFileSync(output, 'utf8'), exitCode: asked > 0 ? undefined : Number(exitCode) };
      if (this.ended) throw new Error(`the shell has ended with "${command}", after saying: ${said}`);
      if (asked > 0 || isEnough(said) || Date.now() > deadline) {
        for (const child of this.children()) if (!before.has(child)) end(child, asked < MOST_ASKED ? 'SIGTERM' : 'SIGKILL');
        asked++;
      }
      await sleep(LOOK_MS);
    }
  }

  /** Ends the shell and all that runs in it. */
  close(): void {
    if (!this.ended && this.bash.pid !== undefined) end(-this.bash.pid, 'SIGKILL');
    rmSync(this.files, { recursive: true, force: true });
  }

  private children(): number[] {
    const { pid } = this.bash;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  }
}

/** A process that is gone already is none to end. */
function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
