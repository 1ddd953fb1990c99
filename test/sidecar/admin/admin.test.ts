// The admin server over real sockets: probes for all, the inner life for loopback, nothing else.

import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import { expect } from 'chai';
import type { ProbeTarget } from '#core/contract/probes.ts';
import { gauge } from '#core/program/exposition.ts';
import { AdminServer, MAX_CONNECTIONS_PER_ADDRESS, READY_WAIT_MS } from '#sidecar/admin/admin.ts';
import type { Field } from '#sidecar/http/field.ts';
import type { SeriesKey } from '#sidecar/observe/counters/request-series.ts';
import { RequestStats } from '#sidecar/observe/counters/request-stats.ts';
import { endedCall } from '../../support/ended-call.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

const KEY: SeriesKey = {
  direction: 'outbound',
  caller: 'shop/checkout',
  service: 'shop/payment:80',
  route: '',
  rule: '',
  method: 'payment.PaymentService/Charge',
  backend: 'shop/payment:80',
  mtls: true,
  grpc: true,
};

interface Answer {
  status: number;
  type: string;
  body: string;
}

function ask(host: string, port: number, path: string, method = 'GET', headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode!, type: response.headers['content-type'] ?? '', body }));
    });
    request.on('error', reject);
    request.end();
  });
}

/** An address of this machine that is not loopback. */
function outsideAddress(): string | undefined {
  return Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === 'IPv4')?.address;
}

