// The house's rules as tests: who may import whom, where the outside world may be touched, how large a file may be.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';

const root = path.resolve(import.meta.dirname, '..');
const MAX_LINES = 500;
/** What a call passes through is read more often, and by people who look for one thing. */
const HOT_ROOMS = /^sidecar\/(http|http1|http2|link|tcp|route|balance)\//;
const MAX_HOT_LINES = 350;

/** What each room may import of the others (ARCHITECTURE.md). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  certs: ['core'],
  kube: ['core'],
  objects: ['core', 'kube'],
  'control-plane': ['core', 'objects', 'certs', 'kube'],
  sidecar: ['core'],
  injector: ['core', 'objects', 'certs', 'kube'],
  'node-agent': ['core', 'objects', 'kube'],
  local: ['core', 'objects', 'certs', 'kube', 'injector', 'control-plane', 'sidecar'],
  chart: ['core', 'objects', 'kube'],
  cli: ['core', 'objects', 'certs', 'kube', 'injector', 'control-plane', 'sidecar', 'local', 'chart'],
  examples: [],
};

/**
 * The floors inside a room, from the top down: each imports only what stands below it (ARCHITECTURE.md has the
 * drawing). What shares a floor keeps apart.
 */
const FLOORS: Readonly<Record<string, readonly (string | readonly string[])[]>> = {
  core: ['program', 'contract', 'text'],
  'control-plane': ['main.ts', 'program', 'view', 'lead', 'replicas', 'publish', 'issue', 'source', 'scope.ts', 'translate', 'store'],
  sidecar: [
    'main.ts',
    'program',
    'admin',
    'inbound',
    'outbound',
    'pod',
    'observe',
    'tcp',
    ['http1', 'http2'],
    'forward',
    'balance',
    'control',
    'route',
    'link',
    'http',
  ],
  'node-agent': ['main.ts', 'program.ts', 'capturer.ts', ['process', 'waiting-pod.ts', 'metrics.ts', 'settings.ts']],
  chart: ['render.ts', 'values.ts', ['schema.ts', 'chart.ts', 'chart-kinds.ts', 'template']],
  local: ['mesh', 'process', 'network', 'plan', 'stats'],
  cli: [
    'main.ts',
    'program.ts',
    ['ca', 'check', 'explain', 'inject', 'install', 'migrate', 'run', 'status', 'trace', 'uninstall', 'version'],
    'installation',
    'cluster',
    'print',
  ],
};

/** Floors of a room that are beside each other: neither imports the other, whichever stands higher in the list. */
const APART: ReadonlySet<string> = new Set(['sidecar: inbound -> outbound', 'sidecar: outbound -> inbound']);

/**
 * Rooms of the data plane that see less than what stands below them: codecs and sockets meet in the seam,
 * sidecar/http/, and know nothing else.
 */
const SEES_ONLY: Readonly<Record<string, readonly string[]>> = {
  'sidecar/http': [],
  'sidecar/http1': ['sidecar/http'],
  'sidecar/http2': ['sidecar/http'],
  'sidecar/link': ['sidecar/http'],
  'sidecar/forward': ['sidecar/http', 'sidecar/route', 'sidecar/balance'],
};

