// The console blocks of the guides and of the README, as far as they hold without a cluster: the verbs of `weft` and
// the files of this repository exist, and so does what a link names. test/cluster/e2e/96-guides.cluster.ts runs the
// guides.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { pageOf } from './support/guide-page.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const VERBS = readdirSync(path.join(ROOT, 'cli')).filter((name) => existsSync(path.join(ROOT, 'cli', name, 'command.ts')));
const GUIDES = readdirSync(path.join(ROOT, 'docs/guides')).map((name) => `docs/guides/${name}`);

it('the guides have commands', () => {
  const blocks = GUIDES.flatMap((file) => pageOf(readFileSync(path.join(ROOT, file), 'utf8')).blocks);
  expect(blocks.length).to.be.greaterThan(20);
});

for (const file of [...GUIDES, 'README.md']) {
  const page = readFileSync(path.join(ROOT, file), 'utf8');

  describe(file, () => {
    const commands = () => pageOf(page).blocks.flatMap(({ steps }) => steps.map(({ command }) => command));

    it('uses verbs that exist', () => {
      const verbs = commands().flatMap((command) =>
        [...command.matchAll(/(?:^|[|;(] ?|npm run -s )weft (?:-- )?([a-z]+)/g)].map(([, verb]) => verb),
      );
      for (const verb of verbs) expect(VERBS, `weft ${verb}`).to.include(verb);
    });

    it('names files that exist', () => {
      const files = commands().flatMap((command) =>
        [...command.matchAll(/(?<![\w/.])(?:examples|manifests|docs|bench)\/[\w./-]+/g)].map(([name]) => name),
      );
      for (const name of files) expect(existsSync(path.join(ROOT, name)), name).to.equal(true);
    });

    it('links to pages that exist', () => {
      const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link]) => link);
      for (const link of links) expect(existsSync(path.resolve(ROOT, path.dirname(file), link)), link).to.equal(true);
    });
  });
}
