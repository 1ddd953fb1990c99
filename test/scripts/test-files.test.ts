// `npm test -- FILE`: just that file runs, with the settings of all others.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const { mochaArguments } = (await import(new URL('../../scripts/test-files.mjs', import.meta.url).href)) as {
  mochaArguments(configFile: string, args: readonly string[]): { named: boolean; words: string[] };
};
const CONFIG = path.join(ROOT, '.mocharc.json');

describe('scripts: the files that npm test runs', () => {
  it('are all of the configuration where none is named', () => {
    expect(mochaArguments(CONFIG, ['-g', 'scripts'])).to.deep.equal({ named: false, words: ['--config', CONFIG, '-g', 'scripts'] });
  });

  it('are those that are named, with the other settings of the configuration', () => {
    const folder = 'test/scripts/**/*.{test,cluster}.ts';
    for (const [written, file] of [
      ['test/scripts/test-files.test.ts', 'test/scripts/test-files.test.ts'],
      ['test/scripts/*.test.ts', 'test/scripts/*.test.ts'],
      ['test/scripts', folder],
      ['test/scripts/', folder],
    ]) {
      const { named, words } = mochaArguments(CONFIG, [written, '-g', 'x']);
      expect(named, file).to.equal(true);
      expect(words, file).to.include.members(['--no-config', '--extension=ts', '--timeout=60000', file, '-g', 'x']);
      expect(words.join(' '), file).not.to.match(/spec|parallel|jobs/);
    }
  });

  it('take no value of an option for a file', () => {
    expect(mochaArguments(CONFIG, ['--grep', 'sidecar']).named).to.equal(false);
    expect(mochaArguments(CONFIG, ['-g', 'test']).named).to.equal(false);
  });

  it('run alone under mocha', () => {
    const { words } = mochaArguments(CONFIG, ['test/scripts/test-files.test.ts', '-g', 'take no value of an option']);
    const { stdout } = spawnSync(process.execPath, [path.join(ROOT, 'node_modules/mocha/bin/mocha.js'), ...words], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(stdout).to.match(/^\s*1 passing/m);
  });
});
