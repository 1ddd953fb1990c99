// The two backends behind every proxy: nghttpd with a gRPC trailer; for mTLS, HAProxy ends TLS in front of them, the
// same for all proxies (nghttpd speaks no ALPN but h2, and sidecars have their own). For HTTP/1.1: nginx.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Certificates } from './peers/peer.ts';
import { findProgram, freePort, Program } from './processes.ts';

export interface Backends {
  readonly plain: readonly [number, number];
  /** null where HAProxy is not installed. */
  readonly tls: readonly [number, number] | null;
  stop(): Promise<void>;
}

/**
 * Makes the directory that a backend serves: one file, an empty gRPC message (five octets of prefix).
 * @param file the path that the load calls without its slash
 */
export function writeAnswer(directory: string, file: string): string {
  const root = path.join(directory, 'www');
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), Buffer.alloc(5));
  return root;
}

/**
 * A backend: nghttpd with a gRPC trailer.
 * @param behind command that it is started by
 * @throws when nghttpd is not installed
 */
export function startBackend(
  core: number,
  root: string,
  port: number,
  options: readonly string[] = [],
  behind: readonly string[] = [],
): Program {
  const nghttpd = findProgram('nghttpd');
  if (nghttpd === null) throw new Error('nghttpd is not installed: apt-get install nghttp2-server nghttp2-client');
  const fixed = ['--no-tls', '-d', root, '--trailer', 'grpc-status: 0', '-n1', '--max-concurrent-streams=1000'];
  return new Program('nghttpd', core, [...behind, nghttpd, ...fixed, ...options, `${port}`]);
}

/** @param file name of the one file that is served, the path that the load calls without its slash */
export async function startBackends(core: number, directory: string, file: string, certificates: Certificates): Promise<Backends> {
  const root = writeAnswer(directory, file);
  const programs: Program[] = [];
  const ports: number[] = [];
  for (let i = 0; i < 2; i++) {
    const port = await freePort();
    // One address only: a sidecar has the same ports on another.
    const program = startBackend(core, root, port, ['--address=127.0.0.1']);
    await program.listening(port);
    programs.push(program);
    ports.push(port);
  }
  const tls = await startTls(core, directory, ports, certificates, programs);
  return {
    plain: [ports[0], ports[1]],
    tls,
    stop: async () => {
      for (const program of programs.reverse()) await program.stop();
    },
  };
}

/** Octets of an answer's body. */
const ANSWER_OCTETS = 200;

/** Two backends of HTTP/1.1: nginx, which answers by itself. @throws when it is not installed */
export async function startHttp1Backends(core: number, directory: string): Promise<Backends> {
  const nginx = findProgram('nginx');
  if (nginx === null) throw new Error('nginx is not installed: apt-get install nginx-light');
  const plain: [number, number] = [await freePort(), await freePort()];
  const servers = plain.map(
    (port) => `server { listen 127.0.0.1:${port}; keepalive_requests 100000000; return 200 "${'a'.repeat(ANSWER_OCTETS)}"; }`,
  );
  const config = `daemon off;
master_process off;
pid ${directory}/backend.pid;
error_log ${directory}/backend.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/backend-body;
  ${servers.join('\n  ')}
}
`;
  const file = path.join(directory, 'backend.conf');
  writeFileSync(file, config);
  const program = new Program('nginx', core, [nginx, '-p', directory, '-c', file]);
  for (const port of plain) await program.listening(port);
  return { plain, tls: null, stop: () => program.stop() };
}

async function startTls(
  core: number,
  directory: string,
  ports: readonly number[],
  certificates: Certificates,
  programs: Program[],
): Promise<[number, number] | null> {
  const haproxy = findProgram('haproxy');
  if (haproxy === null) return null;
  const listen = [await freePort(), await freePort()] as [number, number];
  const config = `global
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 1s
  timeout client 120s
  timeout server 120s
${listen
  .map(
    (port, i) => `frontend in${i}
  bind 127.0.0.1:${port} ssl crt ${certificates.bundle} ca-file ${certificates.roots} verify required alpn weft-h2,h2
  default_backend out${i}
backend out${i}
  server one 127.0.0.1:${ports[i]}
`,
  )
  .join('')}`;
  const file = path.join(directory, 'tls-front.cfg');
  writeFileSync(file, config);
  const program = new Program('haproxy (TLS in front of nghttpd)', core, [haproxy, '-db', '-f', file]);
  await program.listening(listen[0]);
  programs.push(program);
  return listen;
}