/** Packages and modules that only some places may use; the others go through those. */
const ONLY_IN: readonly { what: RegExp; where: RegExp; why: string }[] = [
  { what: /^@kubernetes\/client-node/, where: /^kube\//, why: 'the Kubernetes client stays in one room' },
  {
    what: /^@grpc\/grpc-js/,
    where: /^(control-plane\/(publish|issue|replicas)\/|control-plane\/program\/assemble|examples\/)/,
    why: 'grpc-js must not reach the sidecar',
  },
  { what: /^@peculiar\/x509|^reflect-metadata/, where: /^certs\//, why: 'certificates are issued in certs/' },
  {
    what: /^node:(net|tls)$/,
    where: /^(sidecar\/(link|pod|control)\/|kube\/port-forward\.ts|control-plane\/|certs\/|cli\/|local\/|core\/)/,
    why: 'sockets are opened in link/, by the way to the control plane, and by what asks our own pod',
  },
  {
    what: /^node:http2$/,
    where: /^sidecar\/(control\/grpc-call|pod\/probe\/(grpc|http)-call|link\/grpc-stream)\.ts$/,
    why: 'the data plane has its own engine (decision 1); calls of our own may use it',
  },
];

const EXPORTED_NAME = /^export (?:abstract |async )*(?:class|interface|type|function\*?|const|let) ([A-Za-z_$][\w$]*)/gm;

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

function isGenerated(file: string): boolean {
  return file.startsWith('core/contract/gen/');
}

/** The file that an import names, from the repository's root; null: a package's. */
function targetOf(source: string, imported: string): string | null {
  if (imported.startsWith('#')) return imported.slice(1);
  if (!imported.startsWith('.') || imported.endsWith('/package.json')) return null;
  return path.posix.normalize(path.posix.join(path.posix.dirname(source), imported));
}

function floorOf(floors: readonly (string | readonly string[])[], name: string): number {
  return floors.findIndex((floor) => floor === name || (typeof floor !== 'string' && floor.includes(name)));
}

/**
 * Files that import each other in a ring, types included: the strongly connected parts of the graph, found as Tarjan
 * does.
 * @returns each as its files in order, joined by spaces
 */
function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const order = new Map<string, number>();
  const open: string[] = [];
  const circles: string[] = [];
  const visit = (file: string): number => {
    const number = order.size;
    order.set(file, number);
    open.push(file);
    let low = number;
    for (const target of graph.get(file) ?? []) {
      if (!graph.has(target)) continue;
      if (!order.has(target)) low = Math.min(low, visit(target));
      else if (open.includes(target)) low = Math.min(low, order.get(target)!);
    }
    if (low === number) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1 || graph.get(file)!.includes(file)) circles.push(circle.sort().join(' '));
    }
    return low;
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
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
        const other = targetOf(file, imported)?.split('/')[0] ?? null;
        if (other !== null && other !== room && !MAY_IMPORT[room].includes(other)) wrong.push(`${file} imports ${imported}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('inside a room imports run down its floors only', () => {
    const up = new Set<string>();
    for (const { file, imports } of product) {
      const room = file.split('/')[0];
      const floors = FLOORS[room];
      if (floors === undefined) continue;
      for (const imported of imports) {
        const target = targetOf(file, imported);
        if (target === null || target.split('/')[0] !== room) continue;
        const [from, to] = [file.split('/')[1], target.split('/')[1]];
        const arrow = `${room}: ${from} -> ${to}`;
        const isUp = floorOf(floors, from) >= floorOf(floors, to) || APART.has(arrow);
        if (from !== to && isUp) up.add(`${arrow} (${file} imports ${imported})`);
        if (floorOf(floors, from) === -1) up.add(`${room}: ${from} stands on no floor`);
      }
    }
    expect([...up]).to.deep.equal([]);
  });

  it('codecs and sockets see the seam between them alone', () => {
    const wrong: string[] = [];
    for (const { file, imports } of product) {
      const from = file.split('/').slice(0, 2).join('/');
      const seen = SEES_ONLY[from];
      if (seen === undefined) continue;
      for (const imported of imports) {
        const to = targetOf(file, imported)?.split('/').slice(0, 2).join('/') ?? '';
        if (to.startsWith('sidecar/') && to !== from && !seen.includes(to)) wrong.push(`${file} imports ${imported}`);
      }
    }
    expect(wrong).to.deep.equal([]);
  });

  it('finds circles, of one file or more', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c', 'd']],
      ['c', ['a', 'c', 'a package']],
      ['d', ['d']],
      ['e', ['a']],
    ]);
    expect(circlesOf(graph)).to.deep.equal(['d', 'a b c']);
  });

  it('no files import each other in a circle, not even types', () => {
    const graph = new Map(product.map(({ file, imports }) => [file, imports.flatMap((imported) => targetOf(file, imported) ?? [])]));
    expect(circlesOf(graph)).to.deep.equal([]);
  });

  it('an exported name exists once', () => {
    const files = new Map<string, Set<string>>();
    for (const { file, text } of product.filter(({ file }) => !isGenerated(file) && !file.startsWith('examples/')))
      for (const [, name] of text.matchAll(EXPORTED_NAME)) files.set(name, (files.get(name) ?? new Set()).add(file));
    const twice = [...files].filter(([, places]) => places.size > 1).map(([name, places]) => `${name}: ${[...places].join(', ')}`);
    expect(twice).to.deep.equal([]);
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
      .filter(({ file }) => !/(^|\/)main\.ts$/.test(file) && !/^(cli|local|examples)\//.test(file))
      .filter(({ text }) => /process\.env\b|process\.on\(\s*'SIG/.test(text))
      .map(({ file }) => file);
    expect(wrong).to.deep.equal([]);
  });

  it('pure rooms have no clock, chance, log or I/O', () => {
    const pure = /^(sidecar\/route\/|control-plane\/translate\/|control-plane\/scope\.ts)/;
    const wrong = product
      .filter(({ file }) => pure.test(file))
      .filter(
        ({ text, imports }) =>
          /\bDate\.now\(|\bMath\.random\(|\bperformance\.now\(|console\./.test(text) ||
          imports.some((i) => i.startsWith('node:') && i !== 'node:util'),
      )
      .map(({ file }) => file);
    expect(wrong).to.deep.equal([]);
  });

  it(`no file is longer than ${MAX_LINES} lines, and none that calls pass through longer than ${MAX_HOT_LINES}`, () => {
    const long = all
      .filter(({ file }) => !isGenerated(file))
      .map(({ file, text }) => ({ file, lines: text.split('\n').length - 1 }))
      .filter(({ file, lines }) => lines > (HOT_ROOMS.test(file) ? MAX_HOT_LINES : MAX_LINES));
    expect(long).to.deep.equal([]);
  });

  it('no file is named after nothing', () => {
    expect(all.map(({ file }) => file).filter((file) => FORBIDDEN_NAMES.test(file))).to.deep.equal([]);
  });

  it('each file says in its first line what it is for', () => {
    const silent = product.filter(({ file, text }) => !isGenerated(file) && !/^(#!.*\n)?\/[/*]/.test(text)).map(({ file }) => file);
    expect(silent).to.deep.equal([]);
  });
});
