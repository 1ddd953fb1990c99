// nghttpx, HAProxy and nginx: plain forwarders to the first backend. They route and split less than Weft and Envoy do
// here, which favours them.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { findProgram, freePort, Program } from '../processes.ts';
import type { Peer, Running, Work } from './peer.ts';

interface Recipe {
  readonly name: string;
  readonly program: string;
  readonly debianPackage: string;
  readonly versionArgs: readonly string[];
  command(binary: string, work: Work, port: number): string[];
}

function file(work: Work, name: string, text: string): string {
  const at = path.join(work.directory, name);
  writeFileSync(at, text);
  return at;
}

function haproxyTcp(work: Work, port: number): string {
  return `global
  nbthread 1
defaults
  mode tcp
  timeout connect 1s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server one 127.0.0.1:${work.backendPorts[0]}
`;
}

const RECIPES: readonly Recipe[] = [
  {
    name: 'nghttpx',
    program: 'nghttpx',
    debianPackage: 'nghttp2-proxy',
    versionArgs: ['--version'],
    command(binary, work, port) {
      const { key, certificate, roots } = work.certificates;
      const tls = work.scenario === 'mtls';
      const args = [
        binary,
        '--conf=/dev/null',
        '--workers=1',
        '--single-process',
        '--single-thread',
        '--errorlog-file=/dev/null',
        `--frontend=127.0.0.1,${port};no-tls`,
      ];
      const version = work.protocol === 'http1' ? 'http/1.1' : 'h2';
      args.push(`--backend=127.0.0.1,${work.backendPorts[0]};;proto=${version}${tls ? ';tls;sni=localhost' : ''}`);
      // nghttpx cannot check a URI name; the chain alone is not enough for it, so the check is off.
      if (tls) args.push(`--client-cert-file=${certificate}`, `--client-private-key-file=${key}`, `--cacert=${roots}`, '--insecure');
      return args;
    },
  },
  {
    name: 'haproxy',
    program: 'haproxy',
    debianPackage: 'haproxy',
    versionArgs: ['-v'],
    command(binary, work, port) {
      if (work.protocol === 'tcp') return [binary, '-db', '-f', file(work, 'haproxy-tcp.cfg', haproxyTcp(work, port))];
      const proto = work.protocol === 'http1' ? '' : ' proto h2';
      const tls =
        work.scenario === 'mtls'
          ? ` ssl crt ${work.certificates.bundle} ca-file ${work.certificates.roots} verify required alpn h2`
          : proto;
      const config = `global
  nbthread 1
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:${port}${proto}
  default_backend out
backend out
  http-request set-header x-weft-route bench
  server one 127.0.0.1:${work.backendPorts[0]}${tls}
`;
      return [binary, '-db', '-f', file(work, 'haproxy.cfg', config)];
    },
  },
  {
    name: 'nginx',
    program: 'nginx',
    debianPackage: 'nginx-light',
    versionArgs: ['-v'],
    command(binary, work, port) {
      const { key, certificate, roots } = work.certificates;
      const tls = work.scenario === 'mtls';
      const http1 = work.protocol === 'http1';
      const config = `daemon off;
master_process off;
pid ${work.directory}/nginx.pid;
error_log ${work.directory}/nginx.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${work.directory}/nginx-body;
  upstream out { server 127.0.0.1:${work.backendPorts[0]}; keepalive 512; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port}${http1 ? '' : ' http2'};
    keepalive_requests 100000000;
    location / {
      ${http1 ? 'proxy_http_version 1.1; proxy_set_header Connection "";' : ''}
      ${http1 ? 'proxy' : 'grpc'}_set_header x-weft-route bench;
      ${http1 ? 'proxy_pass http' : tls ? 'grpc_pass grpcs' : 'grpc_pass grpc'}://out;
      ${tls ? `grpc_ssl_certificate ${certificate}; grpc_ssl_certificate_key ${key}; grpc_ssl_trusted_certificate ${roots}; grpc_ssl_protocols TLSv1.3;` : ''}
    }
  }
}
`;
      return [binary, '-p', work.directory, '-c', file(work, 'nginx.conf', config)];
    },
  },
];

function peerOf(recipe: Recipe): Peer {
  const find = (): string | null => findProgram(recipe.program);
  return {
    name: recipe.name,
    scenarios: ['plain', 'mtls'],
    protocols: recipe.name === 'haproxy' ? ['grpc', 'http1', 'tcp'] : ['grpc', 'http1'],
    missing: () => (find() === null ? `${recipe.name} is not installed: apt-get install ${recipe.debianPackage}` : ''),
    version: () => {
      // nginx prints its version to standard error.
      const text = execFileSync('sh', ['-c', `"${find()}" ${recipe.versionArgs.join(' ')} 2>&1`], { encoding: 'utf8' });
      return /([0-9]+\.[0-9]+(\.[0-9]+)?)/.exec(text)?.[1] ?? '?';
    },
    async start(work: Work): Promise<Running> {
      const port = await freePort();
      const program = new Program(recipe.name, work.core, recipe.command(find()!, work, port));
      await program.listening(port);
      return { host: '127.0.0.1', port, programs: [program], stop: () => program.stop() };
    },
  };
}

export const cProxies: readonly Peer[] = RECIPES.map(peerOf);
