// What failed, as the end of a log says it. The lists are made by mocha itself.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';

interface Failure {
  name: string;
  lines: string[];
}

const ROOT = path.resolve(import.meta.dirname, '..', '..');
const { failuresOf, failureReport, startOf, endOf } = (await import(new URL('../../scripts/failures.mjs', import.meta.url).href)) as {
  failuresOf(output: string): Failure[];
  failureReport(failures: Failure[]): string;
  startOf(name: string, output: string): Failure;
  endOf(name: string, output: string): Failure;
};

const TESTS = `
import { expect } from ${JSON.stringify(import.meta.resolve('chai'))};
describe('outer', () => {
  describe('inner', () => {
    it('passes', () => {});
    it('compares', () => expect({ a: 1 }).to.deep.equal({ a: 2 }));
    it('says a list', () => { throw new Error('two things:\\n\\n  2) not a failure of its own\\n  1) nor this'); });
  });
  describe('hooked', () => {
    before(() => { throw new Error('no backend'); });
    it('never runs', () => {});
  });
});
`;

describe('what failed', () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'weft-failures-'));
    writeFileSync(path.join(directory, 'some.test.mjs'), TESTS);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function mocha(env: Record<string, string>): string {
    const program = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const args = [program, '--no-config', path.join(directory, 'some.test.mjs')];
    return spawnSync(process.execPath, args, { cwd: directory, env: { ...process.env, ...env }, encoding: 'utf8' }).stdout;
  }

  for (const [colours, env] of [
    ['with', { FORCE_COLOR: '1' }],
    ['without', { FORCE_COLOR: '0' }],
  ] as const) {
    it(`is read from mocha's closing list, ${colours} colours`, () => {
      const failures = failuresOf(mocha(env));
      expect(failures.map(({ name }) => name)).to.deep.equal([
        'outer › inner › compares',
        'outer › inner › says a list',
        'outer › hooked › "before all" hook for "never runs"',
      ]);
      expect(failures[0].lines.join('\n'))
        .to.match(/AssertionError: expected .* to deeply equal/)
        .and.match(/at .*some\.test\.mjs:6:/);
      expect(failures[1].lines.join('\n')).to.include('nor this');
      expect(failures[2].lines.join('\n')).to.include('no backend');
    });
  }

  it('is nothing where no test failed', () => {
    expect(failuresOf('  3 passing (1s)\n\n')).to.deep.equal([]);
    expect(failureReport([])).to.equal('');
  });

  it('names everything and shows where each failure happened', () => {
    const report = failureReport([
      startOf('lint', '\nsome.ts:1:1 no\n\n'),
      endOf('mocha ended with exit code 1', 'SyntaxError: Unexpected token\n'),
    ]);
    expect(report).to.equal(
      'what failed:\n  lint\n    some.ts:1:1 no\n  mocha ended with exit code 1\n    SyntaxError: Unexpected token\n',
    );
  });

  it('stays short however much fails', () => {
    const long = Array.from({ length: 100 }, (_, i) => `line ${i} ${'x'.repeat(400)}`);
    for (const count of [1, 30, 100, 5000]) {
      const lines = failureReport(Array.from({ length: count }, (_, i) => ({ name: `test ${i}`, lines: long }))).split('\n');
      expect(lines.length, `${count} failures`).to.be.within(20, 210);
      expect(Math.max(...lines.map((line) => line.length))).to.be.at.most(300);
      expect(lines).to.include('  test 0');
      if (count <= 100) expect(lines).to.include(`  test ${count - 1}`);
    }
  });
});

describe('.ci/run', () => {
  const NPM = {
    'both kinds pass': {
      script: 'echo "2 passed, 0 failed"',
      code: 0,
      end: ['4 passed, 0 failed'],
    },
    'a test of the first kind fails': {
      script: `case $2 in test) printf 'what failed:\\n  outer\\n    Error: no\\n1 passed, 1 failed\\n'; exit 1;; *) echo '2 passed, 0 failed';; esac`,
      code: 1,
      end: ['what failed in npm run test:', '  outer', '    Error: no', '3 passed, 1 failed'],
    },
    'the first kind breaks off': {
      script: `case $2 in test) echo 'no space left' >&2; exit 7;; *) echo '2 passed, 0 failed';; esac`,
      code: 1,
      end: ['what failed in npm run test:', '  broke off with exit code 7, after saying', '    no space left', '2 passed, 1 failed'],
    },
  };
  for (const [name, { script, code, end }] of Object.entries(NPM)) {
    it(`says at its end: ${name}`, () => {
      const directory = mkdtempSync(path.join(tmpdir(), 'weft-ci-'));
      try {
        writeFileSync(path.join(directory, 'npm'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
        const env = { ...process.env, PATH: `${directory}:${process.env.PATH}` };
        const { stdout, status } = spawnSync(path.join(ROOT, '.ci', 'run'), { env, encoding: 'utf8' });
        expect(stdout.trimEnd().split('\n').slice(-end.length)).to.deep.equal(end);
        expect(status).to.equal(code);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  }
});