describe('admin server', () => {
  const stats = new RequestStats();
  let missing = '';
  const hook = { timeoutMs: 2000, token: 'abc' };
  const targets = new Map<string, ProbeTarget>(
    ['app/readiness', 'app/liveness', 'app/startup'].map((name) => [
      name,
      { timeoutMs: 2000, http: { port: 1, path: `/${name}`, scheme: 'HTTP' as const } },
    ]),
  );
  targets.set('app/preStop', { ...hook, http: { port: 1, path: '/app/stop', scheme: 'HTTP' } });
  targets.set('gone/preStop', { ...hook, tcp: { port: 1 } });
  const server = new AdminServer({
    notReady: () => missing,
    metrics: (page) => page.add([gauge('a', 'A.', 1)]),
    configDump: () => ({ $typeName: 'weft.v1.Service', name: 'payment', generation: 12n, inner: [{ $typeName: 'x', port: 80 }] }),
    series: () => stats.all(),
    unixMs: (monotonicMs) => 1_700_000_000_000 + monotonicMs,
    probes: { podAddress: '127.0.0.1', targets },
  });
  const app = http.createServer((request, response) => {
    const agent = request.headers['user-agent'];
    response.statusCode = request.url === '/app/readiness' ? 204 : 418;
    if (request.url === '/app/startup') request.socket.destroy();
    else response.end(agent);
  });

  before(async () => {
    await server.listen('0.0.0.0', 0);
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const { port } = app.address() as AddressInfo;
    for (const [name, { http: asked, ...target }] of targets)
      if (asked !== undefined) targets.set(name, { ...target, http: { ...asked, port } });
    const series = stats.seriesFor(KEY, true);
    const traced = (digit: string) => ({
      recorded: true,
      traceId: digit.repeat(32),
      outgoing: (varying: readonly Field[]) => varying,
      retried: () => {},
    });
    for (const ms of [1, 1]) series.ended(endedCall({ latencyMs: ms }));
    series.ended(endedCall({ startMs: 200, endMs: 300, trace: traced('a') }));
    series.ended(endedCall({ startMs: 400, endMs: 405, grpcStatus: 14, trace: traced('b') }));
    series.inFlight = 2;
  });

  after(() => {
    server.close();
    app.close();
  });

  const get = (path: string, method?: string): Promise<Answer> => ask('127.0.0.1', server.port, path, method);

  it('/livez and /readyz answer probes; a sidecar that is not ready says why', async () => {
    expect(await get('/livez')).to.include({ status: 200, body: 'ok\n' });
    expect(await get('/readyz')).to.include({ status: 200 });
    missing = 'no certificate yet';
    expect(await get('/readyz')).to.include({ status: 503, body: 'no certificate yet\n' });
    expect(await get('/livez')).to.include({ status: 200 });
    missing = '';
  });

  it('/readyz?wait answers as soon as we are ready, and at last that we are not', async () => {
    const timers = new ManualTimers();
    let looks = 0;
    let lacking = 'no certificate yet';
    const notReady = (): string => {
      looks++;
      return lacking;
    };
    const waiting = new AdminServer({ notReady, metrics: () => {}, configDump: () => null, series: () => [] }, timers);
    await waiting.listen('127.0.0.1', 0);
    try {
      const held = ask('127.0.0.1', waiting.port, '/readyz?wait');
      await until(() => looks === 1, 'the first look');
      timers.advance(READY_WAIT_MS - 1);
      lacking = '';
      timers.advance(20);
      expect(await held).to.include({ status: 200, body: 'ok\n' });

      lacking = 'no certificate yet';
      looks = 0;
      const vain = ask('127.0.0.1', waiting.port, '/readyz?wait');
      await until(() => looks === 1, 'the first look');
      timers.advance(READY_WAIT_MS + 20);
      expect(await vain).to.include({ status: 503, body: 'no certificate yet\n' });

      expect(await ask('127.0.0.1', waiting.port, '/readyz')).to.include({ status: 503 });
    } finally {
      waiting.close();
    }
  });

  it('/probe asks the application and passes its answer on', async () => {
    const ready = await get('/probe/app/readiness');
    expect(ready).to.include({ status: 200 });
    expect(ready.body).to.match(/^http:\/\/127\.0\.0\.1:\d+\/app\/readiness: HTTP 204\n$/);
    const alive = await get('/probe/app/liveness');
    expect(alive).to.include({ status: 418 });
    expect(alive.body).to.contain('HTTP 418: kube-probe/1');
    const started = await get('/probe/app/startup');
    expect(started).to.include({ status: 503 });
    expect(started.body).to.contain('ECONNRESET');
  });

  it('/probe runs a hook only for the client that knows its token, and breaks off where it failed', async () => {
    for (const path of ['/probe/app/preStop', '/probe/app/preStop?', '/probe/app/preStop?abd', '/probe/app/preStop?abcd'])
      expect(await get(path), path).to.include({ status: 404, body: 'no such page\n' });
    expect(await get('/probe/app/preStop?abc')).to.include({ status: 200 });
    const failed = await get('/probe/gone/preStop?abc').then(
      () => undefined,
      (error: Error & { rawPacket?: Buffer }) => error,
    );
    expect(String(failed?.rawPacket)).to.contain('weft: tcp 127.0.0.1:1: ECONNREFUSED');
  });

  it('/probe asks the application once for all requests at the same time', async () => {
    let asked = 0;
    let answer = (): void => {};
    const slow = http.createServer((_, response) => {
      asked++;
      answer = () => response.end();
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const { port } = slow.address() as AddressInfo;
    const probe = { timeoutMs: 10_000, http: { port, path: '/', scheme: 'HTTP' as const } };
    targets.set('app/slow', probe);
    try {
      const flood = Array.from({ length: MAX_CONNECTIONS_PER_ADDRESS - 4 }, () => get('/probe/app/slow'));
      await until(() => asked === 1, 'the application is asked');
      const kubelet = get('/probe/app/slow');
      await get('/livez');
      answer();
      for (const { status } of await Promise.all([...flood, kubelet])) expect(status).to.equal(200);
      expect(asked).to.equal(1);
      const again = get('/probe/app/slow');
      await until(() => asked === 2, 'the application is asked again');
      answer();
      expect((await again).status).to.equal(200);
    } finally {
      targets.delete('app/slow');
      slow.close();
    }
  });

  it('one address cannot keep others out with its connections', async () => {
    let refused = 0;
    const greedy = Array.from({ length: MAX_CONNECTIONS_PER_ADDRESS + 5 }, () => {
      const socket = net.connect({ host: '127.0.0.1', port: server.port, localAddress: '127.0.0.2' });
      socket.on('error', () => {});
      socket.on('close', () => refused++);
      return socket;
    });
    await until(() => refused === 5, 'what is too much is refused');
    expect(await get('/livez')).to.include({ status: 200 });
    for (const socket of greedy) socket.destroy();
    const late = (): Promise<string> =>
      new Promise((resolve) => {
        let text = '';
        const socket = net.connect({ host: '127.0.0.1', port: server.port, localAddress: '127.0.0.2' });
        socket.on('data', (chunk) => (text += chunk)).on('error', () => {});
        socket.on('close', () => resolve(text));
        socket.write('GET /livez HTTP/1.0\r\n\r\n');
      });
    await until(async () => (await late()).includes('200 OK'), 'there is room again');
  });

  it('many addresses together cannot keep the kubelet out', async () => {
    const closedOf = new Map<string, number>();
    const flood: net.Socket[] = [];
    for (let address = 0; address < 20; address++)
      for (let i = 0; i < MAX_CONNECTIONS_PER_ADDRESS; i++) {
        const localAddress = `127.0.1.${10 + address}`;
        const socket = net.connect({ host: '127.0.0.1', port: server.port, localAddress });
        socket.on('error', () => {}).on('close', () => closedOf.set(localAddress, (closedOf.get(localAddress) ?? 0) + 1));
        flood.push(socket);
      }
    await until(() => flood.every(({ connecting }) => !connecting), 'all have tried');
    for (let i = 0; i < 5; i++) expect(await get('/livez')).to.include({ status: 200 });
    await until(() => flood.filter(({ destroyed }) => destroyed).length >= 128, 'what is too much is closed');
    for (const socket of flood) socket.destroy();
  });

  it('/probe of a name that is not there lists those that are', async () => {
    expect(await get('/probe/app/readyness')).to.include({
      status: 404,
      body: 'no probe "app/readyness", did you mean "app/readiness"?; there are app/readiness, app/liveness, app/startup, app/preStop, gone/preStop\n',
    });
  });

  it('/metrics is in the format that is asked for', async () => {
    expect(await get('/metrics')).to.deep.equal({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP a A.\n# TYPE a gauge\na 1\n',
    });
    expect(await ask('127.0.0.1', server.port, '/metrics', 'GET', { accept: 'application/openmetrics-text' })).to.deep.equal({
      status: 200,
      type: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
      body: '# TYPE a gauge\n# HELP a A.\na 1\n# EOF\n',
    });
  });

  it('/stats lists series with their statuses and the buckets that are not empty', async () => {
    const { series } = JSON.parse((await get('/stats')).body);
    expect(series).to.have.length(1);
    const { latency, ...rest } = series[0];
    const { grpc: _grpc, ...key } = KEY;
    expect(rest).to.deep.equal({
      ...key,
      statuses: { 0: 3, 14: 1 },
      count: 4,
      inFlight: 2,
      slow: { traceId: 'a'.repeat(32), ms: 100, endedMs: 1_700_000_000_300 },
      failed: { traceId: 'b'.repeat(32), code: 'Unavailable', ms: 5, endedMs: 1_700_000_000_405 },
    });
    expect(latency.counts).to.deep.equal([2, 1, 1]);
    [1, 5, 100].forEach((ms, i) => {
      expect(latency.boundsMs[i]).to.be.within(ms * 0.995, ms * 1.06);
    });
  });

  it('/config_dump is plain JSON, without the names of message types', async () => {
    expect(JSON.parse((await get('/config_dump')).body)).to.deep.equal({ name: 'payment', generation: '12', inner: [{ port: 80 }] });
  });

  it('other pages are 404 and other methods 405', async () => {
    for (const path of ['/', '/stats/', '//stats', '/quitquitquit']) expect((await get(path)).status, path).to.equal(404);
    for (const method of ['POST', 'PUT', 'DELETE']) expect((await get('/stats', method)).status, method).to.equal(405);
    expect(await get('/metrics?x=1')).to.include({ status: 200 });
    expect(await get('/livez', 'HEAD')).to.include({ status: 200, body: '' });
  });

  it('shows /stats and /config_dump on loopback only', async function () {
    const address = outsideAddress();
    if (address === undefined) return this.skip();
    expect((await ask(address, server.port, '/livez')).status).to.equal(200);
    expect((await ask(address, server.port, '/metrics')).status).to.equal(200);
    for (const path of ['/stats', '/config_dump']) expect((await ask(address, server.port, path)).status, path).to.equal(404);
  });

  it('tells other machines no reasons, no names, and nothing of the application’s answer', async function () {
    const address = outsideAddress();
    if (address === undefined) return this.skip();
    const secret = http.createServer((_, response) => response.end('db=postgres://ledger version=1.4.2'));
    await new Promise<void>((resolve) => secret.listen(0, '127.0.0.1', resolve));
    const { port } = secret.address() as AddressInfo;
    targets.set('ledger/liveness', { timeoutMs: 2000, http: { port, path: '/', scheme: 'HTTP' } });
    try {
      const from = async (path: string) => {
        const { status, body } = await ask(address, server.port, path);
        return `${status} ${body}`;
      };
      expect(await from('/probe/ledger/liveness')).to.equal('200 ok\n');
      expect((await get('/probe/ledger/liveness')).body).to.include('postgres');
      expect(await from('/probe/app/liveness')).to.match(/^[45]\d\d failed\n$/);
      expect(await from('/probe/x')).to.equal('404 no such page\n');
      missing = 'no certificate from weft-control-plane.weft-system.svc';
      expect(await from('/readyz')).to.equal('503 not ready\n');
      expect((await get('/readyz')).body).to.include('certificate');
    } finally {
      missing = '';
      targets.delete('ledger/liveness');
      secret.close();
    }
  });

  it('says when its address is taken', async () => {
    const second = new AdminServer({ notReady: () => '', metrics: () => {}, configDump: () => null, series: () => [] });
    let refused = '';
    await second.listen('0.0.0.0', server.port).catch((error: NodeJS.ErrnoException) => (refused = error.code ?? ''));
    expect(refused).to.equal('EADDRINUSE');
    second.close();
  });
});
