// A page of docs/guides on the test cluster: a scratch folder like a checkout of the repository, a shell in it, and its
// blocks one after the other.
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Block, Page, Step } from '../../support/guide-page.ts';
import { GuideShell, type ShellAnswer } from '../../support/guide-shell.ts';
import { compareShown, withIdsOf } from '../../support/shown-output.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
/** What pages change is copied, the rest linked. */
const COPIED = ['examples', 'manifests'];
const NOT_THERE = ['.git', 'test-results'];
/** The slowest are rollouts. */
const COMMAND_MS = 150_000;
/** A command that only looks is typed again for so long until it shows what the page shows, as a reader does. */
const LOOK_AGAIN_MS = 60_000;
const BETWEEN_LOOKS_MS = 1000;
const LOOKS =
  /^(?:weft (?:check|status|trace|explain)|npm run -s weft -- (?:check|status|trace|explain)|kubectl (?:-n \S+ )?(?:get|logs)|curl)\b[^|;&]*$/;

export interface Tools {
  readonly kubeconfig: string;
  readonly kubectl: string;
  readonly helm: string;
}

export class GuideRun {
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'weft-guide-'));
  private readonly shell: GuideShell;
  private readonly ids = new Map<string, string>();

  constructor({ files }: Page, { kubeconfig, kubectl, helm }: Tools) {
    const at = (name: string) => path.join(this.directory, name);
    for (const name of readdirSync(ROOT).filter((one) => !NOT_THERE.includes(one))) {
      if (COPIED.includes(name)) cpSync(path.join(ROOT, name), at(name), { recursive: true });
      else symlinkSync(path.join(ROOT, name), at(name));
    }
    for (const { name, text } of files) writeFileSync(at(name), text);
    const programs = mkdtempSync(path.join(this.directory, 'bin-'));
    symlinkSync(kubectl, path.join(programs, 'kubectl'));
    symlinkSync(helm, path.join(programs, 'helm'));
    const weft = path.join(programs, 'weft');
    writeFileSync(weft, `#!/bin/sh\nexec ${process.execPath} ${path.join(ROOT, 'dist', 'weft.mjs')} "$@"\n`);
    chmodSync(weft, 0o755);
    const env = { ...process.env, PATH: `${programs}:${process.env.PATH}`, KUBECONFIG: kubeconfig, NO_COLOR: '1' };
    this.shell = new GuideShell({ directory: this.directory, env });
  }

  /** Runs a block. @throws Error naming the command, and what came of it instead of what the page says */
  async block({ steps }: Block): Promise<void> {
    for (const step of steps) await this.step({ ...step, command: withIdsOf(step.command, this.ids) });
  }

  private async step(step: Step): Promise<void> {
    const { command, line } = step;
    const deadline = Date.now() + LOOK_AGAIN_MS;
    for (;;) {
      const answer = await this.shell.run(command, { withinMs: COMMAND_MS, isEnough: (output) => isStopped(step, output) });
      const why = this.falseIn(step, answer);
      if (why === undefined) return;
      if (step.shown.length === 0 || !LOOKS.test(command) || answer.exitCode === undefined || Date.now() > deadline)
        throw new Error(`line ${line}: ${command}\n${why}; it printed:\n${answer.output}`);
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_LOOKS_MS));
    }
  }

  /** What of the page is false. */
  private falseIn({ shown, exitCode }: Step, answer: ShellAnswer): string | undefined {
    if (shown.length > 0) {
      const compared = compareShown(shown, answer.output);
      if (!compared.same) return compared.why;
      for (const [id, printed] of compared.ids) this.ids.set(id, printed);
      // One that goes on is stopped when all that the page shows has come.
      if (answer.exitCode === undefined) return undefined;
    }
    if (answer.exitCode === undefined) return `it does not end, and the page does not show what comes`;
    return answer.exitCode === exitCode ? undefined : `it ends with ${answer.exitCode} instead of ${exitCode}`;
  }

  close(): void {
    this.shell.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A command that follows a log never ends by itself. */
function isStopped({ command, shown }: Step, output: string): boolean {
  return command.endsWith(' --follow') && shown.length > 0 && compareShown(shown, output).same;
}
