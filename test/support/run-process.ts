// A `weft run` in a process of its own, on a copy of the shop's manifests, as stories need it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = resolve(import.meta.dirname, '..', '..');
const SHOP = join(ROOT, 'examples', 'shop');

export interface RunProcess {
  readonly directory: string;
  /** TMPDIR of the run: nothing may be left in it. */
  readonly temporary: string;
  readonly child: ChildProcess;
  /** What it said on standard error (news, logs, plain lines of the view). */
  said(): string;
  stdout(): string;
  /**
   * Resolves when a line matches that was said after `from` characters; rejects with all that was said when the run
   * ends first.
   */
  heard(pattern: RegExp, from?: number): Promise<RegExpExecArray>;
  /**
   * Processes of this run, the runner itself left out: what has its temporary directory or a pod's address in its
   * environment.
   */
  processes(): { pid: number; command: string }[];
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: string | null }>;
  remove(): void;
}

/** The shop's manifests with the sources of its services instead of their bundles, so that nothing has to be built. */
export function shopDirectory(edit: (text: string, file: string) => string = (text) => text): string {
  const directory = mkdtempSync(join(tmpdir(), 'weft-story-'));
  for (const file of readdirSync(SHOP).filter((name) => name.endsWith('.yaml'))) {
    const text = readFileSync(join(SHOP, file), 'utf8').replace(/dist\/(payment|checkout)\.mjs/, (_, name) => join(SHOP, `${name}.ts`));
    writeFileSync(
      join(directory, file),
      edit(
        text.replaceAll(/dist\/(payment|checkout)\.mjs/g, (_, name) => join(SHOP, `${name}.ts`)),
        file,
      ),
    );
  }
  return directory;
}

export function startRun(directory: string, ...options: string[]): RunProcess {
  const temporary = mkdtempSync(join(tmpdir(), 'weft-story-tmp-'));
  const child = spawn(process.execPath, [join(ROOT, 'cli', 'main.ts'), 'run', directory, '--report', 'json', ...options], {
    cwd: ROOT,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let stdout = '';
  let ended = false;
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const closed = once(child, 'close').then(([code, signal]) => {
    ended = true;
    return { code, signal };
  });
  return {
    directory,
    temporary,
    child,
    said: () => said,
    stdout: () => stdout,
    heard: async (pattern, from = 0) => {
      for (;;) {
        const match = pattern.exec(said.slice(from));
        if (match) return match;
        if (ended) throw new Error(`the run ended without saying ${pattern}:\n${said}`);
        await sleep(20);
      }
    },
    processes: () => processesOf(temporary, child.pid!),
    end: (signal) => {
      child.kill(signal);
      return closed;
    },
    remove: () => {
      if (!ended) child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
      rmSync(temporary, { recursive: true, force: true });
    },
  };
}

/** Zombies count as gone: they stay in the table where no process reaps orphans. */
function processesOf(temporary: string, runner: number): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== runner)
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`TMPDIR=${temporary}\0`)) return [];
        return [{ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() }];
      } catch {
        return [];
      }
    });
}

/** Puts another file of the tour in the place of the routes. */
export function useRoutes(directory: string, tour: string): void {
  mkdirSync(directory, { recursive: true });
  copyFileSync(join(ROOT, 'examples', 'tour', tour), join(directory, 'routes.yaml'));
}
