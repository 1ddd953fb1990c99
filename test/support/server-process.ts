// An outside server that a test runs: started, waited for until it answers, ended with its test.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const POLL_MS = 50;
/** Length of the output that an error message quotes. */
const KEPT_CHARACTERS = 4_000;

export interface ServerProcess {
  /** The last it said, both streams. */
  said(): string;
  /** Kills it: what it holds is the test's, and a polite end waits for open connections. */
  stop(): Promise<void>;
}

/**
 * Starts the program and waits until `url` answers 200.
 * @param withinMs only ends a test that fails
 * @throws Error with what it said, when it ends before or does not answer in time
 */
export async function startServer(
  command: string,
  args: readonly string[],
  url: string,
  settings: { env?: Record<string, string>; withinMs?: number } = {},
): Promise<ServerProcess> {
  const child = spawn(command, args, { env: { ...process.env, ...settings.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let failure: Error | undefined;
  const closed = once(child, 'close').catch((error: Error) => {
    failure = error;
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-KEPT_CHARACTERS);
    });
  // A test that is broken off must not leave it behind.
  const end = () => child.kill('SIGKILL');
  process.once('exit', end);
  const stop = async () => {
    process.off('exit', end);
    end();
    await closed;
  };
  const deadline = Date.now() + (settings.withinMs ?? 30_000);
  for (;;) {
    if (failure !== undefined || child.exitCode !== null || child.signalCode !== null) {
      process.off('exit', end);
      throw new Error(`${command} ended: ${failure?.message ?? said}`);
    }
    if ((await statusOf(url)) === 200) return { said: () => said, stop };
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`${command} does not answer at ${url}: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function statusOf(url: string): Promise<number> {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return 0;
  }
}
