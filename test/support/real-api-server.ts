// A real API server with RBAC, on loopback and for one test: etcd and kube-apiserver of the cluster tests, where they
// were built already. There are no controllers, nodes or pods; callers are known by their tokens.
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { freePorts } from './free-port.ts';
import { toolsDirectory } from './go-build.ts';
import { until } from './until.ts';

/** Of the group system:masters. */
const ADMIN = 'admin-token';

export interface Answered {
  readonly status: number;
  readonly body: { readonly message?: string; readonly status?: unknown; readonly [more: string]: unknown };
}

export interface RealApiServer {
  /** For kubeconfigs. */
  readonly url: string;
  /** What an administrator shows. */
  readonly adminToken: string;
  /** Of its processes. */
  readonly pids: readonly number[];
  /** What a user shows. */
  tokenOf(user: string): string;
  /** @param user a name of `users`; absent: an administrator */
  ask(method: string, path: string, body?: object, user?: string): Promise<Answered>;
  stop(): Promise<void>;
}

/**
 * @param serviceRange ClusterIPs are of this range
 * @returns the server, or why it cannot be had (then the test is skipped with that message)
 */
export async function startRealApiServer(
  users: readonly string[],
  serviceRange = '10.96.0.0/24',
): Promise<RealApiServer | { skip: string }> {
  const programs = apiServerPrograms();
  if ('skip' in programs) return programs;
  const { etcd, apiServer } = programs;
  const directory = mkdtempSync(path.join(os.tmpdir(), 'weft-api-'));
  const [clientPort, peerPort, port] = await freePorts(3);
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const file = (name: string, text: string | Buffer): string => {
    writeFileSync(path.join(directory, name), text);
    return path.join(directory, name);
  };
  const rows = [`${ADMIN},admin,0,system:masters`, ...users.map((user, i) => `${tokenOf(user)},${user},${i + 1}`)];
  const running: ChildProcess[] = [];
  const start = (program: string, args: readonly string[]): void => {
    running.push(spawn(program, args, { stdio: 'ignore', cwd: directory }));
  };
  const client = `http://127.0.0.1:${clientPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  start(etcd, [
    `--data-dir=${directory}/etcd`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
  ]);
  start(apiServer, [
    `--etcd-servers=${client}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${directory}`,
    `--token-auth-file=${file('tokens.csv', `${rows.join('\n')}\n`)}`,
    '--authorization-mode=RBAC',
    `--service-cluster-ip-range=${serviceRange}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.pub', publicKey.export({ type: 'spki', format: 'pem' }))}`,
    `--service-account-signing-key-file=${file('sa.key', privateKey.export({ type: 'pkcs8', format: 'pem' }))}`,
    '--disable-admission-plugins=ServiceAccount',
    '--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true',
    '--feature-gates=ClusterTrustBundle=true',
  ]);
  const server: RealApiServer = {
    url: `https://127.0.0.1:${port}`,
    adminToken: ADMIN,
    pids: running.map(({ pid }) => pid!),
    tokenOf,
    ask: (method, where, body, user) => ask(port!, method, where, body, user === undefined ? ADMIN : tokenOf(user)),
    async stop() {
      for (const child of running) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const ended = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await ended;
      }
      rmSync(directory, { recursive: true, force: true });
    },
  };
  try {
    await until(
      async () => (await server.ask('GET', '/readyz').catch(() => ({ status: 0 }))).status === 200,
      'the API server is ready',
      60_000,
    );
  } catch (error) {
    await server.stop();
    throw error;
  }
  return server;
}

function toolOf(prefix: string, program: string): string | undefined {
  if (!existsSync(toolsDirectory())) return undefined;
  return readdirSync(toolsDirectory())
    .filter((name) => name.startsWith(prefix))
    .map((name) => path.join(toolsDirectory(), name, program))
    .find((found) => existsSync(found));
}

function tokenOf(user: string): string {
  return `token-of-${user.replaceAll(':', '-')}`;
}

function ask(port: number, method: string, where: string, body: object | undefined, token: string): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    const to = { host: '127.0.0.1', port, path: where, method, headers, rejectUnauthorized: false, agent: false };
    const request = https.request(to, (response) => {
      let answer = '';
      response.on('data', (chunk) => (answer += chunk));
      response.on('end', () => {
        let parsed: Answered['body'] = { message: answer };
        if ((response.headers['content-type'] ?? '').startsWith('application/json')) parsed = JSON.parse(answer) as Answered['body'];
        resolve({ status: response.statusCode!, body: parsed });
      });
    });
    request.on('error', reject);
    request.end(text);
  });
}

/** @returns their files, or why they cannot be had */
export function apiServerPrograms(): { readonly etcd: string; readonly apiServer: string } | { skip: string } {
  const [etcd, apiServer] = [toolOf('etcd-', 'etcd'), toolOf('kubernetes-', 'kube-apiserver')];
  if (etcd !== undefined && apiServer !== undefined) return { etcd, apiServer };
  return { skip: 'etcd and kube-apiserver were not built yet: npm run test:cluster builds them' };
}
