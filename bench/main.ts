// `npm run bench`: the same work through Weft, Envoy, nghttpx, HAProxy and nginx, all in one run, one pinned core for the proxies and one for load and backends.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Backends, startBackends } from './backends.ts';
import { makeCertificates } from './certificates.ts';
import type { LoadSettings } from './load.ts';
import { combine, type Measurement, measure, shapeName } from './measure.ts';
import { idleRows, type MemoryRow, measureGrowth } from './memory.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { cProxies } from './peers/c-proxies.ts';
import { envoy } from './peers/envoy.ts';
import type { Peer, Running, Scenario, Work } from './peers/peer.ts';
import { weft } from './peers/weft.ts';
import { findProgram } from './processes.ts';
import { saveOutcome } from './results.ts';
import { renderText } from './table.ts';
import { FIRST_WARM_SECONDS, LOAD_BODY, LOAD_CORE, LOAD_PATH, METHODS, PROXY_CORE, SHAPES, WARM_SECONDS } from './work.ts';

const PEERS: readonly Peer[] = [weft, envoy, ...cProxies];
const SCENARIOS: readonly Scenario[] = ['plain', 'mtls', 'pair'];

interface Runner {
  readonly peer: string;
  readonly scenario: Scenario;
  readonly proxy: Running;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);

const read = readOptions(process.argv.slice(2), {
  peers: PEERS.map(({ name }) => name),
  shapes: SHAPES.map(shapeName),
  scenarios: SCENARIOS,
});
if ('problem' in read) {
  say(`bench: ${read.problem}\n${USAGE}`);
  process.exit(2);
}
const options: Options = read;
const h2load = findProgram('h2load');
if (h2load === null) {
  say('bench: h2load is not installed: apt-get install nghttp2-client nghttp2-server');
  process.exit(1);
}
const notes: string[] = [];
/** Measurements without a result. */
const failures: string[] = [];
const present: Peer[] = [];
for (const peer of PEERS.filter(({ name }) => options.only.includes(name))) {
  const missing = peer.missing();
  if (missing === '') present.push(peer);
  else notes.push(missing);
}
for (const note of notes) say(`missing: ${note}`);
const versions = Object.fromEntries(present.map((peer) => [peer.name, peer.version()]));
say(Object.entries(versions).flat().join(' '));

const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-bench-'));
const results: Measurement[] = [];
const memory: MemoryRow[] = [];
/** All that runs and must be stopped whatever happens. */
const running: Runner[] = [];
let backends: Backends | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void cleanUp().then(() => process.exit(1)));

try {
  // The control plane of Weft's sidecars lives in this process: it must not take time from the proxies.
  execFileSync('taskset', ['-a', '-c', '-p', `${LOAD_CORE}`, `${process.pid}`]);
  const trust = await makeCertificates(directory);
  backends = await startBackends(LOAD_CORE, directory, LOAD_PATH.slice(1), trust.certificates);
  const bodyFile = path.join(directory, 'body');
  writeFileSync(bodyFile, LOAD_BODY);
  const load = { h2load, core: LOAD_CORE, path: LOAD_PATH, body: LOAD_BODY, bodyFile, logFile: path.join(directory, 'h2load.log') };
  for (const scenario of SCENARIOS.filter((name) => options.scenarios.includes(name))) await runScenario(scenario, backends, trust, load);
} finally {
  await cleanUp();
}

process.stdout.write(`\n${renderText(results, memory)}\n`);
notes.push(...failures);
for (const note of notes) process.stdout.write(`note: ${note}\n`);
if (results.length > 0) process.stdout.write(`written to ${saveOutcome({ options, versions, results, memory, notes }, new Date())}\n`);
if (results.length === 0 || failures.length > 0 || results.some(({ errors }) => errors > 0)) process.exitCode = 1;

/** Starts the proxies of a scenario and measures them in turns. */
async function runScenario(
  scenario: Scenario,
  { plain, tls }: Backends,
  trust: Pick<Work, 'authority' | 'certificates'>,
  load: Omit<LoadSettings, 'host' | 'port'>,
): Promise<void> {
  const backendPorts = scenario === 'mtls' ? tls : plain;
  if (backendPorts === null) {
    notes.push('mTLS to the backend was left out: HAProxy ends TLS there and is not installed: apt-get install haproxy');
    return;
  }
  const work = { scenario, backendPorts, methods: METHODS, path: LOAD_PATH, ...trust, core: PROXY_CORE, directory };
  for (const peer of present.filter(({ scenarios }) => scenarios.includes(scenario))) {
    try {
      running.push({ peer: peer.name, scenario, proxy: await peer.start(work) });
    } catch (error) {
      notes.push(`${peer.name} (${scenario}) did not start: ${(error as Error).message}`);
    }
  }
  const rows = await idleRows(running);
  memory.push(...rows);
  for (const shape of SHAPES.filter((each) => options.shapes.includes(shapeName(each)))) {
    const byPeer = new Map<string, Measurement[]>();
    for (let round = 0; round < options.rounds; round++) {
      for (const { peer, proxy } of running) {
        const warmSeconds = Math.min(options.seconds, round === 0 ? FIRST_WARM_SECONDS : WARM_SECONDS);
        const result = await measure(load, proxy, { peer, scenario, shape }, { ...options, warmSeconds }).catch((error: Error) => {
          failures.push(`${peer} (${scenario} ${shapeName(shape)}) failed: ${error.message}`);
        });
        if (result === undefined) continue;
        byPeer.set(peer, [...(byPeer.get(peer) ?? []), result]);
        say(
          `  ${scenario} ${shapeName(shape)} ${peer}: ${Math.round(result.requestsPerSecond)} requests/s, ` +
            `${result.cpuUs.map((us) => us.toFixed(1)).join(' + ')} µs${result.errors > 0 ? `, ${result.errors} ERRORS` : ''}`,
        );
      }
    }
    for (const all of byPeer.values()) results.push(combine(all));
  }
  const programs = running.flatMap(({ proxy }) => proxy.programs);
  for (const [i, row] of rows.entries()) row.afterLoad = programs[i].memory();
  if (options.growth > 0) await growthOfWeft(rows, load);
  for (const { proxy } of running.splice(0)) await proxy.stop();
}

async function growthOfWeft(rows: readonly MemoryRow[], load: Omit<LoadSettings, 'host' | 'port'>): Promise<void> {
  const runner = running.find(({ peer }) => peer === weft.name);
  if (runner === undefined) return;
  const { growthMiB, errors } = await measureGrowth(load, runner.proxy, options.growth);
  if (errors > 0) notes.push(`weft (${runner.scenario}): ${errors} errors in the growth measure`);
  for (const [i, row] of rows.filter(({ peer }) => peer === weft.name).entries()) row.growthMiB = growthMiB[i];
}

async function cleanUp(): Promise<void> {
  for (const { proxy } of running.splice(0)) await proxy.stop();
  await backends?.stop();
  backends = null;
  rmSync(directory, { recursive: true, force: true });
}
