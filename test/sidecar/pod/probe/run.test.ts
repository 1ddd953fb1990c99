// Probes against real applications on loopback, judged as the kubelet judges them (kubernetes pkg/probe/*).
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import type { TLSSocket } from 'node:tls';
import { status as grpcStatus, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { expect } from 'chai';
import type { HttpProbe, ProbeTarget } from '#core/contract/probes.ts';
import { systemTimers } from '#core/program/timers.ts';
import { decodeHealthStatus, encodeHealthRequest } from '#sidecar/pod/probe/health.ts';
import { type ProbeOutcome, runProbe } from '#sidecar/pod/probe/run.ts';
import { craft, craftAuthority } from '../../../support/craft-certificate.ts';
import { ManualTimers } from '../../../support/manual-timers.ts';
import { until } from '../../../support/until.ts';

const HOST = '127.0.0.1';
const open: { close(): void }[] = [];

function listening(server: net.Server, host = HOST): Promise<number> {
  open.push(server);
  return new Promise((resolve) => server.listen(0, host, () => resolve((server.address() as net.AddressInfo).port)));
}

const probe = (target: Omit<ProbeTarget, 'timeoutMs'>, host = HOST): Promise<ProbeOutcome> =>
  runProbe({ timeoutMs: 5000, ...target }, host, systemTimers);

const probeHttp = (port: number, wish: Partial<HttpProbe> = {}, host = HOST): Promise<ProbeOutcome> =>
  probe({ http: { port, path: '/', scheme: 'HTTP', ...wish } }, host);

describe('probe run', () => {
  afterEach(() => {
    for (const server of open.splice(0)) server.close();
  });

  describe('HTTP', () => {
    it('2xx and 3xx are well, others are not; the detail has the status and what was said', async () => {
      const port = await listening(
        http.createServer((request, response) => response.writeHead(Number(request.url!.slice(1))).end('so it is')),
      );
      for (const [status, ok] of [
        [200, true],
        [204, true],
        [304, true],
        [399, true],
        [400, false],
        [404, false],
        [500, false],
        [503, false],
      ] as const)
        expect(await probeHttp(port, { path: `/${status}` }), `${status}`).to.include({ ok, status });
      expect((await probeHttp(port, { path: '/500' })).detail).to.equal(`http://${HOST}:${port}/500: HTTP 500: so it is`);
    });

    it('sends what the kubelet sends', async () => {
      let got: { url: string; headers: string[] } | null = null;
      const port = await listening(
        http.createServer((request, response) => {
          got = { url: request.url!, headers: request.rawHeaders };
          response.end();
        }),
      );
      expect(await probeHttp(port, { path: '/healthz?full=1' })).to.include({ ok: true });
      expect(got).to.deep.equal({
        url: '/healthz?full=1',
        headers: ['Host', `${HOST}:${port}`, 'User-Agent', 'kube-probe/1', 'Accept', '*/*', 'Connection', 'close'],
      });
    });

    it('sends headers of its own: Host, the same name twice, and none where the value is empty', async () => {
      let headers: string[] = [];
      const port = await listening(
        http.createServer((request, response) => {
          headers = request.rawHeaders;
          response.end();
        }),
      );
      const own = [
        { name: 'host', value: 'shop.example' },
        { name: 'X-A', value: '1' },
        { name: 'x-a', value: '2' },
        { name: 'Accept', value: '' },
        { name: 'User-Agent', value: 'mine' },
      ];
      expect(await probeHttp(port, { headers: own })).to.include({ ok: true });
      expect(headers).to.deep.equal(['Host', 'shop.example', 'X-A', '1', 'x-a', '2', 'User-Agent', 'mine', 'Connection', 'close']);
    });

    it('follows redirects to the same host only', async () => {
      const asked: string[] = [];
      const port: number = await listening(
        http.createServer((request, response) => {
          asked.push(request.url!);
          const to = { '/a': '/b?x=1', '/far': 'http://shop.example/', '/loop': '/loop', '/bad': `http://${HOST}:${port}/fails` }[
            request.url!
          ];
          if (to !== undefined) response.writeHead(302, { location: to }).end();
          else response.writeHead(request.url === '/fails' ? 500 : 200).end();
        }),
      );
      expect(await probeHttp(port, { path: '/a' })).to.include({ ok: true, status: 200 });
      expect(asked).to.deep.equal(['/a', '/b?x=1']);
      expect(await probeHttp(port, { path: '/far' })).to.include({ ok: true, status: 302 });
      expect(await probeHttp(port, { path: '/bad' })).to.include({ ok: false, status: 500 });
      asked.length = 0;
      const loop = await probeHttp(port, { path: '/loop' });
      expect(loop.ok).to.equal(false);
      expect(loop.detail).to.contain('stopped after 10 redirects');
      expect(asked).to.have.length(11);
    });

    it('asks over TLS without judging the certificate', async () => {
      const { pem, keyPem } = await craft(await craftAuthority(), { notAfter: new Date(Date.now() - 1000) });
      let name: string | false | undefined;
      const server = https.createServer({ cert: pem, key: keyPem }, (request, response) => {
        name = (request.socket as TLSSocket & { servername?: string | false }).servername;
        response.writeHead(200).end();
      });
      const port = await listening(server);
      expect(await probeHttp(port, { scheme: 'HTTPS', headers: [{ name: 'Host', value: 'shop.example' }] })).to.include({ ok: true });
      expect(name).to.equal(false);
      expect(await probeHttp(port)).to.include({ ok: false });
    });

    it('asks over HTTP/2 where the server chooses it, with or without HTTP/1.1 beside it', async () => {
      const { pem, keyPem } = await craft(await craftAuthority());
      const own = [
        { name: 'Host', value: 'shop.example' },
        { name: 'X-A', value: '1' },
        { name: 'X-A', value: '2' },
        { name: 'Connection', value: 'keep-alive' },
      ];
      for (const allowHTTP1 of [false, true]) {
        let got: http2.IncomingHttpHeaders = {};
        const server = http2.createSecureServer({ cert: pem, key: keyPem, allowHTTP1 }, (request, response) => {
          got = request.headers;
          response.writeHead(request.url === '/bad' ? 503 : 204).end();
        });
        const port = await listening(server);
        expect(await probeHttp(port, { scheme: 'HTTPS', path: '/ready?full=1', headers: own })).to.include({ ok: true, status: 204 });
        expect({ ...got }).to.deep.include({ ':path': '/ready?full=1', ':authority': 'shop.example', 'x-a': '1, 2', accept: '*/*' });
        expect(got).to.include({ 'user-agent': 'kube-probe/1', ':scheme': 'https' }).and.not.to.have.property('connection');
        expect(await probeHttp(port, { scheme: 'HTTPS', path: '/bad' })).to.include({ ok: false, status: 503 });
      }
    });

    it('ends well with an HTTP/2 server that says nothing, resets the stream or closes', async () => {
      const { pem, keyPem } = await craft(await craftAuthority());
      const server = http2.createSecureServer({ cert: pem, key: keyPem });
      server.on('stream', (stream, headers) => {
        stream.on('error', () => {});
        if (headers[':path'] === '/reset') stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
        else if (headers[':path'] === '/close') stream.session!.destroy();
      });
      const port = await listening(server);
      for (const path of ['/reset', '/close']) expect(await probeHttp(port, { scheme: 'HTTPS', path }), path).to.include({ ok: false });
      const timers = new ManualTimers();
      let asked = false;
      server.on('stream', () => (asked = true));
      const outcome = runProbe({ timeoutMs: 3000, http: { port, path: '/silent', scheme: 'HTTPS' } }, HOST, timers);
      await until(() => asked, 'the server is asked');
      timers.advance(3000);
      expect((await outcome).detail).to.contain('no answer within 3000 ms');
    });

    it('takes headers of 30 KB, by HTTP/1.1 and HTTP/2', async () => {
      const { pem, keyPem } = await craft(await craftAuthority());
      const large = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`x-${i}`, 'y'.repeat(100)]));
      const port = await listening(http.createServer((_, response) => void response.writeHead(200, large).end()));
      expect(await probeHttp(port)).to.include({ ok: true, status: 200 });
      const secure = http2.createSecureServer({ cert: pem, key: keyPem }, (_, response) => void response.writeHead(200, large).end());
      expect(await probeHttp(await listening(secure), { scheme: 'HTTPS' })).to.include({ ok: true, status: 200 });
    });

    it('takes any answer of a hook, and one without TLS where TLS was asked for', async () => {
      let got: http.IncomingHttpHeaders = {};
      const server = http.createServer((request, response) => {
        got = request.headers;
        response.writeHead(500).end();
      });
      const port = await listening(server);
      const headers = [{ name: 'Authorization', value: 'secret' }];
      const hook = (scheme: 'HTTP' | 'HTTPS') => probe({ token: 'T', http: { port, path: '/drain', scheme, headers } });
      expect(await hook('HTTP')).to.include({ ok: true, status: 500 });
      expect(got).to.have.property('authorization');
      expect(await hook('HTTPS')).to.include({ ok: true, status: 500 });
      expect(got).not.to.have.property('authorization');
      expect(await probe({ token: 'T', http: { port: 1, path: '/', scheme: 'HTTP' } })).to.include({ ok: false });
    });

    it('reads no more of a body than it must', async () => {
      const port = await listening(
        http.createServer((_request, response) => {
          response.on('error', () => {});
          const more = (): void => {
            if (response.destroyed) return;
            response.write('x'.repeat(16 * 1024), () => setImmediate(more));
          };
          more();
        }),
      );
      const { ok, detail } = await probeHttp(port);
      expect(ok).to.equal(true);
      expect(detail.length).to.be.lessThan(700);
    });

    it('fails without a listener, on an answer that is cut off, and on what cannot be sent', async () => {
      expect((await probeHttp(1)).detail).to.equal(`http://${HOST}:1/: ECONNREFUSED`);
      const cut = await listening(net.createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf')));
      expect(await probeHttp(cut)).to.include({ ok: false });
      const port = await listening(http.createServer((_request, response) => response.end()));
      expect((await probeHttp(port, { headers: [{ name: 'X', value: 'a\nb' }] })).ok).to.equal(false);
      expect((await probeHttp(port, { host: 'not a host' })).ok).to.equal(false);
    });

    it('gives up after its timeout', async () => {
      const sockets: net.Socket[] = [];
      const port = await listening(net.createServer((socket) => sockets.push(socket)));
      const timers = new ManualTimers();
      const outcome = runProbe({ timeoutMs: 3000, http: { port, path: '/', scheme: 'HTTP' } }, HOST, timers);
      await until(() => sockets.length === 1, 'the connection');
      timers.advance(3000);
      expect(await outcome).to.deep.equal({ ok: false, detail: `http://${HOST}:${port}/: no answer within 3000 ms`, status: 0 });
      for (const socket of sockets) socket.destroy();
    });

    it('reaches an IPv6 pod', async () => {
      let host = '';
      const server = http.createServer((request, response) => {
        host = request.headers.host!;
        response.end();
      });
      const port = await listening(server, '::1');
      expect(await probeHttp(port, {}, '::1')).to.include({ ok: true });
      expect(host).to.equal(`[::1]:${port}`);
    });
  });

  describe('TCP', () => {
    it('is content with a connection', async () => {
      const port = await listening(net.createServer((socket) => socket.on('error', () => {})));
      expect(await probe({ tcp: { port } })).to.deep.equal({ ok: true, detail: `tcp ${HOST}:${port}: connected`, status: 0 });
      expect(await probe({ tcp: { port: 1 } })).to.deep.equal({ ok: false, detail: `tcp ${HOST}:1: ECONNREFUSED`, status: 0 });
    });
  });

  describe('gRPC', () => {
    const octets = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
    const Health: ServiceDefinition = {
      check: {
        path: '/grpc.health.v1.Health/Check',
        requestStream: false,
        responseStream: false,
        requestSerialize: octets.serialize,
        requestDeserialize: octets.deserialize,
        responseSerialize: octets.serialize,
        responseDeserialize: octets.deserialize,
      },
    };

    async function grpcServer(service: ServiceDefinition = Health): Promise<{ port: number; agents: string[] }> {
      const agents: string[] = [];
      const server = new Server();
      server.addService(service, {
        check: (
          call: { request: Buffer; metadata: { get(name: string): unknown[] } },
          done: (error: object | null, answer?: Buffer) => void,
        ) => {
          agents.push(String(call.metadata.get('user-agent')[0]));
          const name = call.request.subarray(2).toString();
          if (name === '') done(null, Buffer.from([0x08, 1]));
          else if (name === 'sick') done(null, Buffer.from([0x08, 2]));
          else if (name === 'empty') done(null, Buffer.alloc(0));
          else if (name !== 'silent') done({ code: grpcStatus.NOT_FOUND, details: 'unknown service' });
        },
      });
      const port = await new Promise<number>((resolve, reject) =>
        server.bindAsync(`${HOST}:0`, ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
      );
      open.push({ close: () => server.forceShutdown() });
      return { port, agents };
    }

    it('is content with SERVING only', async () => {
      const { port, agents } = await grpcServer();
      const ask = (service: string) => probe({ grpc: { port, service } });
      expect(await ask('')).to.deep.equal({ ok: true, detail: `grpc ${HOST}:${port}: SERVING`, status: 0 });
      expect(agents[0]).to.match(/^kube-probe\/1/);
      expect(await ask('sick')).to.deep.equal({ ok: false, detail: `grpc ${HOST}:${port} service "sick": NOT_SERVING`, status: 0 });
      expect(await ask('empty')).to.include({ ok: false, detail: `grpc ${HOST}:${port} service "empty": UNKNOWN` });
      expect(await ask('other')).to.include({ ok: false, detail: `grpc ${HOST}:${port} service "other": unknown service` });
    });

    it('reports that there is no health service, no listener, or no answer', async () => {
      const { port } = await grpcServer({ check: { ...Health.check!, path: '/shop.Health/Check' } });
      expect((await probe({ grpc: { port, service: '' } })).detail).to.contain('does not implement grpc.health.v1.Health');
      expect((await probe({ grpc: { port: 1, service: '' } })).detail).to.contain('ECONNREFUSED');
      const { port: silent, agents } = await grpcServer();
      const timers = new ManualTimers();
      const outcome = runProbe({ timeoutMs: 2000, grpc: { port: silent, service: 'silent' } }, HOST, timers);
      await until(() => agents.length === 1, 'the call');
      timers.advance(2000);
      expect(await outcome).to.include({ ok: false, detail: `grpc ${HOST}:${silent} service "silent": no answer within 2000 ms` });
    });

    it('writes and reads the two messages', () => {
      expect(Buffer.from(encodeHealthRequest('')).toString('hex')).to.equal('');
      expect(Buffer.from(encodeHealthRequest('ab')).toString('hex')).to.equal('0a026162');
      expect(
        Buffer.from(encodeHealthRequest('x'.repeat(300)))
          .subarray(0, 4)
          .toString('hex'),
      ).to.equal('0aac0278');
      const status = (hex: string): string => decodeHealthStatus(Buffer.from(hex, 'hex'));
      const cases = {
        '': 'UNKNOWN',
        '0800': 'UNKNOWN',
        '0801': 'SERVING',
        '0802': 'NOT_SERVING',
        '0803': 'SERVICE_UNKNOWN',
        '0809': 'UNKNOWN',
      };
      for (const [hex, expected] of Object.entries(cases)) expect(status(hex), hex).to.equal(expected);
      // Unknown fields before and after it, and messages that are cut off.
      expect(status('1203616263' + '0801' + '1d00000000' + '210000000000000000' + '2805')).to.equal('SERVING');
      for (const hex of ['08', '0880', '0801120a61', '0801ff', '080103', '08ffffffffffffffffff01'])
        expect(status(hex), hex).to.equal('UNKNOWN');
    });
  });
});
