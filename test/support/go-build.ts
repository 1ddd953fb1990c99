// Programs built from Go modules: cached by version outside the work tree, so that only the first run on a machine
// takes long.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface GoRecipe {
  readonly name: string;
  readonly version: string;
  /** Modules that are required → version. */
  readonly require: Readonly<Record<string, string>>;
  readonly replace?: Readonly<Record<string, string>>;
  /** Replaced by another module: name → its name and version. */
  readonly substitute?: Readonly<Record<string, string>>;
  /** A module whose own go.mod requires siblings as v0.0.0: each is replaced by the sibling's release `version`. */
  readonly siblings?: { readonly of: string; readonly version: string };
  /** Program's file name → its package; '.' is the package made of `sources` or `borrowed`. */
  readonly programs: Readonly<Record<string, string>>;
  readonly sources?: Readonly<Record<string, string>>;
  /** Sources taken from a required module, with one text in them exchanged: file name → where it is. */
  readonly borrowed?: Readonly<
    Record<string, { readonly module: string; readonly file: string; readonly from: string; readonly to: string }>
  >;
  readonly linkFlags?: string;
  /** The programs run in images that have no C library. */
  readonly static?: boolean;
  /** `go test -c` of the package made of `sources` instead of `go build`. */
  readonly test?: boolean;
}

/** The Go language version that throw-away modules say; a newer toolchain is fetched when a requirement wants it. */
const GO_LANGUAGE = '1.24';
const LOCK_POLL_MS = 100;
/**
 * A lock directory in which no process has put its number after this time was left by one that died between the two
 * steps.
 */
const LOCK_NAMELESS_MS = 10_000;

/** Where what tests build or fetch is kept, for all clones of this user. */
export function toolsDirectory(): string {
  return path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'weft', 'tools');
}

/**
 * Runs the go command.
 * @returns its standard output. @throws Error with the last lines of what it said
 */
export function go(args: readonly string[], cwd: string, settings: { static?: boolean } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    // GOWORK and a GOFLAGS of the user's would change what is built.
    const env: NodeJS.ProcessEnv = { ...process.env, GOTOOLCHAIN: 'auto', GOFLAGS: '-mod=mod', GOWORK: 'off' };
    if (settings.static) env.CGO_ENABLED = '0';
    execFile('go', args, { cwd, env, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`go ${args.slice(0, 3).join(' ')}: ${stderr.trim().split('\n').slice(-3).join(' | ') || error.message}`));
    });
  });
}

/** Whether Go can be run at all. */
export function hasGo(): Promise<boolean> {
  return new Promise((resolve) => execFile('go', ['version'], (error) => resolve(error === null)));
}

function recipeKey(recipe: GoRecipe): string {
  const digest = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 8);
  return `${recipe.name}-${recipe.version.replace(/[^\w.]/g, '-')}-${digest}`;
}

/** The folder the recipe's programs are in, or will be once built. */
export function recipeDirectory(recipe: GoRecipe): string {
  return path.join(toolsDirectory(), recipeKey(recipe));
}

async function goMod(recipe: GoRecipe, module: string): Promise<string> {
  const replace: Record<string, string> = { ...recipe.replace };
  if (recipe.siblings) {
    const { of, version } = recipe.siblings;
    const download = JSON.parse(await go(['mod', 'download', '-json', `${of}@${recipe.require[of]}`], module)) as { GoMod: string };
    for (const [, sibling] of readFileSync(download.GoMod, 'utf8').matchAll(/^\s*(\S+) v0\.0\.0\s*(?:\/\/.*)?$/gm))
      replace[sibling] = version;
  }
  return [
    'module build',
    `go ${GO_LANGUAGE}`,
    ...Object.entries(recipe.require).map(([name, version]) => `require ${name} ${version}`),
    ...Object.entries(replace).map(([name, version]) => `replace ${name} => ${name} ${version}`),
    ...Object.entries(recipe.substitute ?? {}).map(([name, other]) => `replace ${name} => ${other}`),
    '',
  ].join('\n');
}

