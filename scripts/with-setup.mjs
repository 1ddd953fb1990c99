// Runs one of the project's verbs (start, test, test:cluster, test:chaos, test:scale, cluster, bench, weft) on a machine
// that has only some Node (18 or newer) and npm: installs the packages when the lock file is newer than they are,
// builds when sources are newer, then uses Node 24 from node_modules. Standard output belongs to the verb alone: all
// messages of this script go to standard error.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endOf, failureReport, failuresOf, startOf } from './failures.mjs';
import { mochaArguments } from './test-files.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const NODE = join(ROOT, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
const SOURCES = [
  'core',
  'objects',
  'certs',
  'kube',
  'control-plane',
  'sidecar',
  'injector',
  'node-agent',
  'local',
  'chart',
  'cli',
  'manifests',
  'examples',
  'scripts',
  'package-lock.json',
];

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

// Of what npm says when it fails; the rest is its usage.
const MOST_LINES = 30;

// Of what a kind of tests prints; its list of failures is at the end.
const MOST_KEPT = 1_000_000;

// What a test has left running may hold the pipe that we read from: its output is waited for no longer.
const LAST_WORDS_MS = 2000;

const say = (text) => process.stderr.write(`weft: ${text}\n`);

/**
 * Runs a command to its end; signals sent to us reach it, so that Ctrl-C lets it clean up.
 * @param {{ env?: NodeJS.ProcessEnv, keep?: boolean, quiet?: boolean }} [options] keep: what it prints is kept too;
 *   quiet: kept and not shown
 * @returns {Promise<{ code: number, talk: string }>} its exit code, and the end of what it printed if that was kept
 */
function run(command, args, { env = process.env, keep = false, quiet = false } = {}) {
  return new Promise((resolve) => {
    const kept = keep || quiet ? 'pipe' : 'inherit';
    const child = spawn(command, args, { cwd: ROOT, env, stdio: ['inherit', kept, kept] });
    let talk = '';
    for (const name of kept === 'pipe' ? ['stdout', 'stderr'] : []) {
      child[name].setEncoding('utf8').on('data', (text) => {
        talk = (talk + text).slice(-MOST_KEPT);
        if (!quiet) process[name].write(text);
      });
    }
    // A terminal sends Ctrl-C to the whole group and npm passes it on once more: `weft run` takes several within a
    // second for one.
    const onSignal = (signal) => child.kill(signal);
    for (const signal of SIGNALS) process.on(signal, onSignal);
    // npm runs us in a shell. A signal that ends npm ends that shell and not us: then the result is not wanted any
    // more.
    const parent = process.ppid;
    const orphanCheck = setInterval(() => process.env.npm_lifecycle_event && process.ppid !== parent && child.kill('SIGTERM'), 500);
    const finish = (code) => {
      clearInterval(orphanCheck);
      for (const signal of SIGNALS) process.off(signal, onSignal);
      resolve({ code, talk });
    };
    child.on('error', (error) => {
      say(`cannot run ${command}: ${error.message}`);
      finish(1);
    });
    const ended = (code, signal) => finish(code ?? 128 + (constants.signals[signal] ?? 0));
    child.on('close', ended);
    child.on('exit', (code, signal) => setTimeout(ended, LAST_WORDS_MS, code, signal).unref());
  });
}

function modifiedMs(path) {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}

/** Newest change below a path, not looking into what was built or installed. */
function newestMs(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  let newest = 0;
  for (const entry of readdirSync(path)) {
    if (entry !== 'dist' && entry !== 'node_modules') newest = Math.max(newest, newestMs(join(path, entry)));
  }
  return newest;
}

