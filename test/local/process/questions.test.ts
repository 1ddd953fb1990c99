// What the probes of `weft run` ask: each kind of probe, of a container that answers well or badly.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { planMesh } from '#local/plan/plan.ts';
import { type Guard, NO_GUARD } from '#local/process/guard.ts';
import { containerLaunch } from '#local/process/launch.ts';
import { askPorts, askProbe } from '#local/process/questions.ts';
import { deployment, settings } from '../plan/shop.ts';

describe('local/process: questions', () => {
  const [pod] = planMesh([deployment('a', { app: 'a' }, { env: [{ name: 'CODE', value: '3' }] })], settings).pods;
  const launch = { ...containerLaunch(pod.containers[0], process.env), directory: '/' };
  const exec = (argv: string[], timeoutMs = 30_000, guard: Guard = NO_GUARD) =>
    askProbe({ kind: 'exec', argv, timeoutMs }, pod, launch, guard);
  let server: Server;
  let port: number;

  before(async function () {
    if (process.platform !== 'linux') this.skip();
    server = createServer((request, response) => response.writeHead(request.url === '/up' ? 204 : 503).end()).listen(0, pod.appAddress);
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  after(() => server?.close());

  it('asks the container at its own address over HTTP, and takes 200 to 399', async () => {
    const http = (path: string) =>
      askProbe({ kind: 'target', target: { timeoutMs: 5000, http: { port, path, scheme: 'HTTP' } }, host: '' }, pod, launch, NO_GUARD);
    expect(await http('/up')).to.include({ ok: true, status: 204 });
    expect(await http('/down')).to.include({ ok: false, status: 503 });
  });

  it('asks another host where the probe names one', async () => {
    const tcp = (host: string) => askProbe({ kind: 'target', target: { timeoutMs: 5000, tcp: { port } }, host }, pod, launch, NO_GUARD);
    expect((await tcp('')).ok).to.equal(true);
    expect(await tcp('127.77.9.9')).to.deep.include({ ok: false, detail: `tcp 127.77.9.9:${port}: ECONNREFUSED` });
  });

  it('runs a command with the container’s environment, and takes code 0', async () => {
    expect((await exec(['sh', '-c', 'test "$POD_IP" = 127.77.1.2'])).ok).to.equal(true);
    expect(await exec(['sh', '-c', 'echo not yet; exit $CODE'])).to.deep.include({
      ok: false,
      detail: 'sh: it ended with code 3: not yet',
    });
    expect(await exec(['a\0b'])).to.include({ ok: false });
    expect(await exec(['no-such-command'])).to.deep.include({ ok: false, detail: 'no-such-command: ENOENT' });
  });

  it('ends a command whose time is over, with all that it started', async () => {
    const groups: string[] = [];
    const guard: Guard = { ...NO_GUARD, add: (group) => groups.push(`+${group}`), remove: (group) => groups.push(`-${group}`) };
    expect(await exec(['sh', '-c', 'sleep 60 & wait'], 50, guard)).to.deep.include({
      ok: false,
      detail: 'sh: it has not ended within 50 ms',
    });
    const [added] = groups;
    expect(groups).to.deep.equal([added, added.replace('+', '-')]);
  });

  it('says why a probe can never succeed', async () => {
    expect(await askProbe({ kind: 'never', why: 'no such port' }, pod, launch, NO_GUARD)).to.deep.include({
      ok: false,
      detail: 'no such port',
    });
  });

  it('stands in for a probe by the ports of the container', async () => {
    expect((await askPorts([port], pod.appAddress)).ok).to.equal(true);
    expect((await askPorts([port, 1], pod.appAddress)).detail).to.equal('tcp 127.77.1.2:1: ECONNREFUSED');
    expect((await askPorts([], pod.appAddress)).ok).to.equal(true);
  });
});
