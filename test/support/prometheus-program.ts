// Prometheus and promtool: the machine's own, else those of the Debian package, unpacked beside the other tools.
// Nothing is installed and no service starts.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { locked, toolsDirectory } from './go-build.ts';

const run = promisify(execFile);
const PACKAGE = 'prometheus';
const PROGRAMS = ['prometheus', 'promtool'] as const;
const COMMAND = `apt-get install --no-install-recommends ${PACKAGE}`;

export interface PrometheusPrograms {
  readonly prometheus: string;
  readonly promtool: string;
}

/**
 * Their files, fetched if need be.
 * @returns the paths, or why they cannot be had (then the test is skipped with that message)
 */
export async function prometheusPrograms(): Promise<PrometheusPrograms | { skip: string }> {
  const installed = programsIn((process.env.PATH ?? '').split(':'));
  if (installed !== undefined) return installed;
  const directory = path.join(toolsDirectory(), `debian-${PACKAGE}`);
  try {
    if (!existsSync(directory)) await fetchInto(directory);
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string };
    return { skip: `prometheus is not here and could not be fetched (${stderr.trim().split('\n').at(-1) || message}): ${COMMAND}` };
  }
  return programsIn([directory])!;
}

function programsIn(directories: readonly string[]): PrometheusPrograms | undefined {
  const [prometheus, promtool] = PROGRAMS.map((name) => directories.map((place) => path.join(place, name)).find(existsSync));
  return prometheus !== undefined && promtool !== undefined ? { prometheus, promtool } : undefined;
}

async function fetchInto(directory: string): Promise<void> {
  mkdirSync(toolsDirectory(), { recursive: true });
  await locked(`${directory}.lock`, async () => {
    if (existsSync(directory)) return;
    const temporary = mkdtempSync(path.join(os.tmpdir(), 'weft-debian-'));
    const unpacked = `${directory}.${process.pid}`;
    try {
      await download(temporary);
      const archive = readdirSync(temporary).find((name) => name.endsWith('.deb'));
      if (archive === undefined) throw new Error(`apt-get brought no package ${PACKAGE}`);
      await run('dpkg-deb', ['-x', archive, 'root'], { cwd: temporary });
      mkdirSync(unpacked, { recursive: true });
      // cp: the temporary directory may be on another file system.
      await run('cp', [...PROGRAMS.map((name) => path.join(temporary, 'root', 'usr', 'bin', name)), unpacked]);
      renameSync(unpacked, directory);
    } finally {
      rmSync(temporary, { recursive: true, force: true });
      rmSync(unpacked, { recursive: true, force: true });
    }
  });
}

/** A machine whose lists of packages are empty or old gets new ones first, where we may. */
async function download(into: string): Promise<void> {
  // apt's own unprivileged user cannot write into our directory, which apt then warns about.
  const args = ['-o', 'APT::Sandbox::User=root', 'download', PACKAGE];
  try {
    await run('apt-get', args, { cwd: into });
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    await run('apt-get', ['update']);
    await run('apt-get', args, { cwd: into });
  }
}
