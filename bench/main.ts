// `npm run bench`: the same work through Weft, Envoy, nghttpx, HAProxy and nginx, all in one run, one pinned core for
// the proxies and one for load and backends.
// `npm run bench -- --telemetry`: what tracing and metrics cost Weft and Envoy.
// `npm run bench -- --open-loop`: latency at steady rates.
// `npm run bench -- --http1`: the comparison with requests of HTTP/1.1, beside the same proxies.
// `npm run bench -- --tcp`: throughput of connections that pass as TCP.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Backends, startBackends, startHttp1Backends } from './backends.ts';
import { makeCertificates } from './certificates.ts';
import { compare } from './compare.ts';
import { type Measurement, shapeName } from './measure.ts';
import type { MemoryRow } from './memory.ts';
import { measureOpenLoop } from './open-loop.ts';
import { type Options, readOptions, USAGE } from './options.ts';
import { cProxies } from './peers/c-proxies.ts';
import { envoy } from './peers/envoy.ts';
import type { Peer, Scenario } from './peers/peer.ts';
import { weft } from './peers/weft.ts';
import { findProgram } from './processes.ts';
import { type Outcome, saveOutcome } from './results.ts';
import { Session } from './session.ts';
import { asText, comparisonTables } from './table.ts';
import { measureTcp } from './tcp-relay.ts';
import { measureTelemetry } from './telemetry.ts';
import { LOAD_BODY, LOAD_CORE, LOAD_PATH, SHAPES } from './work.ts';

const PEERS: readonly Peer[] = [weft, envoy, ...cProxies];
const SCENARIOS: readonly Scenario[] = ['plain', 'mtls', 'pair'];

type Figures = Pick<Outcome, 'figures' | 'tables'> & { readonly valid: boolean };

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
const wanted = PEERS.filter(({ name }) => options.only.includes(name));
const missing = wanted.map((peer) => peer.missing()).filter((text) => text !== '');
for (const text of missing) say(`missing: ${text}`);
const present = wanted.filter((peer) => peer.missing() === '');
const versions = Object.fromEntries(present.map((peer) => [peer.name, peer.version()]));
say(Object.entries(versions).flat().join(' '));

// OTEL_ settings of this machine are for its own programs, not for these.
for (const name of Object.keys(process.env)) if (name.startsWith('OTEL_')) delete process.env[name];
const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-bench-'));
let backends: Backends | null = null;
let session: Session | null = null;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void cleanUp().then(() => process.exit(1)));

try {
  // The control plane of Weft's sidecars lives in this process: it must not take time from the proxies.
  execFileSync('taskset', ['-a', '-c', '-p', `${LOAD_CORE}`, `${process.pid}`]);
  const trust = await makeCertificates(directory);
  backends = await (options.http1
    ? startHttp1Backends(LOAD_CORE, directory)
    : startBackends(LOAD_CORE, directory, LOAD_PATH.slice(1), trust.certificates));
  const bodyFile = path.join(directory, 'body');
  writeFileSync(bodyFile, LOAD_BODY);
  const protocol = options.http1 ? ('http1' as const) : ('grpc' as const);
  const load = {
    protocol,
    h2load,
    core: LOAD_CORE,
    path: LOAD_PATH,
    body: LOAD_BODY,
    bodyFile,
    logFile: path.join(directory, 'h2load.log'),
  };
  session = new Session({ options, load, backends, trust, directory });
  session.notes.push(...missing);
  const { figures, tables, valid } = await (options.telemetry
    ? telemetry(session)
    : options.openLoop
      ? openLoop(session)
      : options.tcp
        ? tcp(session)
        : comparison(session));
  const notes = [...session.notes, ...session.failures];
  process.stdout.write(`\n${asText(tables)}\n`);
  for (const note of notes) process.stdout.write(`note: ${note}\n`);
  const length = options.requests > 0 ? `${options.requests} requests` : `${options.seconds} s`;
  const extent = `Medians of ${options.rounds} rounds of ${length}, proxies taking turns.`;
  const kind = options.telemetry ? 'telemetry' : options.openLoop ? 'open-loop' : options.tcp ? 'tcp' : options.http1 ? 'http1' : 'latest';
  if (tables.length > 0)
    process.stdout.write(`written to ${saveOutcome({ kind, options, extent, versions, figures, tables, notes }, new Date())}\n`);
  if (!valid || session.failures.length > 0) process.exitCode = 1;
} finally {
  await cleanUp();
}

async function comparison(session: Session): Promise<Figures> {
  const results: Measurement[] = [];
  const memory: MemoryRow[] = [];
  for (const scenario of SCENARIOS.filter((name) => options.scenarios.includes(name) && !(options.http1 && name === 'mtls'))) {
    const part = await compare(session, scenario, present, weft.name);
    results.push(...part.results);
    memory.push(...part.memory);
  }
  const tables = results.length === 0 ? [] : comparisonTables(results, memory);
  return { figures: { results, memory }, tables, valid: results.length > 0 && results.every(({ errors }) => errors === 0) };
}

/** Weft and Envoy, as far as they are installed and wanted. */
function weftAndEnvoy(): Peer[] {
  return present.filter(({ name }) => name === weft.name || name === envoy.name);
}

function openLoop(session: Session): Promise<Figures> {
  return measureOpenLoop(session, weftAndEnvoy());
}

/** Weft, Envoy, and HAProxy, as far as they are installed and wanted. */
function tcp(session: Session): Promise<Figures> {
  return measureTcp(
    session,
    present.filter(({ protocols }) => protocols.includes('tcp')),
    SCENARIOS.filter((name) => options.scenarios.includes(name)),
  );
}

async function telemetry(session: Session): Promise<Figures> {
  const peers = weftAndEnvoy();
  return measureTelemetry(
    session,
    peers,
    SCENARIOS.filter((name) => options.scenarios.includes(name)),
  );
}

async function cleanUp(): Promise<void> {
  await session?.stop();
  await backends?.stop();
  backends = null;
  rmSync(directory, { recursive: true, force: true });
}
