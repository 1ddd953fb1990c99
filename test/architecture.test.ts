// The house's rules as tests: who may import whom, where the outside world may be touched, how large a file may be.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

const root = path.resolve(import.meta.dirname, '..');
const MAX_LINES = 500;

/** What each room may import of the others (ARCHITECTURE.md). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  certs: ['core'],
  kube: ['core'],
  'control-plane': ['core', 'certs', 'kube'],
  sidecar: ['core'],
  injector: ['core', 'certs', 'kube'],
  cli: ['core', 'certs', 'kube', 'injector', 'control-plane', 'sidecar'],
  examples: [],
};

/** Packages and modules that only some places may use; the others go through those. */
const ONLY_IN: readonly { what: RegExp; where: RegExp; why: string }[] = [
  { what: /^@kubernetes\/client-node/, where: /^kube\//, why: 'the Kubernetes client stays in one room' },
  {
    what: /^@grpc\/grpc-js/,
    where: /^(control-plane\/(publish|issue)\/|core\/wire\.ts|control-plane\/assemble|examples\/)/,
    why: 'grpc-js must not reach the sidecar',
  },
  { what: /^@peculiar\/x509|^reflect-metadata/, where: /^certs\//, why: 'certificates are issued in certs/' },
  {
    what: /^node:(net|tls)$/,
    where: /^(sidecar\/(accept|capture|forward|probe)\/|sidecar\/config\/|kube\/port-forward\.ts|control-plane\/|certs\/|cli\/|core\/)/,
    why: 'sockets are opened in accept/, by the dialler, and by what asks our own pod',
  },
  { what: /^node:http2$/, where: /^sidecar\/config\/grpc-call\.ts$/, why: 'the data plane has its own engine (decision 1)' },
];

const FORBIDDEN_NAMES = /(^|[-_/])(utils?|helpers?|common|manager|misc)([-_.]|\/|$)/i;

interface Source {
  file: string;
  text: string;
  imports: string[];
}

function sources(): Source[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '--', '*.ts', '*.mjs'], { cwd: root, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);
  return listed
    .filter((file) => fs.existsSync(path.join(root, file)))
    .map((file) => {
      const text = fs.readFileSync(path.join(root, file), 'utf8');
      const imports = [...text.matchAll(/^\s*(?:import|export)\b[^'"]*?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm)].map(
        (m) => m[1] ?? m[2],
      );
      return { file, text, imports };
    });
}

function roomOf(source: string, imported: string): string | null {
  if (imported.startsWith('#')) return imported.slice(1).split('/')[0];
  if (!imported.startsWith('.') || imported.endsWith('/package.json')) return null;
  return path.relative(root, path.resolve(root, path.dirname(source), imported)).split(path.sep)[0];
}

describe('architecture', () => {
  const all = sources();
  const product = all.filter(({ file }) => Object.hasOwn(MAY_IMPORT, file.split('/')[0]));

  it('finds the sources', () => {
    expect(product.length).to.be.greaterThan(50);
  });

  it('rooms import only what the table allows', () => {
    const wrong: string[] = [];
    for (const { file, imports } of product) {
      const room = file.split('/')[0];
      for (const imported of imports) {
        const other = roomOf(file, imported);
        if (other !== null && other !== room && !MAY_IMPORT[room].includes(other)) wrong.push(`${file} imports ${imported}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('the outside world is touched where it may be', () => {
    const wrong: string[] = [];
    for (const { file, imports } of product) {
      for (const imported of imports) {
        for (const { what, where, why } of ONLY_IN)
          if (what.test(imported) && !where.test(file)) wrong.push(`${file} imports ${imported}: ${why}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('only programs read the environment and take signals', () => {
    const wrong = product
      .filter(({ file }) => !/(^|\/)main\.ts$/.test(file) && !/^(cli|examples)\//.test(file))
      .filter(({ text }) => /process\.env\b|process\.on\(\s*'SIG/.test(text))
      .map(({ file }) => file);
    expect(wrong).to.deep.equal([]);
  });

  it('pure rooms have no clock, chance, log or I/O', () => {
    const pure =
      /^(sidecar\/route\/|sidecar\/config\/(compile|candidate|plain|string|latin1)|control-plane\/translate\/|control-plane\/scope\.ts)/;
    const wrong = product
      .filter(({ file }) => pure.test(file))
      .filter(
        ({ text, imports }) =>
          /\bDate\.now\(|\bMath\.random\(|\bperformance\.now\(|console\./.test(text) || imports.some((i) => i.startsWith('node:')),
      )
      .map(({ file }) => file);
    expect(wrong).to.deep.equal([]);
  });

  it(`no file is longer than ${MAX_LINES} lines`, () => {
    const long = all
      .filter(({ file }) => !file.startsWith('core/gen/'))
      .map(({ file, text }) => ({ file, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).to.deep.equal([]);
  });

  it('no file is named after nothing', () => {
    expect(all.map(({ file }) => file).filter((file) => FORBIDDEN_NAMES.test(file))).to.deep.equal([]);
  });

  it('each file says in its first line what it is for', () => {
    const silent = product
      .filter(({ file, text }) => !file.startsWith('core/gen/') && !/^(#!.*\n)?\/[/*]/.test(text))
      .map(({ file }) => file);
    expect(silent).to.deep.equal([]);
  });
});
