// `npm run bench`: the same work through Weft, Envoy, nghttpx, HAProxy and nginx, all in one run, one pinned core for the proxies and one for load and backends.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { startBackends } from './backends.ts';
import { makeCertificates } from './certificates.ts';
import type { Shape } from './load.ts';
import { combine, type Measurement, measure, shapeName } from './measure.ts';
import { cProxies } from './peers/c-proxies.ts';
import { envoy } from './peers/envoy.ts';
import type { Peer, Running, Work } from './peers/peer.ts';
import { weft } from './peers/weft.ts';
import { findProgram } from './processes.ts';
import { renderMarkdown, renderText } from './table.ts';

const PEERS: readonly Peer[] = [weft, envoy, ...cProxies];
const SHAPES: readonly Shape[] = [
  { connections: 4, streams: 50 },
  { connections: 32, streams: 1 },
  { connections: 1, streams: 1 },
];
const SCENARIOS = ['plain', 'mtls', 'pair'] as const;
const PROXY_CORE = 0;
const LOAD_CORE = 1;

/** The eight methods that the GRPCRoute names; the load calls the last. */
const METHODS = ['Authorize', 'Capture', 'Refund', 'Void', 'Quote', 'History', 'Balance', 'Charge'].map(
  (name) => `/bench.PaymentService/${name}`,
);

const USAGE = `npm run bench -- [--quick] [--only weft,envoy] [--shape 4,50] [--scenario plain,mtls,pair] [--seconds 4] [--rounds 2]`;

function list(value: string | undefined, known: readonly string[], option: string): readonly string[] {
  if (value === undefined) return known;
  const names = option === '--shape' ? [value] : value.split(',');
  for (const name of names) if (!known.includes(name)) fail(`${option} knows ${known.join(', ')}, not "${name}"`);
  return names;
}

function fail(message: string): never {
  process.stderr.write(`bench: ${message}\n${USAGE}\n`);
  process.exit(2);
}

function options() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        shape: { type: 'string' },
        scenario: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
      },
    }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

const values = options();
const only = list(
  values.only,
  PEERS.map(({ name }) => name),
  '--only',
);
const shapes = SHAPES.filter((shape) => list(values.shape, SHAPES.map(shapeName), '--shape').includes(shapeName(shape)));
const scenarios = SCENARIOS.filter((scenario) => list(values.scenario, SCENARIOS, '--scenario').includes(scenario));
const seconds = Number(values.seconds ?? (values.quick ? 1 : 4));
const rounds = Number(values.rounds ?? (values.quick ? 1 : 2));
if (!(seconds > 0 && seconds <= 60)) fail('--seconds must be a number above 0 and at most 60');
if (!(Number.isInteger(rounds) && rounds > 0 && rounds <= 20)) fail('--rounds must be 1 to 20');

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const h2load = findProgram('h2load');
if (h2load === null) {
  say('bench: h2load is not installed: apt-get install nghttp2-client nghttp2-server');
  process.exit(1);
}
const present = PEERS.filter((peer) => {
  if (!only.includes(peer.name)) return false;
  const missing = peer.missing();
  if (missing !== '') say(`missing: ${missing}`);
  return missing === '';
});
for (const peer of present) say(`${peer.name} ${peer.version()}`);

const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-bench-'));
const running: { peer: Peer; scenario: Work['scenario']; proxy: Running }[] = [];
const results: Measurement[] = [];
const notes: string[] = PEERS.filter((peer) => only.includes(peer.name) && !present.includes(peer)).map((peer) => peer.missing());
let backends: Awaited<ReturnType<typeof startBackends>> | null = null;
try {
  const certificates = await makeCertificates(directory);
  const loadPath = METHODS[METHODS.length - 1];
  backends = await startBackends(LOAD_CORE, directory, loadPath.slice(1), certificates);
  const bodyFile = path.join(directory, 'body');
  // A gRPC message of 95 octets behind its prefix.
  writeFileSync(bodyFile, Buffer.concat([Buffer.from([0, 0, 0, 0, 95]), Buffer.alloc(95)]));
  const load = { h2load, core: LOAD_CORE, path: loadPath, bodyFile, logFile: path.join(directory, 'h2load.log') };
  for (const scenario of scenarios) {
    const backendPorts = scenario === 'mtls' ? backends.tls : backends.plain;
    if (backendPorts === null) {
      notes.push('scenario mtls was left out: HAProxy ends TLS in front of the backends and is not installed: apt-get install haproxy');
      continue;
    }
    const work: Work = { scenario, backendPorts, methods: METHODS, path: loadPath, certificates, core: PROXY_CORE, directory };
    for (const peer of present) {
      if (!peer.scenarios.includes(scenario)) continue;
      try {
        running.push({ peer, scenario, proxy: await peer.start(work) });
      } catch (error) {
        notes.push(`${peer.name} (${scenario}) did not start: ${(error as Error).message}`);
      }
    }
    for (const shape of shapes) {
      const byPeer = new Map<string, Measurement[]>();
      for (let round = 0; round < rounds; round++) {
        for (const { peer, proxy } of running) {
          const result = await measure(load, proxy, { peer: peer.name, scenario, shape }, seconds);
          byPeer.set(peer.name, [...(byPeer.get(peer.name) ?? []), result]);
          say(
            `  ${scenario} ${shapeName(shape)} ${peer.name}: ${Math.round(result.requestsPerSecond)} requests/s, ` +
              `${result.cpuUs.map((us) => us.toFixed(1)).join(' + ')} µs${result.errors > 0 ? `, ${result.errors} ERRORS` : ''}`,
          );
        }
      }
      for (const all of byPeer.values()) results.push(combine(all));
    }
    for (const { proxy } of running.splice(0)) await proxy.stop();
  }
} finally {
  for (const { proxy } of running) await proxy.stop();
  await backends?.stop();
  rmSync(directory, { recursive: true, force: true });
}

process.stdout.write(`\n${renderText(results)}\n`);
for (const note of notes) process.stdout.write(`note: ${note}\n`);
const file = save();
process.stdout.write(`written to ${file}\n`);
if (results.some(({ errors }) => errors > 0)) process.exitCode = 1;

/** Writes the raw results and the table. @returns the JSON file, from the working directory */
function save(): string {
  const at = path.join(import.meta.dirname, 'results');
  mkdirSync(at, { recursive: true });
  const now = new Date();
  const name = `${now.toISOString().slice(0, 16).replace(/[-:]/g, '').replace('T', '-')}.json`;
  const machine = {
    cpu: os.cpus()[0]?.model ?? '?',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
  };
  const versions = Object.fromEntries(present.map((peer) => [peer.name, peer.version()]));
  writeFileSync(
    path.join(at, name),
    `${JSON.stringify({ at: now.toISOString(), machine, versions, seconds, rounds, notes, results }, null, 1)}\n`,
  );
  const head = `# The newest benchmark\n\n${now.toISOString().slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores shared, Node ${machine.node}, ${rounds} rounds of ${seconds} s, raw: ${name}\n\n`;
  writeFileSync(path.join(at, 'latest.md'), `${head}${renderMarkdown(results)}${notes.map((note) => `\n- ${note}`).join('')}\n`);
  return path.relative(process.cwd(), path.join(at, name));
}
