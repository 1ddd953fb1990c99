// The shell that a page's commands run in.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { GuideShell } from './guide-shell.ts';
import { until } from './until.ts';

const withinMs = 30_000;

describe('test/support: a shell for the guides', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'weft-guide-shell-test-'));
  let shell: GuideShell;

  beforeEach(() => {
    shell = new GuideShell({ directory, env: process.env });
  });

  afterEach(() => shell.close());
  after(() => rmSync(directory, { recursive: true }));

  it('keeps what a command sets: variables, aliases, the folder', async () => {
    for (const command of ['export A=1', "alias say='echo said'", 'mkdir -p inner && cd inner']) await shell.run(command, { withinMs });
    const answer = await shell.run('say $A; basename $PWD', { withinMs });
    expect(answer).to.deep.equal({ output: 'said 1\ninner\n', exitCode: 0 });
  });

  it('gives exit codes, and standard error in its place', async () => {
    expect(await shell.run('echo a; echo b >&2; (exit 7)', { withinMs })).to.deep.equal({ output: 'a\nb\n', exitCode: 7 });
    expect((await shell.run('cat', { withinMs })).exitCode, 'nothing is on standard input').to.equal(0);
  });

  it('stops what goes on when it has said enough, and is there for the next command', async () => {
    const isEnough = (output: string) => output.includes('ready');
    const stopped = await shell.run('sh -c "echo ready; exec sleep 600"', { withinMs, isEnough });
    expect(stopped).to.deep.include({ exitCode: undefined });
    expect(await shell.run('echo next', { withinMs })).to.deep.equal({ output: 'next\n', exitCode: 0 });
  });

  it('stops what does not hear of it', async () => {
    const isEnough = (output: string) => output.includes('ready');
    const deaf = `${process.execPath} -e 'process.on("SIGTERM", () => {}); console.log("ready"); setInterval(() => {}, 1000)'`;
    expect((await shell.run(deaf, { withinMs, isEnough })).exitCode).to.equal(undefined);
  });

  it('leaves what runs in the background to the commands that follow, and ends it with the page', async () => {
    await shell.run('sleep 600 & echo $! >pid', { withinMs });
    const pid = Number(readFileSync(path.join(directory, 'pid'), 'utf8'));
    await shell.run('sh -c "exec sleep 600"', { withinMs: 0 });
    expect(isRunning(pid)).to.equal(true);
    shell.close();
    await until(() => !isRunning(pid), 'the background has ended');
  });
});

/** One that nobody has waited for yet has ended all the same. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
