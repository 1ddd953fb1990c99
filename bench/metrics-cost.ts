// What counting costs per call: in a loop of its own, and as a sidecar whose counters do nothing.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';
import { SIDECAR_NODE_FLAGS } from '#core/contract/environment.ts';

const ROOT = path.join(import.meta.dirname, '..');
const LOOP = path.join(import.meta.dirname, 'metrics-loop.ts');
/** Inside the repository, where the sidecar finds its packages. */
const UNCOUNTED = path.join(import.meta.dirname, '.cache', 'uncounted');
/**
 * Appended to the series' module. A sidecar whose series are counted by another name does not start with it, rather
 * than count.
 */
const COUNT_NOTHING = `if (typeof RequestSeries.prototype.ended !== 'function') throw new Error('series are not counted by ended()');
RequestSeries.prototype.ended = () => {};`;
const STUCK_MS = 60_000;

export interface MetricsCost {
  /** Of a call whose trace is not recorded, in ns. */
  readonly ns: number;
  /** Of a call whose trace is recorded, in ns. */
  readonly withExemplarNs: number;
}

/** Runs the loop on one core, with the sidecar's flags. @throws when it fails */
export function measureMetrics(core: number): Promise<MetricsCost> {
  const command = ['-c', `${core}`, process.execPath, ...SIDECAR_NODE_FLAGS, LOOP];
  return new Promise((resolve, reject) => {
    execFile('taskset', command, { timeout: STUCK_MS }, (error, stdout, stderr) => {
      if (error !== null)
        reject(new Error(`the loop of counters failed: ${stderr.trim().split('\n').slice(0, 3).join(' | ') || error.message}`));
      else resolve(JSON.parse(stdout) as MetricsCost);
    });
  });
}

/** Bundles the sidecar with series that count nothing; the product has no switch for it. @returns the program */
export async function buildUncounted(): Promise<string> {
  const program = path.join(UNCOUNTED, 'sidecar.mjs');
  let replaced = false;
  await build({
    absWorkingDir: ROOT,
    entryPoints: ['sidecar/main.ts'],
    outdir: UNCOUNTED,
    entryNames: 'sidecar',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    legalComments: 'none',
    logLevel: 'warning',
    external: ['koffi'],
    banner: {
      js: "import { createRequire as weftCreateRequire } from 'node:module'; const require = weftCreateRequire(import.meta.url);",
    },
    plugins: [
      {
        name: 'uncounted',
        setup: ({ onLoad }) => {
          onLoad({ filter: /sidecar\/telemetry\/request-series\.ts$/ }, async ({ path: file }) => {
            replaced = true;
            return { contents: `${await readFile(file, 'utf8')}\n${COUNT_NOTHING}\n`, loader: 'ts' };
          });
        },
      },
    ],
  });
  if (!replaced) throw new Error("the module of the series was not found among the sidecar's");
  return program;
}