async function build(recipe: GoRecipe, into: string): Promise<void> {
  const module = mkdtempSync(path.join(os.tmpdir(), `weft-build-${recipe.name}-`));
  try {
    // A go.mod has to be there for `go mod download` to take a module from the proxy and not from a workspace around
    // us.
    writeFileSync(path.join(module, 'go.mod'), `module build\n\ngo ${GO_LANGUAGE}\n`);
    writeFileSync(path.join(module, 'go.mod'), await goMod(recipe, module));
    for (const [file, text] of Object.entries(recipe.sources ?? {})) writeFileSync(path.join(module, file), text);
    for (const [file, { module: of, file: at, from, to }] of Object.entries(recipe.borrowed ?? {})) {
      const { Dir } = JSON.parse(await go(['mod', 'download', '-json', `${of}@${recipe.require[of]}`], module)) as { Dir: string };
      const text = readFileSync(path.join(Dir, at), 'utf8');
      if (!text.includes(from)) throw new Error(`${of}/${at} has no ${from}`);
      writeFileSync(path.join(module, file), text.replace(from, to));
    }
    const packages = Object.values(recipe.programs);
    if (!recipe.sources && !recipe.borrowed) {
      const imports = packages.map((name) => `import _ "${name}"\n`).join('');
      writeFileSync(path.join(module, 'tools.go'), `//go:build tools\n\npackage build\n\n${imports}`);
    }
    await go(['mod', 'tidy'], module);
    const flags = recipe.linkFlags ? ['-ldflags', recipe.linkFlags] : [];
    if (recipe.test) await go(['test', '-c', ...flags, '-o', path.join(into, Object.keys(recipe.programs)[0]), '.'], module, recipe);
    else if (packages.length === 1) {
      await go(['build', ...flags, '-o', path.join(into, Object.keys(recipe.programs)[0]), packages[0]], module, recipe);
    } else {
      await go(['build', ...flags, '-o', `${into}/`, ...packages], module, recipe);
      // In two steps: one program's package may end in another's name.
      const named = Object.entries(recipe.programs);
      for (const [name, from] of named) renameSync(path.join(into, path.basename(from)), path.join(into, `.${name}`));
      for (const [name] of named) renameSync(path.join(into, `.${name}`), path.join(into, name));
    }
  } finally {
    rmSync(module, { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Holds `lock` (a directory with the holder's pid in it) while `work` runs, and waits for its holder first; takes the
 * lock over from a holder that died.
 */
export async function locked<T>(lock: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    try {
      const age = Date.now() - statSync(lock).mtimeMs;
      const holder = existsSync(path.join(lock, 'pid')) ? Number(readFileSync(path.join(lock, 'pid'), 'utf8')) : 0;
      if (holder > 0 ? !isAlive(holder) : age > LOCK_NAMELESS_MS) rmSync(lock, { recursive: true, force: true });
    } catch {
      // Given back between two looks at it.
    }
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
  try {
    writeFileSync(path.join(lock, 'pid'), String(process.pid));
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/**
 * The folder with the recipe's programs, built if it is not in the cache. Two processes that want the same build it
 * once.
 * @param say receives a line about what takes long. @throws Error that names the program and what Go said
 */
export async function goBuild(recipe: GoRecipe, say: (line: string) => void = () => {}): Promise<string> {
  const directory = recipeDirectory(recipe);
  if (existsSync(directory)) return directory;
  if (!(await hasGo())) throw new Error(`${recipe.name} needs Go to be built, and there is no "go" on the PATH`);
  mkdirSync(toolsDirectory(), { recursive: true });
  await locked(`${directory}.lock`, async () => {
    if (existsSync(directory)) return;
    const startedAt = Date.now();
    say(`building ${recipe.name} ${recipe.version} …`);
    const temporary = `${directory}.${process.pid}`;
    mkdirSync(temporary, { recursive: true });
    try {
      await build(recipe, temporary);
      // Moved in one step, so that another process sees all of it or nothing.
      renameSync(temporary, directory);
    } catch (error) {
      throw new Error(`${recipe.name} ${recipe.version} could not be built: ${(error as Error).message}`);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
    say(`built ${recipe.name} ${recipe.version} in ${Math.round((Date.now() - startedAt) / 1000)} s`);
  });
  return directory;
}
