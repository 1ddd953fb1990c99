// The admin server over real sockets: probes for all, the inner life for loopback, nothing else.
import http from 'node:http';
import os from 'node:os';
import { expect } from 'chai';
import { AdminServer } from '#sidecar/telemetry/admin.ts';
import { RequestStats, type SeriesKey } from '#sidecar/telemetry/request-series.ts';

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

function ask(host: string, port: number, path: string, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, method, agent: false }, (response) => {
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
  const server = new AdminServer({
    notReady: () => missing,
    metrics: () => '# TYPE a gauge\na 1\n',
    configDump: () => ({ $typeName: 'weft.v1.Service', name: 'payment', generation: 12n, inner: [{ $typeName: 'x', port: 80 }] }),
    series: () => stats.all(),
  });

  before(async () => {
    await server.listen('0.0.0.0', 0);
    const series = stats.seriesFor(KEY, true);
    for (const ms of [1, 1, 100]) series.ended(0, ms);
    series.ended(14, 5);
    series.inFlight = 2;
  });

  after(() => server.close());

  const get = (path: string, method?: string): Promise<Answer> => ask('127.0.0.1', server.port, path, method);

  it('/livez and /readyz answer probes; a sidecar that is not ready says why', async () => {
    expect(await get('/livez')).to.include({ status: 200, body: 'ok\n' });
    expect(await get('/readyz')).to.include({ status: 200 });
    missing = 'no certificate yet';
    expect(await get('/readyz')).to.include({ status: 503, body: 'no certificate yet\n' });
    expect(await get('/livez')).to.include({ status: 200 });
    missing = '';
  });

  it("/metrics has the text format's type", async () => {
    expect(await get('/metrics')).to.deep.equal({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# TYPE a gauge\na 1\n',
    });
  });

  it('/stats lists series with their statuses and the buckets that are not empty', async () => {
    const { series } = JSON.parse((await get('/stats')).body);
    expect(series).to.have.length(1);
    const { latency, ...rest } = series[0];
    const { grpc: _grpc, ...key } = KEY;
    expect(rest).to.deep.equal({ ...key, statuses: { 0: 3, 14: 1 }, count: 4, inFlight: 2 });
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

  it('shows the inner life to nobody beyond loopback', async function () {
    const address = outsideAddress();
    if (address === undefined) return this.skip();
    expect((await ask(address, server.port, '/livez')).status).to.equal(200);
    expect((await ask(address, server.port, '/metrics')).status).to.equal(200);
    for (const path of ['/stats', '/config_dump']) expect((await ask(address, server.port, path)).status, path).to.equal(404);
  });

  it('says when its address is taken', async () => {
    const second = new AdminServer({ notReady: () => '', metrics: () => '', configDump: () => null, series: () => [] });
    let refused = '';
    await second.listen('0.0.0.0', server.port).catch((error: NodeJS.ErrnoException) => (refused = error.code ?? ''));
    expect(refused).to.equal('EADDRINUSE');
    second.close();
  });
});
