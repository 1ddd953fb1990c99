// The guides' console blocks, as far as they hold without a cluster: each line is a command, the verbs of `weft` and the
// files of this repository exist, and so does what a link names.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

const ROOT = path.resolve(import.meta.dirname, '..');
const GUIDES = path.join(ROOT, 'docs/guides');
const VERBS = readdirSync(path.join(ROOT, 'cli')).filter((name) => existsSync(path.join(ROOT, 'cli', name, 'command.ts')));

/** The commands of a page's console blocks. Other lines of a block are output. */
function commandsOf(page: string): string[] {
  return [...page.matchAll(/^```console\n([\s\S]*?)^```$/gm)].flatMap(([, block]) =>
    block
      .split('\n')
      .filter((line) => line.startsWith('$ '))
      .map((line) => line.slice(2)),
  );
}

for (const name of readdirSync(GUIDES)) {
  const page = readFileSync(path.join(GUIDES, name), 'utf8');

  describe(`docs/guides/${name}`, () => {
    it('has commands, and uses verbs that exist', () => {
      const commands = commandsOf(page);
      expect(commands.length).to.be.greaterThan(0);
      const verbs = commands.flatMap((command) => [...command.matchAll(/(?:^|[|;(] ?)weft ([a-z]+)/g)].map(([, verb]) => verb));
      for (const verb of verbs) expect(VERBS, `weft ${verb}`).to.include(verb);
    });

    it('names files that exist', () => {
      const files = commandsOf(page).flatMap((command) =>
        [...command.matchAll(/(?<![\w/.])(?:examples|manifests|docs|bench)\/[\w./-]+/g)].map(([file]) => file),
      );
      for (const file of files) expect(existsSync(path.join(ROOT, file)), file).to.equal(true);
    });

    it('links to pages that exist', () => {
      const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link]) => link);
      for (const link of links) expect(existsSync(path.resolve(GUIDES, link)), link).to.equal(true);
    });
  });
}
