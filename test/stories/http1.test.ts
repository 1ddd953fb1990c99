// HTTP/1.1 through two sidecars, with the clients that people use.
import { execFile } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { type HttpApp, type SeenRequest, startHttpApp } from '../support/http-app.ts';
import { PORT, TestMesh } from '../support/mesh.ts';
import { neededBy } from '../support/needed.ts';
import { grpcRoute, split } from '../support/routes.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const IDENTITY = 'x-forwarded-client-cert';

describe('HTTP/1.1', () => {
  let mesh: TestMesh;
  const apps = new Map<string, HttpApp>();
  let base: string;

  before(async () => {
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['web', 'empty', 'routed'] },
        { name: 'v1', serves: true },
        { name: 'v2', serves: true },
      ],
      declared: false,
      services: { web: ['v1', 'v2'], empty: [], routed: ['v1'], v1: ['v1'] },
    });
    for (const name of ['v1', 'v2']) apps.set(name, await startHttpApp(name, mesh.appAddress(name)));
    const { host, port } = mesh.address('caller', 'web');
    base = `http://${host}:${port}`;
  });

  after(async () => {
    for (const app of apps.values()) app.close();
    await mesh.close();
  });

  /** The value of a header that the application saw; undefined: there was none. */
  function header({ headers }: SeenRequest, name: string): string | undefined {
    const at = headers.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === name);
    return at < 0 ? undefined : headers[at + 1];
  }

  /** One request by Node's own client. */
  function request(
    options: http.RequestOptions,
    body: string | null = null,
  ): Promise<{ status: number; text: string; trailers: NodeJS.Dict<string>; headers: string[] }> {
    return new Promise((resolve, reject) => {
      const sent = http.request(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode!, text, trailers: response.trailers, headers: response.rawHeaders }),
        );
      });
      sent.on('error', reject);
      sent.end(body ?? undefined);
    });
  }

  it('reaches the application as HTTP/1.1, with the identity that the mesh has proved', async () => {
    const response = await fetch(`${base}/a?b=c`, { headers: { [IDENTITY]: 'URI=spiffe://forged', 'X-Mine': '1' } });
    const seen = (await response.json()) as SeenRequest;
    expect(response.status).to.equal(200);
    expect([seen.method, seen.url, seen.version]).to.deep.equal(['GET', '/a?b=c', '1.1']);
    expect(header(seen, IDENTITY)).to.equal('URI=spiffe://cluster.local/ns/shop/sa/caller');
    expect(header(seen, 'x-mine')).to.equal('1');
    expect(header(seen, 'weft-origin')).to.equal(undefined);
    expect(header(seen, 'host')).to.equal(base.slice('http://'.length));
  });

  it('is balanced call by call, though the client keeps one connection', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const { host, port } = mesh.address('caller', 'web');
    const pods = new Set<string>();
    for (let i = 0; i < 40; i++) pods.add((JSON.parse((await request({ host, port, agent })).text) as SeenRequest).pod);
    agent.destroy();
    expect([...pods].sort()).to.deep.equal(['v1', 'v2']);
  });

  it("carries bodies and trailers of Node's client, of a length and in chunks", async () => {
    const { host, port } = mesh.address('caller', 'web');
    const body = 'x'.repeat(300_000);
    const plain = await request({ host, port, method: 'POST', path: '/', headers: { 'Content-Length': body.length } }, body);
    expect((JSON.parse(plain.text) as SeenRequest).body.length).to.equal(body.length);
    const chunked = await request({ host, port, method: 'PUT', path: '/chunked', headers: { 'Transfer-Encoding': 'chunked' } }, body);
    const seen = JSON.parse(chunked.text) as SeenRequest;
    expect(seen.body.length).to.equal(body.length);
    expect(chunked.trailers).to.deep.equal({ 'x-sum': `${body.length}` });
    expect(chunked.headers.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())).to.include('transfer-encoding');
  });

  it('answers HEAD, 204 and errors of the application as they are', async () => {
    const { host, port } = mesh.address('caller', 'web');
    const head = await request({ host, port, method: 'HEAD', path: '/' });
    expect([head.status, head.text]).to.deep.equal([200, '']);
    expect((await request({ host, port, path: '/?status=204' })).status).to.equal(204);
    expect((await request({ host, port, path: '/?status=404' })).status).to.equal(404);
    expect((await request({ host, port, path: '/?status=500' })).status).to.equal(500);
  });

  it('serves curl, with an expectation and a large body too', async function () {
    const version = await run('curl', ['--version']).catch(() => ({ skip: 'there is no curl' }));
    neededBy(this, version);
    const one = await run('curl', ['-sS', '--http1.1', `${base}/curl`]);
    expect((JSON.parse(one.stdout) as SeenRequest).url).to.equal('/curl');
    const old = await run('curl', ['-sS', '--http1.0', `${base}/old`]);
    expect((JSON.parse(old.stdout) as SeenRequest).url).to.equal('/old');
    const upgrade = await run('curl', ['-sS', '--http2', `${base}/upgrade`]);
    expect((JSON.parse(upgrade.stdout) as SeenRequest).version).to.equal('1.1');
    const prior = ['-sS', '-X', 'POST', '-H', 'Expect: 100-continue', '--data-binary', 'y'.repeat(100_000), `${base}/post`];
    expect((JSON.parse((await run('curl', prior)).stdout) as SeenRequest).body.length).to.equal(100_000);
  });

  it("serves Python's http.client, which keeps its connection", async function () {
    const { host, port } = mesh.address('caller', 'web');
    const program = [
      'import http.client, json',
      `c = http.client.HTTPConnection("${host}", ${port})`,
      'for i in range(3):',
      '  c.request("POST", "/py%d" % i, body=iter([b"ab", b"cd"]), headers={"X-A": "b"}, encode_chunked=True)',
      '  r = c.getresponse()',
      '  print(r.status, json.loads(r.read())["body"])',
    ].join('\n');
    const python = await run('python3', ['-c', program]).catch((error: Error & { code?: unknown }) => {
      if (error.code === 'ENOENT') return { skip: 'there is no Python' };
      throw error;
    });
    const { stdout } = neededBy(this, python);
    expect(stdout).to.equal('200 abcd\n'.repeat(3));
  });

  it('carries a WebSocket, both ways', async () => {
    const { host, port } = mesh.address('caller', 'web');
    const socket = net.connect({ host, port });
    let got = '';
    let isOver = false;
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
    });
    socket.on('end', () => {
      isOver = true;
    });
    socket.write(
      `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n${IDENTITY}: URI=spiffe://forged\r\n\r\n`,
    );
    await until(() => got.endsWith('\r\n\r\n'), `the switch; so far ${got}`);
    expect(got).to.match(/^HTTP\/1.1 101 Switching Protocols\r\n/);
    expect(got.toLowerCase()).to.contain('sec-websocket-accept: a\r\n').and.contain('upgrade: websocket\r\n');
    const big = 'frame '.repeat(50_000);
    socket.write(big);
    await until(() => got.endsWith(big), 'all of it has come back');
    socket.end();
    await until(() => isOver, 'the end has come back');
    const seen = [...apps.values()].flatMap((app) => app.seen).find(({ url }) => url === '/ws')!;
    expect(header(seen, IDENTITY)).to.equal('URI=spiffe://cluster.local/ns/shop/sa/caller');
    expect(header(seen, 'sec-websocket-key')).to.equal('k');
  });

  it("takes a plaintext client's claims of identity away, in every spelling and on each request of a connection", async () => {
    const host = mesh.podAddress('v1');
    for (const spelling of ['X-Forwarded-Client-Cert', 'x_forwarded_client_cert', 'X-FORWARDED_client-cert']) {
      const { text } = await request({ host, port: PORT, path: '/stranger', headers: { [spelling]: 'URI=spiffe://forged' } });
      expect(text.toLowerCase()).to.not.contain('forged').and.not.contain('forwarded');
    }
    const ahead = net.connect({ host, port: PORT });
    ahead.write(`GET /ahead HTTP/1.1\r\nHost: a\r\n${IDENTITY}: URI=spiffe://forged\r\n\r\n`.repeat(3));
    const seen = (): SeenRequest[] => apps.get('v1')!.seen.filter(({ url }) => url === '/ahead');
    await until(() => seen().length === 3, 'all have come');
    for (const one of seen()) expect(header(one, IDENTITY)).to.equal(undefined);
    ahead.destroy();
  });

  it('gets statuses from the mesh itself: 503 where there is no endpoint, 404 where no rule matches', async () => {
    const empty = mesh.address('caller', 'empty');
    const none = await request({ host: empty.host, port: empty.port });
    expect(none.status).to.equal(503);
    expect(none.text).to.match(/^weft: no_endpoints: /);
    mesh.setRoutes([
      grpcRoute([split({ v1: 1 }, { matches: [{ method: { service: 'web.Pages' } }] })], { name: 'routed', parent: 'routed' }),
    ]);
    await mesh.settled();
    const routed = mesh.address('caller', 'routed');
    const missed = await request({ host: routed.host, port: routed.port, path: '/other/page' });
    expect(missed.status).to.equal(404);
    expect(missed.text).to.match(/^weft: no_route: /);
    expect((await request({ host: routed.host, port: routed.port, path: '/web.Pages/first' })).status).to.equal(200);
  });

  it('finds its way by the path, however many paths there are', async () => {
    const { host, port } = mesh.address('caller', 'routed');
    mesh.setTelemetry('caller', { accessLog: 'all' });
    await mesh.settled();
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 150; i++) {
      const found = await request({ host, port, agent, path: `/web.Pages/page-${i}?q=${i}` });
      expect([found.status, (JSON.parse(found.text) as SeenRequest).url]).to.deep.equal([200, `/web.Pages/page-${i}?q=${i}`]);
      expect((await request({ host, port, agent, path: `/other/page-${i}` })).status).to.equal(404);
    }
    agent.destroy();
    const logged = (method: string): boolean => mesh.accessLog('caller').some((line) => line.method === method);
    await until(() => logged('web.Pages/page-149') && logged('other/page-149'), 'the log has the last ones');
    for (let i = 0; i < 150; i++) expect(logged(`web.Pages/page-${i}`) && logged(`other/page-${i}`), `${i}`).to.equal(true);
  });

  it('is counted by the caller and by the called, and stands in the access log', async () => {
    const out = (await mesh.stats('caller')).filter(({ service }) => service === 'shop/web:8080');
    expect(out.reduce((sum, { count }) => sum + count, 0)).to.be.greaterThan(40);
    expect(out.every(({ mtls }) => mtls)).to.equal(true);
    const inbound = await mesh.stats('v1');
    expect(inbound.some(({ caller }) => caller.endsWith('/sa/caller'))).to.equal(true);
    expect(await mesh.metric('caller', 'weft_protocol_detections_total{direction="outbound",outcome="http1"}')).to.be.greaterThan(10);
  });

  it('is refused with 400 before anything reaches the application, where it could be read in two ways', async () => {
    const { host, port } = mesh.address('caller', 'web');
    const before = [...apps.values()].reduce((sum, { seen }) => sum + seen.length, 0);
    const socket = net.connect({ host, port });
    let got = '';
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
    });
    socket.write(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n',
    );
    await until(() => got.includes('weft:'), 'the answer has come');
    expect(got)
      .to.match(/^HTTP\/1.1 400 /)
      .and.to.match(/weft: bad_request: content-length beside transfer-encoding/);
    expect([...apps.values()].reduce((sum, { seen }) => sum + seen.length, 0)).to.equal(before);
    socket.destroy();
  });
});
