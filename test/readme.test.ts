// The README's commands that need no cluster print what it shows. The view of `npm start` needs a terminal and is left
// to test/cli/run/view/.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { pageOf, type Step } from './support/guide-page.ts';
import { GuideShell } from './support/guide-shell.ts';
import { compareShown } from './support/shown-output.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const WITHIN_MS = 120_000;

describe('README.md', function () {
  this.timeout(2 * WITHIN_MS);
  let shell: GuideShell;

  before(() => {
    shell = new GuideShell({ directory: ROOT, env: { ...process.env, NO_COLOR: '1' } });
  });

  after(() => shell.close());

  it('shows what npm start says until all pods are ready', async () => {
    const { command, shown } = step('npm start');
    const view = shown.findIndex((line) => line.startsWith('weft run '));
    expect(view).to.be.greaterThan(2);
    // npm says which script it runs, and pods start in any order.
    const first = [...shown.slice(0, view).flatMap((line) => ['...', line]), '...'];
    const isEnough = (output: string) => compareShown(first, output).same;
    const { output } = await shell.run(command, { withinMs: WITHIN_MS, isEnough });
    expect(compareShown(first, output), output).to.include({ same: true });
  });

  it('shows what weft explain says', async () => {
    const { command, shown } = step('npm run weft -- explain');
    const { output, exitCode } = await shell.run(command, { withinMs: WITHIN_MS });
    expect(exitCode).to.equal(0);
    expect(compareShown(['...', ...shown], output), output).to.include({ same: true });
  });
});

/** The first command that begins so. */
function step(beginning: string): Step {
  const steps = pageOf(readFileSync(path.join(ROOT, 'README.md'), 'utf8')).blocks.flatMap((block) => block.steps);
  const found = steps.find(({ command }) => command.startsWith(beginning));
  if (found === undefined) throw new Error(`the README has no command that begins with ${beginning}`);
  return found;
}