async function install() {
  const marker = join(ROOT, 'node_modules', '.package-lock.json');
  if (existsSync(NODE) && modifiedMs(join(ROOT, 'package-lock.json')) <= modifiedMs(marker)) return;
  const npm = process.env.npm_execpath;
  let verb = ['ci'];
  for (let attempt = 1; attempt <= 2; attempt++) {
    say(`installing packages (npm ${verb.join(' ')}) …`);
    // The level is given explicitly: `npm start --silent` hands its own down in the environment, and would hide why an
    // installation fails.
    const args = [...verb, '--no-audit', '--no-fund', '--loglevel=error'];
    const startedAt = Date.now();
    const { code, talk } = await run(npm ? process.execPath : 'npm', npm ? [npm, ...args] : args, { quiet: true });
    if (code === 0 && existsSync(NODE)) {
      // A run of npm that found nothing to do leaves the marker as old as it was.
      if (existsSync(marker)) utimesSync(marker, new Date(), new Date());
      say(`packages installed in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
      return;
    }
    // npm ci refuses a lock file without the packages of other platforms that this registry, or the one it was written
    // with, does not have. An installation takes the same versions and integrity hashes from it, and changes no file.
    if (attempt === 1 && /EUSAGE/.test(talk)) verb = ['install', '--no-save'];
    if (attempt === 1) continue;
    const lines = talk.split('\n');
    process.stderr.write(`${lines.slice(0, MOST_LINES).join('\n')}\n`);
    if (lines.length > MOST_LINES) say(`and ${lines.length - MOST_LINES} more lines`);
    say(code === 0 ? `${NODE} is not there: were install scripts switched off?` : `npm ${verb.join(' ')} failed with exit code ${code}`);
  }
  process.exit(1);
}

async function buildIfStale() {
  const built = ['dist/weft.mjs', 'dist/sidecar.mjs', 'examples/shop/dist/payment.mjs', 'examples/shop/dist/checkout.mjs'];
  const oldest = Math.min(...built.map((path) => modifiedMs(join(ROOT, path))));
  if (Math.max(...SOURCES.map((path) => newestMs(join(ROOT, path)))) <= oldest) return;
  const { code } = await run(NODE, [join('scripts', 'build.mjs')]);
  if (code !== 0) process.exit(code);
}

/**
 * Type check, lint, tests; the last line sums up. All of them run even if one fails, so that one run shows everything.
 * Where files are named, just these run, without the checks of the whole.
 */
async function test(args) {
  const { named, words } = mochaArguments('.mocharc.json', args);
  if (named) return summarize(await mocha(words));
  let passed = 0;
  const failures = [];
  for (const [name, script, options, inColour] of [
    ['type check', 'node_modules/typescript/bin/tsc', ['--noEmit'], '--pretty'],
    ['lint', 'node_modules/@biomejs/biome/bin/biome', ['check'], '--colors=force'],
  ]) {
    // They write to us and cannot see the terminal behind.
    const { code, talk } = await run(NODE, [script, ...options, ...(process.stdout.isTTY ? [inColour] : [])], { keep: true });
    say(`${name}: ${code === 0 ? 'fine' : 'failed'}`);
    if (code === 0) passed++;
    else failures.push(startOf(name, talk));
  }
  const ran = await mocha(words);
  return summarize({
    passed: passed + ran.passed,
    failed: failures.length + ran.failed,
    skipped: ran.skipped,
    failures: [...failures, ...ran.failures],
  });
}

/**
 * @returns {Promise<{ passed: number, failed: number, skipped: number, failures: import('./failures.mjs').Failure[] }>}
 *   what mocha's own summary says
 */
async function mocha(args) {
  const { code, talk } = await run(NODE, ['node_modules/mocha/bin/mocha.js', ...args], { keep: true });
  const sum = (word) => [...talk.matchAll(new RegExp(`^\\s*(\\d+) ${word}\\b`, 'gm'))].map((match) => Number(match[1])).at(-1) ?? 0;
  const failures = failuresOf(talk);
  // A crash of the runner itself has no count of failures, but is one.
  if (code !== 0 && failures.length === 0) failures.push(endOf(`mocha ended with exit code ${code}`, talk));
  return { passed: sum('passing'), failed: Math.max(sum('failing'), code === 0 ? 0 : 1), skipped: sum('pending'), failures };
}

/** The last lines of each kind of tests. @returns {number} exit code */
function summarize({ passed, failed, skipped, failures }) {
  process.stdout.write(`${failureReport(failures)}${skipped ? `${skipped} skipped\n` : ''}${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

const [verb, ...args] = process.argv.slice(2);
await install();
// Tests and what we start find Node 24 as `node`, whatever the machine's own is.
process.env.PATH = `${dirname(NODE)}:${process.env.PATH ?? ''}`;
let code = 2;
if (verb === 'start' || verb === 'weft') {
  await buildIfStale();
  code = (await run(NODE, [join('dist', 'weft.mjs'), ...(verb === 'start' ? ['run', join('examples', 'shop')] : []), ...args])).code;
} else if (verb === 'test') {
  await buildIfStale();
  code = await test(args);
} else if (verb === 'test:cluster') {
  await buildIfStale();
  code = summarize(await mocha(mochaArguments(join('test', 'cluster', '.mocharc.cluster.json'), args).words));
} else if (verb === 'test:chaos') {
  code = (await run(NODE, ['--expose-gc', join('test', 'soak', 'chaos.ts'), ...args])).code;
} else if (verb === 'test:scale') {
  await buildIfStale();
  code = (await run(NODE, [join('bench', 'scale', 'main.ts'), ...args])).code;
} else if (verb === 'cluster') {
  // Taking down and looking need no build, and work while one is broken.
  if (args[0] === 'up' || args[0] === 'load' || args[0] === 'install') await buildIfStale();
  code = (await run(NODE, [join('test', 'cluster', 'main.ts'), ...args])).code;
} else if (verb === 'bench') {
  await buildIfStale();
  code = (await run(NODE, [join('bench', 'main.ts'), ...args])).code;
} else {
  say('usage: node scripts/with-setup.mjs start|test|test:cluster|test:chaos|test:scale|cluster|bench|weft [arguments]');
}
process.exit(code);
