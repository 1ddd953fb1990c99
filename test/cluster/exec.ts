// Runs a program to its end, for the cluster's own commands: ip, ctr, kubectl.
import { type ChildProcess, spawn } from 'node:child_process';

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 and more: ended by a signal. */
  readonly code: number;
}

export interface ExecSettings {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Then it is killed, and the code is 137. */
  readonly timeoutMs?: number;
}

/** A command whose output would be more than this is a mistake. */
const MOST_OUTPUT_BYTES = 256 << 20;

/** Runs it; a program that cannot be started ends with code 127 and the reason on stderr. Never rejects. */
export function exec(command: string, args: readonly string[], settings: ExecSettings = {}): Promise<Finished> {
  return new Promise((resolve) => {
    const child: ChildProcess = spawn(command, args, {
      cwd: settings.cwd,
      env: settings.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: settings.timeoutMs,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let bytes = 0;
    const collect = (into: Buffer[]) => (data: Buffer) => {
      if ((bytes += data.length) <= MOST_OUTPUT_BYTES) into.push(data);
    };
    child.stdout?.on('data', collect(out));
    child.stderr?.on('data', collect(err));
    // A program that does not read its input to the end shows that by its exit code.
    child.stdin?.on('error', () => {});
    child.stdin?.end(settings.input ?? '');
    child.on('error', (error) => resolve({ stdout: '', stderr: error.message, code: 127 }));
    child.on('close', (code, signal) =>
      resolve({
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        code: code ?? (signal === 'SIGKILL' ? 137 : 143),
      }),
    );
  });
}

/** As `exec`. @returns its standard output @throws Error with the command and the last lines it said, when it fails */
export async function must(command: string, args: readonly string[], settings: ExecSettings = {}): Promise<string> {
  const { stdout, stderr, code } = await exec(command, args, settings);
  if (code === 0) return stdout;
  const said = (stderr.trim() || stdout.trim()).split('\n').slice(-5).join(' | ');
  throw new Error(`${[command, ...args].join(' ').slice(0, 300)}: exit code ${code}: ${said}`);
}
