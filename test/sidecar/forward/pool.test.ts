// Capacity of an endpoint: connections that drain, are full or allow nothing; and calls that wait for one.
import { expect } from 'chai';
import { MAX_CONNECTIONS_PER_ENDPOINT } from '#sidecar/forward/pool.ts';
import { MAX_WAIT_MS, MAX_WAITERS_PER_ENDPOINT } from '#sidecar/forward/waiters.ts';
import { CANCEL, NO_ERROR } from '#sidecar/http/reset-code.ts';
import { HEADERS, SETTINGS_MAX_CONCURRENT_STREAMS } from '#sidecar/http2/codes.ts';
import { type ProxyOptions, TestProxy } from '#test/support/proxy.ts';
import {
  type Frame,
  GRPC_OK,
  goaway,
  grpcAnswer,
  headerOf,
  headers,
  isEnd,
  RawPeer,
  RawServer,
  request,
  reset,
  settings,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const WATCH = request('/a.Watch/Watch');

const limit = (streams: number): Buffer => settings(SETTINGS_MAX_CONCURRENT_STREAMS, streams);
const statusOf = (end: Frame): string => headerOf(end.headers, 'grpc-status') ?? 'none';
const messageOf = (end: Frame): string => headerOf(end.headers, 'grpc-message') ?? '';

describe('the connections to an endpoint', () => {
  let servers: RawServer[] = [];
  let proxy: TestProxy;
  let client: RawPeer;
  let next = 1;

  /** Endpoints that answer calls, and only begin to answer a Watch. */
  async function setUp(openings: Buffer[], more: Partial<ProxyOptions> = {}, afterWatch: (id: number) => Buffer = () => Buffer.alloc(0)) {
    next = 1;
    const script = (peer: RawPeer): void => {
      peer.onFrame = (f) => {
        if (f.type === HEADERS && f.headers.includes('/a.Watch/Watch')) peer.write(headers(f.id, GRPC_OK), afterWatch(f.id));
        else if (isEnd(f)) peer.write(grpcAnswer(f.id));
      };
    };
    servers = await Promise.all(openings.map((opening) => RawServer.listen(script, opening)));
    proxy = await TestProxy.start({ endpoints: servers.map((server) => server.port), maxPeerStreams: 10_000, ...more });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    for (const server of servers) server.close();
  });

  function begin(list: string[] = request(), endStream = true): number {
    const id = next;
    next += 2;
    client.write(headers(id, list, endStream));
    return id;
  }

  const call = (more: string[] = []): Promise<Frame> => client.end(begin(request('/a.Unary/Call', more)));

  async function watch(count = 1): Promise<void> {
    const ids = Array.from({ length: count }, () => begin(WATCH, false));
    await Promise.all(ids.map((id) => client.find((f) => f.id === id && f.type === HEADERS)));
  }

  it('drain one after the other, each with a stream that stays: every call is answered, on a new one', async () => {
    await setUp([settings()], {}, (id) => goaway(id, NO_ERROR));
    for (let round = 0; round < 30; round++) {
      expect(statusOf(await call())).equal('0');
      await watch();
      await until(() => [...proxy.up].every((connection) => connection.draining), 'GOAWAY is seen');
    }
    expect(statusOf(await call())).equal('0');
    expect(proxy.up.size).equal(31);
    expect(proxy.count).deep.equal({ 0: 31 });
  });

  it('are as many as streams need: 960 where each takes 100, and a short call beside them', async () => {
    await setUp([limit(100)]);
    await watch(960);
    expect(statusOf(await call())).equal('0');
    expect(proxy.up.size).within(10, 16);
    expect(proxy.waiting).equal(0);
    client.socket.destroy();
    await until(() => proxy.leftovers.streams === 0, 'the streams end');
    for (let i = 0; i < 70; i++) proxy.skip(1000);
    await until(() => proxy.up.size === 1, 'those that are not needed end');
  });

  it('are at most MAX_CONNECTIONS_PER_ENDPOINT: a further call waits its time and says which bound it met', async () => {
    await setUp([limit(1)]);
    await watch(MAX_CONNECTIONS_PER_ENDPOINT);
    const waiting = call();
    await client.settled();
    expect(proxy.waiting).equal(1);
    proxy.skip(MAX_WAIT_MS);
    const end = await waiting;
    expect([statusOf(end), messageOf(end)]).deep.equal([
      '14',
      `weft: endpoint_full: 127.0.0.1:${servers[0].port}: MAX_CONNECTIONS_PER_ENDPOINT (64) have no stream left`,
    ]);
    expect(proxy.count).deep.equal({ endpoint_full: 1, 14: 1 });
    expect([proxy.waiting, proxy.up.size]).deep.equal([0, MAX_CONNECTIONS_PER_ENDPOINT]);
    expect(proxy.upstreams.dump()[0].endpoints[0].ejected, 'it is no failure of the endpoint').equal(false);
  });

  it('are full on one endpoint: its calls go to the other at once', async () => {
    await setUp([limit(1)]);
    await watch(MAX_CONNECTIONS_PER_ENDPOINT);
    servers.push(await RawServer.listen((peer) => (peer.onFrame = (f) => isEnd(f) && peer.write(grpcAnswer(f.id)))));
    proxy.setEndpoints(
      'payment',
      servers.map((server) => server.port),
    );
    for (let i = 0; i < 20; i++) expect(statusOf(await call())).equal('0');
    expect(proxy.count).deep.equal({ 0: 20 });
  });

  it('allow no stream: one is enough to know, and the call is sent when it allows one', async () => {
    await setUp([limit(0)]);
    const first = begin();
    const { peers } = servers[0];
    await until(() => peers.length === 1 && [...proxy.up].some(({ ready }) => ready), 'its SETTINGS are known');
    for (let i = 0; i < 4; i++) proxy.skip(1000);
    await client.settled();
    expect([peers.length, proxy.waiting]).deep.equal([1, 1]);
    peers[0].write(limit(1));
    expect(statusOf(await client.end(first))).equal('0');
    peers[0].write(limit(0));
    await until(() => ![...proxy.up].some(({ canOpen }) => canOpen), 'none is allowed');
    const second = call();
    await until(() => peers.length === 2, 'a new one is tried');
    for (let i = 0; i < 6; i++) {
      proxy.skip(1000);
      await client.settled();
    }
    expect(messageOf(await second)).contain('allows no more streams');
    expect(peers.length).equal(2);
  });

  it('allow fewer streams than before: the next calls go to another', async () => {
    await setUp([limit(100)]);
    await watch(10);
    servers[0].peers[0].write(limit(1));
    await until(() => ![...proxy.up].some(({ canOpen }) => canOpen), 'the new limit is known');
    await watch(10);
    expect(statusOf(await call())).equal('0');
    expect(proxy.up.size).equal(2);
  });

  it('never say SETTINGS: the call is sent elsewhere after its wait, and the endpoint is ejected', async () => {
    await setUp([Buffer.alloc(0)]);
    const alone = call();
    await servers[0].accept();
    await client.settled();
    proxy.skip(MAX_WAIT_MS);
    expect(messageOf(await alone))
      .contain('connect_timeout')
      .and.contain('MAX_WAIT_MS');
    servers.push(await RawServer.listen((peer) => (peer.onFrame = (f) => isEnd(f) && peer.write(grpcAnswer(f.id)))));
    proxy.setEndpoints(
      'payment',
      servers.map((server) => server.port),
    );
    for (let i = 0; i < 5; i++) expect(statusOf(await call())).equal('0');
  });

  it('are waited for by calls that leave when they are cancelled or late', async () => {
    await setUp([limit(0)]);
    const cancelled = begin();
    const late = call(['grpc-timeout', '20m']);
    await until(() => proxy.waiting === 2, 'both wait');
    client.write(reset(cancelled, CANCEL));
    expect(statusOf(await late)).equal('4');
    await until(() => proxy.waiting === 0, 'none waits');
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('are waited for by a bounded number of calls: one more is answered at once', async () => {
    await setUp([limit(0)]);
    for (let i = 0; i < MAX_WAITERS_PER_ENDPOINT; i++) begin();
    await until(() => proxy.waiting === MAX_WAITERS_PER_ENDPOINT, 'the queue is full');
    expect(messageOf(await call())).contain('MAX_WAITERS_PER_ENDPOINT (4096) calls wait');
    proxy.skip(MAX_WAIT_MS);
    await until(() => proxy.waiting === 0, 'their time is over');
    expect(proxy.count).deep.equal({ endpoint_full: MAX_WAITERS_PER_ENDPOINT + 1, 14: MAX_WAITERS_PER_ENDPOINT + 1 });
  });

  it('of one endpoint do not hold the calls of another', async () => {
    await setUp([limit(0), settings()]);
    const calls = Array.from({ length: 50 }, () => call());
    await until(() => (proxy.count[0] ?? 0) > 20, 'those of the other are answered');
    for (let i = 0; i < 6; i++) {
      proxy.skip(1000);
      await client.settled();
    }
    for (const end of await Promise.all(calls)) expect(statusOf(end)).equal('0');
    expect(proxy.waiting).equal(0);
  });
});
