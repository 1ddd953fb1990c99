// Which packages' code a sidecar has loaded: V8's coverage names the files, their source maps what is bundled in them.
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { probe } from './check.ts';
import type { Work } from './peers/peer.ts';
import { PROGRAM, weftOf } from './peers/weft.ts';

/**
 * Starts a sidecar, sends it some calls and stops it.
 * @returns the packages under this scope, sorted.
 * @throws when it leaves no coverage behind
 */
export async function loadedPackages(work: Work, scope: string, body: Buffer): Promise<string[]> {
  const coverage = mkdtempSync(path.join(work.directory, 'coverage-'));
  const running = await weftOf('weft', { program: PROGRAM, environment: { NODE_V8_COVERAGE: coverage } }).start(work);
  try {
    await probe(running.host, running.port, work.path, body);
  } finally {
    await running.stop();
  }
  const files = readdirSync(coverage).filter((name) => name.endsWith('.json'));
  if (files.length === 0) throw new Error('the sidecar did not say which code it loaded: it was killed before it ended');
  const scripts = files.flatMap((name) => (JSON.parse(readFileSync(path.join(coverage, name), 'utf8')) as Coverage).result);
  const loaded = scripts.filter(({ url }) => url.startsWith('file://')).map(({ url }) => fileURLToPath(url));
  if (!loaded.includes(PROGRAM)) throw new Error(`no trace of ${PROGRAM} in its own coverage`);
  return packagesOf(
    loaded.flatMap((file) => (JSON.parse(readFileSync(`${file}.map`, 'utf8')) as { sources: string[] }).sources),
    scope,
  );
}

interface Coverage {
  readonly result: readonly { readonly url: string }[];
}

/**
 * @param sources paths as in a source map
 * @param scope "@scope"
 * @returns "@scope/name" of those in node_modules, sorted, each once
 */
export function packagesOf(sources: readonly string[], scope: string): string[] {
  const names = sources.map((source) => source.split('node_modules/').pop()!.split('/').slice(0, 2));
  return [...new Set(names.filter(([first]) => first === scope).map((parts) => parts.join('/')))].sort();
}
