// Runs inside a network namespace of the test of whole sidecars, and follows orders, lines of JSON on its standard
// input, with one answer a line.
// `control-plane`: certificates and configuration. `sidecar`: the data plane of a pod, as its user. `application`:
// makes connections and serves some.
import { writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { Authority } from '#certs/authority.ts';
import { TokenIssuer } from '#control-plane/issue/token.ts';
import { type ControlPlane, type ControlPlaneDeps, startControlPlane } from '#control-plane/program/assemble.ts';
import { SIDECAR_USER_ID } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';
import { originalDestinationProblem } from '#sidecar/link/original-dst.ts';
import { startSidecar } from '#sidecar/program/program.ts';
import { readSidecarSettings } from '#sidecar/program/settings.ts';

type Command = Readonly<Record<string, unknown>>;
type Answer = (command: Command) => Promise<unknown>;

const APPLICATION_USER_ID = 1000;
const PATIENCE_MS = 5000;
export const TRUST_DOMAIN = 'cluster.local';
export const ROOTS_FILE = 'roots.pem';

/** @param directory where tokens and roots are written */
async function controlPlane(directory: string, host: string, port: string): Promise<Answer> {
  const authority = await Authority.create({ trustDomain: TRUST_DOMAIN, now: Date.now });
  const tokens = new TokenIssuer({ now: Date.now });
  const settings: ControlPlaneDeps = {
    authority,
    verifyToken: (token) => tokens.verify(token),
    host,
    port: Number(port),
    log: silentLogger,
  };
  writeFileSync(path.join(directory, ROOTS_FILE), authority.rootsPem());
  let running: ControlPlane | null = null;
  let objects: KubeObject[] = [];
  return async (command) => {
    if (command.token !== undefined) {
      const pod = command.token as string;
      const claims = { namespace: 'shop', serviceAccount: pod, pod, uid: `uid-${pod}`, lifetimeMs: 3_600_000 };
      writeFileSync(path.join(directory, pod), tokens.sign(claims));
    }
    if (command.objects !== undefined) objects = command.objects as KubeObject[];
    if (command.stop === true) {
      await running?.close();
      running = null;
    } else if (running === null) running = await startControlPlane({ ...settings, objects });
    else running.setObjects(objects);
    return 'done';
  };
}

/** Settings are in the environment, as in a pod. */
async function sidecar(): Promise<Answer> {
  const read = readSidecarSettings(process.env);
  if ('problems' in read) throw new Error(read.problems.join('; '));
  originalDestinationProblem(); // Loaded before the rights are given up, because only root may be able to read the sources.
  process.setgid!(SIDECAR_USER_ID);
  process.setuid!(SIDECAR_USER_ID);
  const accessLines = { access: () => true, accessWritten: 0, accessDropped: 0 };
  const around = { now: () => performance.now(), wallClock: Date.now, random: Math.random, accessLines };
  const program = await startSidecar(read.settings, 'test', silentLogger, around);
  return async () => program.notReady();
}

/**
 * Listens on ports 8080 (HTTP/2, answers with the caller's identity), 25 and 9999 (greet first) and 9443 (answers with
 * the first octet it received).
 */
async function application(name: string): Promise<Answer> {
  const echo = http2.createServer();
  echo.on('stream', (stream, headers) => {
    stream.respond({ ':status': 200, 'x-pod': name, 'x-from': headers['x-forwarded-client-cert'] ?? '' });
    stream.end();
  });
  const greet = () => net.createServer((socket) => void socket.on('error', () => {}).end('220 welcome'));
  const [greeter, skipped] = [greet(), greet()];
  const looker = net.createServer((socket) => {
    socket.on('error', () => {}).once('data', (octets) => socket.end(`first octet ${octets[0]}`));
  });
  await Promise.all([
    new Promise<void>((resolve) => echo.listen(8080, '0.0.0.0', resolve)),
    new Promise<void>((resolve) => greeter.listen(25, '0.0.0.0', resolve)),
    new Promise<void>((resolve) => skipped.listen(9999, '0.0.0.0', resolve)),
    new Promise<void>((resolve) => looker.listen(9443, '0.0.0.0', resolve)),
  ]);
  if (name !== 'outside') {
    process.setgid!(APPLICATION_USER_ID);
    process.setuid!(APPLICATION_USER_ID);
  }
  return async ({ call, exchange, send, scan }) => {
    if (call !== undefined) return await callOnce(call as string);
    if (scan !== undefined) return await scanPorts(scan as string, 3000);
    return await exchangeOnce(exchange as string, Buffer.from((send as string | undefined) ?? '', 'hex'));
  };
}

/** @returns "<pod> <identity of the caller>", or what went wrong */
function callOnce(at: string): Promise<string> {
  return new Promise((resolve) => {
    const session = http2.connect(`http://${at}`);
    const settle = (answer: string): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle('no answer'), PATIENCE_MS);
    session.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message));
    session.on('close', () => settle('closed'));
    const request = session.request({ ':method': 'POST', ':path': '/shop.Echo/Echo', 'content-type': 'application/grpc' });
    request.on('error', () => {});
    request.on('response', (headers) =>
      settle(headers['x-pod'] === undefined ? `${headers['grpc-message']}` : `${headers['x-pod']} ${headers['x-from']}`.trim()),
    );
    request.end();
  });
}

/** @returns all that came until the other side ended, or the error's code */
function exchangeOnce(at: string, octets: Buffer): Promise<string> {
  const [host, port] = at.split(':') as [string, string];
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect({ host, port: Number(port) }, () => void (octets.length > 0 && socket.write(octets)));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(Object.assign(new Error('no answer'), { code: 'no answer' })));
    socket.on('data', (chunk) => (text += chunk));
    socket.on('end', () => resolve(text === '' ? 'closed' : text));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** Opens a connection to each port and closes it. @returns how many were accepted */
async function scanPorts(host: string, count: number): Promise<number> {
  let accepted = 0;
  for (let first = 20_000; first < 20_000 + count; first += 50) {
    const batch = Array.from({ length: 50 }, (_, i) => {
      return new Promise<void>((resolve) => {
        const socket = net.connect({ host, port: first + i }, () => {
          accepted++;
          socket.end('x');
        });
        socket.on('error', () => {});
        socket.on('close', () => resolve());
        socket.resume();
      });
    });
    await Promise.all(batch);
  }
  return accepted;
}

const [role = '', ...rest] = process.argv.slice(2);
const roles: Readonly<Record<string, (...settings: string[]) => Promise<Answer>>> = {
  'control-plane': (directory, host, port) => controlPlane(directory!, host!, port!),
  sidecar,
  application: (name) => application(name!),
};
if (roles[role] !== undefined) {
  const answer = await roles[role](...rest);
  const reply = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
  reply('started');
  for await (const line of readline.createInterface({ input: process.stdin })) reply(await answer(JSON.parse(line) as Command));
  process.exit(0); // the test has ended
}
