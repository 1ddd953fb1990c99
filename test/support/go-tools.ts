// Outside programs that tests drive, built from Go modules: cached by version outside the work tree, so that only the first run pays.
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

interface GoTool {
  /** Module that is required, with its version. */
  readonly module: string;
  readonly version: string;
  /** Package of the program. */
  readonly program: string;
}

const TOOLS = {
  h2spec: { module: 'github.com/summerwind/h2spec', version: 'v2.2.1+incompatible', program: 'github.com/summerwind/h2spec/cmd/h2spec' },
  'interop-client': { module: 'google.golang.org/grpc', version: 'v1.85.0', program: 'google.golang.org/grpc/interop/client' },
  'interop-server': { module: 'google.golang.org/grpc', version: 'v1.85.0', program: 'google.golang.org/grpc/interop/server' },
} satisfies Record<string, GoTool>;

export type GoToolName = keyof typeof TOOLS;

function cacheDirectory(): string {
  return path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'weft', 'tools');
}

function go(args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, GOTOOLCHAIN: 'auto', GOFLAGS: '-mod=mod', CGO_ENABLED: '0' };
    execFile('go', args, { cwd, env, maxBuffer: 1 << 24 }, (error, _stdout, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`go ${args.join(' ')}: ${stderr.trim().split('\n').slice(-3).join(' | ') || error.message}`));
    });
  });
}

function hasGo(): Promise<boolean> {
  return new Promise((resolve) => execFile('go', ['version'], (error) => resolve(error === null)));
}

/**
 * The program's file, built if it is not in the cache.
 * @returns the path, or why it cannot be had (then the test is skipped with that message)
 */
export async function goTool(name: GoToolName): Promise<{ path: string } | { skip: string }> {
  const tool: GoTool = TOOLS[name];
  const binary = path.join(cacheDirectory(), `${name}-${tool.version.replace(/[^\w.]/g, '-')}`);
  if (existsSync(binary)) return { path: binary };
  if (!(await hasGo())) return { skip: `${name} needs Go to be built, and there is no "go" on the PATH` };
  mkdirSync(cacheDirectory(), { recursive: true });
  const module = mkdtempSync(path.join(os.tmpdir(), `weft-${name}-`));
  try {
    writeFileSync(path.join(module, 'go.mod'), `module build\n\ngo 1.24\n\nrequire ${tool.module} ${tool.version}\n`);
    writeFileSync(path.join(module, 'tool.go'), `//go:build tools\n\npackage build\n\nimport _ "${tool.program}"\n`);
    await go(['mod', 'tidy'], module);
    await go(['build', '-o', 'program', tool.program], module);
    // Moved in one step: a test that runs at the same time sees all of it or nothing.
    const temporary = `${binary}.${process.pid}`;
    copyFileSync(path.join(module, 'program'), temporary);
    renameSync(temporary, binary);
    return { path: binary };
  } catch (error) {
    return { skip: `${name} could not be built: ${(error as Error).message}` };
  } finally {
    rmSync(module, { recursive: true, force: true });
  }
}
