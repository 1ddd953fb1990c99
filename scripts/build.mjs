// Bundles each program into an ES module under dist/, and the example's services into examples/shop/dist/. What a
// program imports only when it needs it is in files beside it, <program>-<hash>.mjs. A bundle starts faster and smaller
// than stripped sources.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Program → entry, relative to the repository. An entry that does not exist yet is left out. */
export const BUNDLES = [
  { out: 'dist/weft.mjs', entry: 'cli/main.ts', chart: 'manifests/helm/weft' },
  // Source text stays in memory: minified, an idle sidecar needs 2 MiB less.
  { out: 'dist/sidecar.mjs', entry: 'sidecar/main.ts', minify: true, lazyBuiltins: ['http', 'fs'] },
  { out: 'dist/capture.mjs', entry: 'sidecar/pod/capture/main.ts', minify: true },
  { out: 'dist/ready.mjs', entry: 'sidecar/pod/ready/main.ts', minify: true },
  { out: 'dist/control-plane.mjs', entry: 'control-plane/main.ts' },
  { out: 'dist/injector.mjs', entry: 'injector/main.ts' },
  { out: 'dist/node-agent.mjs', entry: 'node-agent/main.ts' },
  { out: 'examples/shop/dist/payment.mjs', entry: 'examples/shop/payment.ts' },
  { out: 'examples/shop/dist/checkout.mjs', entry: 'examples/shop/checkout.ts' },
];

/**
 * Packages get these modules of Node by process.getBuiltinModule(): an import would read every property of the module,
 * among them getters that load
 * undici and streams, 2 MB of a sidecar's memory (Node 24). They are the same modules, so that tests, which run the
 * sources, run the same program;
 * what is behind a getter is missing, and a package that imports it fails to build.
 * @returns a plugin of esbuild
 */
function loadLazily(names) {
  const filter = new RegExp(`^(?:node:)?(?:${names.join('|')})$`);
  return {
    name: 'lazy-builtins',
    setup({ onResolve, onLoad }) {
      onResolve({ filter }, ({ path, importer }) =>
        importer.includes(`${sep}node_modules${sep}`) ? { path: path.replace('node:', ''), namespace: 'lazy-builtin' } : undefined,
      );
      onLoad({ filter: /^/, namespace: 'lazy-builtin' }, ({ path }) => {
        const properties = Object.entries(Object.getOwnPropertyDescriptors(process.getBuiltinModule(path)));
        const plain = properties.filter(([, { get }]) => get === undefined).map(([name]) => name);
        return { contents: `export const { ${plain.join(', ')} } = process.getBuiltinModule(${JSON.stringify(path)});` };
      });
    },
  };
}

/** The chart's files as text: `weft install` has them in its bundle, as WEFT_CHART_FILES of chart/chart.ts. */
function chartFiles(directory) {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(directory, path).split(sep).join('/'), readFileSync(path, 'utf8')];
    }),
  );
}

/** Bundles one program. Files that an earlier build left beside it and that it no longer loads are removed. */
async function bundleProgram(root, bundle) {
  const name = basename(bundle.out, '.mjs');
  const directory = dirname(bundle.out);
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { [name]: bundle.entry },
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    // Without it esbuild initializes modules of a program with dynamic imports in another order than the language does,
    // which breaks some.
    splitting: true,
    chunkNames: `${name}-[hash]`,
    metafile: true,
    minify: bundle.minify ?? false,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'linked',
    legalComments: 'none',
    logLevel: 'warning',
    external: ['koffi'],
    plugins: bundle.lazyBuiltins === undefined ? [] : [loadLazily(bundle.lazyBuiltins)],
    define: bundle.chart === undefined ? {} : { WEFT_CHART_FILES: JSON.stringify(chartFiles(join(root, bundle.chart))) },
    // CommonJS dependencies (grpc-js) call require(), which an ES module does not have.
    banner: {
      js: "import { createRequire as weftCreateRequire } from 'node:module'; const require = weftCreateRequire(import.meta.url);",
    },
  });
  const written = new Set(Object.keys(metafile.outputs).map((file) => basename(file)));
  const ours = new RegExp(`^${name}-[A-Z0-9]{8}\\.mjs(\\.map)?$`);
  for (const file of readdirSync(join(root, directory))) {
    if (ours.test(file) && !written.has(file)) rmSync(join(root, directory, file), { force: true });
  }
}

/** @returns {Promise<string[]>} the bundles written, relative to the repository */
export async function buildAll(root = ROOT) {
  const present = BUNDLES.filter((bundle) => existsSync(join(root, bundle.entry)));
  await Promise.all(present.map((bundle) => bundleProgram(root, bundle)));
  return present.map((bundle) => bundle.out);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const startedAt = Date.now();
  const written = await buildAll();
  process.stderr.write(`built ${written.join(', ')} in ${Date.now() - startedAt} ms\n`);
}
