// The control plane's HTTP port: probes, metrics that parse, and the dump.
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { type ControlPlane, startControlPlane } from '#control-plane/program/assemble.ts';
import { MOST_CONNECTIONS, startView } from '#control-plane/view/server.ts';
import type { StatusAround } from '#control-plane/view/status.ts';
import { VERSION } from '#core/contract/version.ts';
import type { HttpPort } from '#core/program/http-port.ts';
import { silentLogger } from '#core/program/log.ts';
import { parseExposition } from '#test/support/exposition.ts';
import { until } from '../../support/until.ts';

describe('control-plane/view', () => {
  let controlPlane: ControlPlane;
  let view: HttpPort;
  let ready: true | string = true;

  const problems: string[] = [];
  const around = (): StatusAround => ({
    replica: 'weft-0',
    leader: true,
    trustDomain: 'test.local',
    missingKinds: [],
    problems,
    reflectors: [{ kind: 'Service', synced: true, lastEventMs: 5, lastError: '' }],
  });

  before(async () => {
    controlPlane = await startControlPlane({
      authority: await Authority.create({ trustDomain: 'test.local', now: Date.now }),
      verifyToken: async () => ({ error: 'not in this test' }),
      host: '127.0.0.1',
      port: 0,
      objects: [{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'payment', namespace: 'shop' } }],
      log: silentLogger,
    });
    view = await startView({ host: '127.0.0.1', port: 0, serving: () => controlPlane, ready: () => ready, around });
  });

  after(async () => {
    await view.close();
    await controlPlane.close();
  });

  function ask(path: string, method = 'GET'): Promise<{ status: number; type: string; body: string }> {
    return new Promise((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: view.port, path, method, agent: false }, (response) => {
        let body = '';
        response.on('data', (part) => (body += part));
        response.on('end', () => resolve({ status: response.statusCode!, type: response.headers['content-type']!, body }));
      });
      call.on('error', reject);
      call.end();
    });
  }

  it('answers the probes', async () => {
    expect(await ask('/livez')).to.include({ status: 200, body: 'ok\n' });
    expect(await ask('/readyz')).to.include({ status: 200, body: 'ok\n' });
    ready = 'the directory is gone';
    expect(await ask('/readyz?verbose')).to.include({ status: 503, body: 'the directory is gone\n' });
    ready = true;
  });

  it('gives metrics that a scraper can read', async () => {
    const { body, type } = await ask('/metrics');
    expect(type).to.match(/version=0\.0\.4/);
    parseExposition(body);
    expect(body).to.include('\nweft_control_plane_services 1\n');
    expect(body).to.include('weft_control_plane_certificate_requests_total{outcome="issued"} 0\n');
  });

  it('shows what it knows', async () => {
    const { body, type } = await ask('/debug/resources');
    expect(type).to.equal('application/json');
    expect(JSON.parse(body)).to.deep.equal({ services: ['shop/payment'], routes: [], problems: [], sidecars: [] });
  });

  it('gives a report of everything', async () => {
    problems.push('XMesh weft belongs to another');
    const { body } = await ask('/status');
    expect(JSON.parse(body)).to.deep.equal({
      version: VERSION,
      replica: 'weft-0',
      leader: true,
      trustDomain: 'test.local',
      authorityNotAfterMs: controlPlane.authorityNotAfterMs,
      missingKinds: [],
      problems: ['XMesh weft belongs to another'],
      routes: [],
      sidecars: [],
      calls: [],
      reflectors: [{ kind: 'Service', synced: true, lastEventMs: 5, lastError: '' }],
    });
    expect((await ask('/readyz')).body).to.equal('ok\nXMesh weft belongs to another\n');
    problems.pop();
  });

  it('answers a probe though a caller fills the port with idle connections, and holds no more than so many', async () => {
    const idle = Array.from({ length: MOST_CONNECTIONS + 20 }, () => connect(view.port, '127.0.0.1').on('error', () => {}));
    await Promise.all(idle.slice(-10).map((socket) => (socket.connecting ? once(socket, 'connect') : undefined)));
    expect(await ask('/livez')).to.include({ status: 200 });
    await until(() => idle.filter(({ destroyed }) => destroyed).length >= 20, 'the oldest are gone');
    expect(idle.at(-1)!.destroyed).to.equal(false);
    for (const socket of idle) socket.destroy();
  });

  it('shows to other machines probes and metrics, and nothing else', async function () {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((one) => one !== undefined && !one.internal && one.family === 'IPv4')?.address;
    // A machine without any network has no caller to hide from.
    if (address === undefined) return this.skip();
    const around64 = { host: '0.0.0.0', port: 0, serving: () => controlPlane, ready: () => true as const, around };
    const exposed = await startView(around64);
    const wordsOf = (path: string): Promise<string> =>
      new Promise((resolve, reject) => {
        let text = '';
        request({ host: address, port: exposed.port, path }, (response) => {
          response.on('data', (chunk) => (text += chunk)).on('end', () => resolve(`${response.statusCode} ${text}`));
        })
          .on('error', reject)
          .end();
      });
    problems.push('Service cannot be followed: forbidden');
    expect(await wordsOf('/readyz'), 'no words about the cluster').to.equal('200 ok\n');
    problems.pop();
    const statusOf = (host: string, path: string, method = 'GET'): Promise<number> =>
      new Promise((resolve, reject) => {
        request({ host, port: exposed.port, path, method }, (response) => resolve(response.resume().statusCode!))
          .on('error', reject)
          .end();
      });
    try {
      for (const path of ['/livez', '/readyz', '/metrics']) expect(await statusOf(address, path), path).to.equal(200);
      for (const path of [
        '/status',
        '/debug/resources',
        '/status?x',
        '//status',
        '/debug/pprof',
        '/config_dump',
        '/quitquitquit',
        '/logging',
        '/',
      ])
        expect(await statusOf(address, path), path).to.equal(404);
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) expect(await statusOf(address, '/status', method), method).to.equal(405);
      for (const path of ['/status', '/debug/resources']) expect(await statusOf('127.0.0.1', path), path).to.equal(200);
    } finally {
      await exposed.close();
    }
  });

  it('refuses everything else', async () => {
    expect((await ask('/')).status).to.equal(404);
    expect((await ask('/debug/resources/../../etc')).status).to.equal(404);
    expect((await ask('/readyz', 'POST')).status).to.equal(405);
  });
});
