// Supervision: restart with backoff, gentle and hard stops, nothing left behind.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { FIRST_BACKOFF_MS, HEALTHY_AFTER_MS, LAST_BACKOFF_MS, nextBackoffMs } from '#local/process/backoff.ts';
import { NO_GUARD } from '#local/process/guard.ts';
import { LineSplitter, LONGEST_LINE } from '#local/process/lines.ts';
import { type Exit, type Launch, Supervised } from '#local/process/supervised.ts';

/** A zombie counts as gone: where no init process reaps orphans it stays in the table for ever. */
const alive = (pid: number): boolean => {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
};

async function until(what: () => boolean): Promise<void> {
  while (!what()) await sleep(10);
}

/** A supervised /bin/sh with what it said and how it ended. */
function shell(script: string, more: Partial<Launch> = {}) {
  const lines: string[] = [];
  const exits: Exit[] = [];
  const pids: number[] = [];
  const launch: Launch = {
    command: '/bin/sh',
    args: ['-c', script],
    directory: '/',
    env: { PATH: process.env.PATH! },
    pipeStdin: false,
    ...more,
  };
  const supervised = new Supervised(
    launch,
    { onStart: (pid) => pids.push(pid), onLine: (line, stream) => lines.push(`${stream}: ${line}`), onExit: (exit) => exits.push(exit) },
    NO_GUARD,
  );
  return { supervised, lines, exits, pids };
}

describe('local/process: backoff', () => {
  it('doubles from 0.2 s to 10 s, and starts over after a healthy run', () => {
    const waits = [nextBackoffMs(0, 5)];
    while (waits.at(-1)! < LAST_BACKOFF_MS) waits.push(nextBackoffMs(waits.at(-1)!, 5));
    expect(waits).to.deep.equal([200, 400, 800, 1600, 3200, 6400, 10_000]);
    expect(nextBackoffMs(LAST_BACKOFF_MS, 5)).to.equal(LAST_BACKOFF_MS);
    expect(nextBackoffMs(LAST_BACKOFF_MS, HEALTHY_AFTER_MS)).to.equal(FIRST_BACKOFF_MS);
  });
});

describe('local/process: lines', () => {
  it('joins chunks, drops carriage returns, keeps the rest for the end and cuts what never ends', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    for (const chunk of ['a', 'b\nc\r', '\n\nd']) splitter.push(chunk);
    expect(lines).to.deep.equal(['ab', 'c', '']);
    splitter.end();
    expect(lines.at(-1)).to.equal('d');
    splitter.push('x'.repeat(LONGEST_LINE + 1));
    expect(lines.at(-1)).to.have.length(LONGEST_LINE);
  });
});

describe('local/process: supervised', () => {
  it('passes lines on, reports the exit with the last errors, and starts again', async () => {
    const { supervised, lines, exits, pids } = shell('echo out; echo err >&2; exit 3');
    supervised.start();
    await until(() => exits.length === 2);
    await supervised.stop(1000);
    expect(lines.slice(0, 2)).to.have.members(['stdout: out', 'stderr: err']);
    expect(
      exits.map(({ code, signal, shortRuns, restartInMs, lastErrors }) => ({ code, signal, shortRuns, restartInMs, lastErrors })),
    ).to.deep.equal([
      { code: 3, signal: null, shortRuns: 1, restartInMs: 200, lastErrors: ['err'] },
      { code: 3, signal: null, shortRuns: 2, restartInMs: 400, lastErrors: ['err'] },
    ]);
    expect(new Set(pids)).to.have.length(2);
    expect(supervised.restarts).to.equal(2);
  });

  it('names the signal that ended a process', async () => {
    const { supervised, exits, pids } = shell('sleep 60');
    supervised.start();
    process.kill(pids[0], 'SIGKILL');
    await until(() => exits.length === 1);
    await supervised.stop(1000);
    expect(exits[0]).to.include({ code: null, signal: 'SIGKILL' });
  });

  it('reports a command that cannot be started', async () => {
    const { supervised, exits } = shell('', { command: '/nonexistent/program' });
    supervised.start();
    await until(() => exits.length === 1);
    await supervised.stop(1000);
    expect(exits[0].error).to.include('ENOENT');
  });

  it('stops gently, and not gently where that does not help', async () => {
    const gentle = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    const stubborn = shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
    for (const { supervised } of [gentle, stubborn]) supervised.start();
    await until(() => gentle.lines.length === 1 && stubborn.lines.length === 1);
    await Promise.all([gentle.supervised.stop(10_000), stubborn.supervised.stop(100)]);
    await until(() => gentle.lines.includes('stdout: bye'));
    expect([...gentle.exits, ...stubborn.exits]).to.deep.equal([]);
    expect(stubborn.pids.map(alive)).to.deep.equal([false]);
  });

  it('takes grandchildren with it, on a stop and on a crash', async () => {
    for (const ending of ['wait', 'exit 1']) {
      const { supervised, lines, exits } = shell(`sleep 300 & echo $!; ${ending}`);
      supervised.start();
      await until(() => lines.length >= 1);
      const grandchild = Number(lines[0].split(' ')[1]);
      if (ending === 'exit 1') await until(() => exits.length >= 1);
      await supervised.stop(1000);
      await until(() => !alive(grandchild));
    }
  });

  it('does not start again after a stop during the backoff', async () => {
    const { supervised, exits, pids } = shell('exit 1');
    supervised.start();
    await until(() => exits.length === 1);
    await supervised.stop(1000);
    await sleep(FIRST_BACKOFF_MS + 100);
    expect(pids).to.have.length(1);
    expect(supervised.pid).to.equal(undefined);
  });
});

describe('local/process: guard', () => {
  it('ends the groups and removes the directory when the runner is killed', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weft-guard-test-'));
    const module = import.meta.resolve('#local/process/guard.ts');
    // A runner of its own with two groups, of which one has ended by itself.
    const program = `
      import { spawn, spawnSync } from 'node:child_process';
      const { startGuard } = await import(${JSON.stringify(module)});
      const guard = startGuard(${JSON.stringify(directory)});
      const child = spawn('sleep', ['300'], { detached: true, stdio: 'ignore' });
      guard.add(999999991); guard.add(child.pid); guard.remove(999999991);
      console.log(child.pid);
      setInterval(() => {}, 1000);`;
    const runner = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [data] = await once(runner.stdout, 'data');
    const pid = Number(String(data));
    expect(alive(pid)).to.equal(true);
    runner.kill('SIGKILL');
    await until(() => !alive(pid) && !existsSync(directory));
    rmSync(directory, { recursive: true, force: true });
  });
});
