// The cache of programs built from Go modules, without Go.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { type GoRecipe, goBuild, recipeDirectory } from './go-build.ts';
import { until } from './until.ts';

const RECIPE: GoRecipe = {
  name: 'tool',
  version: '1.0.0',
  require: { 'example.test/tool': 'v1.0.0' },
  programs: { tool: 'example.test/tool' },
};

/** A process number that no process has: above the kernel's greatest. */
const NOBODY = 2 ** 22 + 1;

describe('programs built from Go modules', () => {
  let cache: string;
  const kept = { PATH: process.env.PATH, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME };
  beforeEach(() => {
    cache = mkdtempSync(path.join(os.tmpdir(), 'weft-go-build-'));
    process.env.XDG_CACHE_HOME = cache;
  });
  afterEach(() => {
    process.env.PATH = kept.PATH;
    if (kept.XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = kept.XDG_CACHE_HOME;
    rmSync(cache, { recursive: true, force: true });
  });

  /** A `go` that knows its version, tidies, and "builds" by writing the file after -o. */
  function fakeGo(build: string, more = ''): void {
    const bin = path.join(cache, 'bin');
    mkdirSync(bin);
    const script = `#!/bin/sh\ncase "$1" in\nbuild) while [ "$1" != "-o" ]; do shift; done; ${build} ;;\n${more}\nesac\n`;
    writeFileSync(path.join(bin, 'go'), script, { mode: 0o755 });
    process.env.PATH = `${bin}:${kept.PATH}`;
  }

  it('are found by version and recipe', async () => {
    mkdirSync(recipeDirectory(RECIPE), { recursive: true });
    process.env.PATH = cache;
    expect(await goBuild(RECIPE)).to.equal(recipeDirectory(RECIPE));
    expect(recipeDirectory({ ...RECIPE, version: '1.0.1' })).to.not.equal(recipeDirectory(RECIPE));
    expect(recipeDirectory({ ...RECIPE, linkFlags: '-s' })).to.not.equal(recipeDirectory(RECIPE));
  });

  it('cannot be had without Go, and say so', async () => {
    process.env.PATH = cache;
    const message = await goBuild(RECIPE).then(
      () => 'built',
      (error: Error) => error.message,
    );
    expect(message).to.equal('tool needs Go to be built, and there is no "go" on the PATH');
  });

  it('are built once for all processes that want them', async () => {
    fakeGo(`echo x >> "${'$'}{0%/*}/../built"; echo program > "$2"`);
    const said: string[] = [];
    const directories = await Promise.all([1, 2, 3].map(() => goBuild(RECIPE, (line) => said.push(line))));
    expect(new Set(directories)).to.deep.equal(new Set([recipeDirectory(RECIPE)]));
    expect(existsSync(path.join(recipeDirectory(RECIPE), 'tool'))).to.equal(true);
    expect(said.filter((line) => line.startsWith('building'))).to.have.length(1);
  });

  it('may be made of a file of a module, with one text in it exchanged', async () => {
    const module = path.join(cache, 'module');
    mkdirSync(module);
    writeFileSync(path.join(module, 'main.go'), 'import "all"\n');
    fakeGo('cat main.go go.mod > "$2"', `mod) [ "$2" = tidy ] || echo '{"Dir":"${module}"}' ;;`);
    const borrowed = { 'main.go': { module: 'example.test/tool', file: 'main.go', from: '"all"', to: '"some"' } };
    const recipe = { ...RECIPE, borrowed, substitute: { 'example.test/log': 'example.test/other v2.0.0' } };
    const text = readFileSync(path.join(await goBuild(recipe), 'tool'), 'utf8');
    expect(text).to.match(/^import "some"\n/);
    expect(text).to.include('replace example.test/log => example.test/other v2.0.0\n');
    const changed = goBuild({ ...recipe, borrowed: { 'main.go': { ...borrowed['main.go'], from: '"none"' } } });
    const message = await changed.then(
      () => 'built',
      (error: Error) => error.message,
    );
    expect(message).to.include('example.test/tool/main.go has no "none"');
  });

  it('that cannot be built leave nothing behind and give the reason', async () => {
    fakeGo('echo "no such module" >&2; exit 1');
    const message = await goBuild(RECIPE).then(
      () => 'built',
      (error: Error) => error.message,
    );
    expect(message).to.match(/^tool 1\.0\.0 could not be built: go build .*no such module/);
    expect(existsSync(recipeDirectory(RECIPE))).to.equal(false);
    expect(existsSync(`${recipeDirectory(RECIPE)}.lock`)).to.equal(false);
  });

  it('whose builder died are built by the next process', async () => {
    fakeGo('echo program > "$2"');
    const lock = `${recipeDirectory(RECIPE)}.lock`;
    mkdirSync(lock, { recursive: true });
    writeFileSync(path.join(lock, 'pid'), String(NOBODY));
    await goBuild(RECIPE);
    expect(existsSync(path.join(recipeDirectory(RECIPE), 'tool'))).to.equal(true);
  });

  it('are waited for while their builder lives', async () => {
    const lock = `${recipeDirectory(RECIPE)}.lock`;
    fakeGo('echo program > "$2"');
    mkdirSync(lock, { recursive: true });
    writeFileSync(path.join(lock, 'pid'), String(process.pid));
    let done = false;
    const building = goBuild(RECIPE).then(() => (done = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(done).to.equal(false);
    rmSync(lock, { recursive: true });
    await building;
    await until(() => existsSync(path.join(recipeDirectory(RECIPE), 'tool')), 'it is built');
  });
});
