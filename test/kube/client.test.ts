// The client: kubeconfigs, the pod's own files, requests, and errors that say what to look at.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { queryObjects } from 'node:v8';
import { expect } from 'chai';
import fc from 'fast-check';
import { KubeError, pathOf } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { inClusterCredentials } from '#kube/credentials.ts';
import { HttpKubeClient } from '#kube/http-client.ts';
import { JsonLines, type WatchEvent } from '#kube/json-lines.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { podKind } from '#objects/pod.ts';
import { craftAuthority } from '../support/craft-certificate.ts';
import { until } from '../support/until.ts';
import { refuse, reply, TestApiServer } from './api-server.ts';

const POD = { kind: podKind, namespace: 'n', name: 'x' };

async function errorOf(promise: Promise<unknown>): Promise<KubeError> {
  try {
    await promise;
  } catch (error) {
    return error as KubeError;
  }
  throw new Error('it succeeded');
}

describe('kube client', () => {
  let server: TestApiServer;
  let directory: string;

  before(async () => {
    server = await TestApiServer.start();
    directory = mkdtempSync(join(tmpdir(), 'weft-kube-'));
  });
  after(() => {
    server.close();
    rmSync(directory, { recursive: true });
  });
  beforeEach(() => {
    server.faults.length = 0;
    server.seen.length = 0;
  });

  function kubeconfig(name: string, user: object, more: { cluster?: object; context?: string } = {}): string {
    const file = join(directory, name);
    const { host, port } = server.address;
    const ca = Buffer.from(server.ca).toString('base64');
    const cluster = {
      server: `https://${host}:${port}/`,
      'certificate-authority-data': ca,
      'tls-server-name': 'localhost',
      ...more.cluster,
    };
    const config = {
      clusters: [{ name: 'c', cluster }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      'current-context': more.context ?? 'here',
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  it('paths of the core group, of others, and escaped ones', () => {
    expect(pathOf({ kind: podKind })).to.equal('/api/v1/pods');
    expect(pathOf({ kind: grpcRouteKind, namespace: 'n', name: 'a/../b', subresource: 'status' })).to.equal(
      '/apis/gateway.networking.k8s.io/v1/namespaces/n/grpcroutes/a%2F..%2Fb/status',
    );
    expect(pathOf({ kind: namespaceKind, namespace: 'ignored', name: 'n' })).to.equal('/api/v1/namespaces/n');
  });

  it('speaks with the token of a kubeconfig', async () => {
    const client = await connectKube({ kubeconfig: kubeconfig('token', { token: 'secret' }) });
    server.put('/api/v1/namespaces/n/pods', 'x');
    expect(client.server).to.equal(`https://127.0.0.1:${server.address.port}`);
    expect(await client.request('GET', POD)).to.have.nested.property('metadata.name', 'x');
    expect(server.seen[0].headers.authorization).to.equal('Bearer secret');
  });

  it('asks for the metadata alone of what it need not read', async () => {
    const client = await connectKube({ kubeconfig: kubeconfig('metadata', { token: 'secret' }) });
    server.put('/api/v1/namespaces/n/pods', 'x');
    await client.request('GET', POD, { metadataOnly: true });
    await client.request('GET', POD);
    expect(server.seen.map(({ headers }) => headers.accept)).to.deep.equal([
      'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
      'application/json',
    ]);
  });

  it('speaks with what an exec plugin says', async () => {
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: 'from-plugin' } };
    const exec = { apiVersion: credential.apiVersion, command: process.execPath, args: ['-p', JSON.stringify(JSON.stringify(credential))] };
    const client = await connectKube({ kubeconfig: kubeconfig('exec', { exec }) });
    await client.request('GET', { kind: podKind });
    expect(server.seen[0].headers.authorization).to.equal('Bearer from-plugin');
  });

  it('says which plugin failed', async () => {
    const client = await connectKube({ kubeconfig: kubeconfig('bad-exec', { exec: { command: '/no/such/plugin' } }) });
    const error = await errorOf(client.request('GET', POD));
    expect(error).to.be.instanceOf(KubeError);
    expect(error.message).to.contain('/no/such/plugin').and.contain(client.server);
  });

  it('a kubeconfig that is no good: file and fault are named', async () => {
    expect((await errorOf(connectKube({ kubeconfig: join(directory, 'absent') }))).message).to.contain(join(directory, 'absent'));
    const file = kubeconfig('context', {});
    expect((await errorOf(connectKube({ kubeconfig: file, context: 'her' }))).message).to.match(/no context "her", did you mean "here"\?/);
    const wrong = kubeconfig('wrong', {}, { context: 'other' });
    expect((await errorOf(connectKube({ kubeconfig: wrong }))).message).to.match(
      /current-context is "other"; the file has the contexts here/,
    );
    writeFileSync(join(directory, 'broken'), '{{{');
    expect((await errorOf(connectKube({ kubeconfig: join(directory, 'broken') }))).message).to.contain(join(directory, 'broken'));
    writeFileSync(join(directory, 'empty'), '');
    expect((await errorOf(connectKube({ kubeconfig: join(directory, 'empty') }))).message).to.contain(join(directory, 'empty'));
  });

  it('of several files the first one that says something wins', async () => {
    const files = [kubeconfig('one', { token: 'one' }), kubeconfig('two', { token: 'two' })].join(':');
    const client = await connectKube({ kubeconfig: files });
    await client.request('GET', { kind: podKind });
    expect(server.seen[0].headers.authorization).to.equal('Bearer one');
  });

  it('in a pod: rereads the token each minute, and keeps the last while the file is away', async () => {
    let nowMs = 0;
    writeFileSync(join(directory, 'token'), 'first\n');
    writeFileSync(join(directory, 'ca.crt'), server.ca);
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
    const credentials = inClusterCredentials(environment, () => nowMs, directory);
    expect(credentials.server).to.equal('https://[fd00::1]:6443');
    expect((await credentials.current()).headers.authorization).to.equal('Bearer first');
    writeFileSync(join(directory, 'token'), 'second');
    expect((await credentials.current()).headers.authorization).to.equal('Bearer first');
    nowMs = 61_000;
    expect((await credentials.current()).headers.authorization).to.equal('Bearer second');
    rmSync(join(directory, 'token'));
    nowMs = 122_000;
    expect((await credentials.current()).headers.authorization).to.equal('Bearer second');
    expect(inClusterCredentials({}, () => 0, directory).server).to.equal('https://kubernetes.default.svc');
  });

  it('the kinds of patches', async () => {
    const client = server.client();
    server.put('/api/v1/namespaces/n/pods', 'x');
    for (const patch of ['merge', 'json', 'apply'] as const)
      await client.request('PATCH', POD, { body: {}, patch, query: { fieldManager: 'm y' } });
    expect(server.seen.map(({ headers }) => headers['content-type'])).to.deep.equal([
      'application/merge-patch+json',
      'application/json-patch+json',
      'application/apply-patch+yaml',
    ]);
    expect(server.seen[0].query.get('fieldManager')).to.equal('m y');
  });

  it('a refusal has status, reason, words and the wait that is asked for', async () => {
    server.faults.push((_seen, response) => {
      refuse(response, 429, 'TooManyRequests', 'slow down', { 'retry-after': '3' });
      return true;
    });
    const error = await errorOf(server.client().request('GET', POD));
    expect(error).to.include({ status: 429, reason: 'TooManyRequests', retryAfterMs: 3000 });
    expect(error.message).to.equal(`GET https://127.0.0.1:${server.address.port}/api/v1/namespaces/n/pods/x: 429 slow down`);
  });

  it('an answer of something else than an API server is reported, too', async () => {
    server.faults.push((_seen, response) => {
      response.writeHead(502).end('<html>bad gateway</html>');
      return true;
    });
    expect(await errorOf(server.client().request('GET', POD))).to.include({ status: 502, reason: 'BadGateway', retryAfterMs: undefined });
    server.faults[0] = (_seen, response) => {
      response.writeHead(200).end('<html>login</html>');
      return true;
    };
    expect(await errorOf(server.client().request('GET', POD))).to.include({ status: 200, reason: 'InvalidAnswer' });
    server.faults[0] = (_seen, response) => {
      reply(response, 401, {});
      return true;
    };
    expect((await errorOf(server.client().request('GET', POD))).message).to.contain('the credentials were not accepted');
  });

  it('no answer: refused, unknown name, foreign certificate, silence, given up', async () => {
    const to = (address: string, tls: object = {}) => new HttpKubeClient({ server: address, current: async () => ({ headers: {}, tls }) });
    const here = `https://127.0.0.1:${server.address.port}`;
    const refused = await errorOf(to('https://127.0.0.1:1').request('GET', POD));
    expect(refused).to.include({ status: 0, reason: 'ECONNREFUSED' });
    expect(refused.message).to.contain('GET https://127.0.0.1:1/api/v1/namespaces/n/pods/x: nothing listens there');
    const foreign = await errorOf(to(here, { ca: (await craftAuthority('CN=other')).pem, servername: 'localhost' }).request('GET', POD));
    expect(foreign.message).to.contain('not signed by the configured authority');
    const misnamed = await errorOf(to(here, { ca: server.ca, servername: 'elsewhere' }).request('GET', POD));
    expect(misnamed.message).to.contain('is for other names');
    server.faults.push(() => true);
    const silent = await errorOf(server.client().request('GET', POD, { timeoutMs: 50 }));
    expect(silent).to.include({ status: 0, reason: 'Timeout' });
    expect(silent.message).to.contain('no answer within 50 ms');
    const stop = new AbortController();
    const given = errorOf(server.client().request('GET', POD, { signal: stop.signal }));
    stop.abort();
    expect(await given).to.include({ status: 0, reason: 'Aborted' });
  });

  it('asks again where the server closed the idle connection', async () => {
    const client = server.client();
    await client.request('GET', { kind: podKind });
    let closed = false;
    server.faults.push((_seen, response) => {
      if (closed) return false;
      closed = true;
      response.socket!.destroy();
      return true;
    });
    await client.request('GET', { kind: podKind });
    expect(server.seen).to.have.length(3);
  });

  it('speaks plain HTTP where the kubeconfig says so, below a path', async () => {
    const paths: string[] = [];
    const plain = createServer((request, response) => {
      paths.push(request.url!);
      reply(response, 200, { items: [] });
    });
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/k8s/c-1`;
    const client = await connectKube({ kubeconfig: kubeconfig('plain', {}, { cluster: { server: address } }) });
    await client.request('GET', { kind: podKind }, { query: { limit: '1' } });
    expect(paths).to.deep.equal(['/k8s/c-1/api/v1/pods?limit=1']);
    plain.closeAllConnections();
    plain.close();
  });

  it('a watch: opened, each event, the end; and given up', async () => {
    const client = server.client();
    const events: WatchEvent[] = [];
    let opened = 0;
    const stop = new AbortController();
    const options = { query: {}, idleMs: 10_000, onOpen: () => void opened++, onEvent: (event: WatchEvent) => void events.push(event) };
    const first = client.watch({ kind: podKind }, { ...options, signal: stop.signal });
    await until(() => server.watching === 1 && opened === 1, 'it is open');
    server.put('/api/v1/pods', 'seen');
    await until(() => events.length === 1, 'the event came');
    server.endWatches();
    await first;
    const second = errorOf(client.watch({ kind: podKind }, { ...options, signal: stop.signal }));
    await until(() => server.watching === 1 && opened === 2, 'it is open');
    stop.abort();
    expect(await second).to.include({ status: 0, reason: 'Aborted' });
  });

  it('nothing of a watch that is over stays behind the signal that outlives it', async () => {
    class Watched {}
    const client = server.client();
    const stop = new AbortController();
    // As the reflector does: the one signal is of its whole life.
    const watch = async (): Promise<void> => {
      const watched = new Watched();
      const onEvent = (): void => void expect(watched).to.be.instanceOf(Watched);
      const signal = AbortSignal.any([stop.signal, new AbortController().signal]);
      let opened = false;
      const onOpen = (): void => void (opened = true);
      const over = client.watch({ kind: podKind }, { query: {}, idleMs: 10_000, signal, onOpen, onEvent });
      await until(() => opened, 'it is open');
      server.endWatches();
      await over;
    };
    for (let i = 0; i < 5; i++) await watch();
    await until(() => queryObjects(Watched, { format: 'count' }) <= 1, 'they are freed');
    stop.abort();
  });

  it('a stream that ends within a line says so', () => {
    const lines = new JsonLines('watch pods');
    lines.push(Buffer.from('{"type":"ADDED","object":{}}\n{"type":'));
    expect(lines.next()).to.deep.equal({ type: 'ADDED', object: {} });
    expect(lines.next()).to.equal(null);
    expect(lines.atEnd()).to.include({ reason: 'Truncated', message: 'watch pods: ended in the middle of a line of 8 bytes' });
  });

  it('lines of a watch come out whole, however they are cut', () => {
    const event = fc.record({ type: fc.string(), object: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })) });
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (events, sizes) => {
        const stream = Buffer.from(events.map((one) => `${JSON.stringify(one)}\n`).join(''));
        const lines = new JsonLines('watch');
        const read: unknown[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length];
          lines.push(stream.subarray(at, at + size));
          at += size;
          for (let next = lines.next(); next !== null; next = lines.next()) read.push(next);
        }
        expect(lines.atEnd()).to.equal(undefined);
        expect(JSON.stringify(read)).to.equal(JSON.stringify(events));
      }),
    );
  });
});
