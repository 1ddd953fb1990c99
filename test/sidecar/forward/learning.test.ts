// What the balancer learns from calls that end badly, as it sees them through real connections.
import { expect } from 'chai';
import { CANCEL, NO_ERROR } from '#sidecar/http/reset-code.ts';
import { HEADERS } from '#sidecar/http2/codes.ts';
import { type ProxyOptions, TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  data,
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
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

describe('learning from calls', () => {
  let servers: RawServer[] = [];
  let proxy: TestProxy;
  let client: RawPeer;
  let next = 1;

  async function setUp(scripts: ((peer: RawPeer, index: number) => void)[], more: Partial<ProxyOptions> = {}): Promise<void> {
    next = 1;
    servers = await Promise.all(scripts.map((script) => RawServer.listen(script)));
    proxy = await TestProxy.start({ endpoints: servers.map((server) => server.port), maxPeerStreams: 1000, ...more });
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

  async function call(path?: string, more?: string[]): Promise<string> {
    const end = await client.end(begin(request(path, more)));
    return headerOf(end.headers, 'grpc-status') ?? 'none';
  }

  const states = () => proxy.upstreams.dump()[0].endpoints;
  const healthy = answering((id) => grpcAnswer(id));

  it('an endpoint that accepts everything and never answers is ejected, and calls go on', async () => {
    await setUp([() => {}, healthy, healthy]);
    const callers = Array.from({ length: 8 }, async () => {
      const outcomes: string[] = [];
      // The others answer at once: all calls of a fixed number may be over before the first deadline is.
      for (let i = 0; i < 40 || states()[0].ejections === 0; i++) outcomes.push(await call(undefined, ['grpc-timeout', '250m']));
      return outcomes;
    });
    const outcomes = (await Promise.all(callers)).flat();
    const hung = servers[0].all(HEADERS).length;
    expect(hung, 'calls that met it').to.be.within(5, 24);
    expect(outcomes.filter((status) => status === '4')).length(hung);
    expect(states()[0].ejections).above(0);
    expect(
      states()
        .slice(1)
        .map(({ ejections }) => ejections),
    ).deep.equal([0, 0]);
  });

  it('the same when the callers cancel instead', async () => {
    await setUp([() => {}, healthy]);
    for (let i = 0; i < 40; i++) {
      const id = begin();
      const answered = client.end(id).then(() => true);
      const patience = new Promise((resolve) => setTimeout(() => resolve(false), 60));
      if (!(await Promise.race([answered, patience]))) client.write(reset(id, CANCEL));
    }
    expect(servers[0].all(HEADERS).length).below(14);
  });

  it('a caller that does not finish its request says nothing of the endpoint', async () => {
    await setUp([healthy, healthy]);
    for (let i = 0; i < 20; i++) await call();
    const ids = Array.from({ length: 20 }, () => begin(request(), false));
    await until(() => servers.flatMap((server) => server.all(HEADERS)).length === 40, 'they are there');
    proxy.skip(5_000);
    for (const id of ids) client.write(reset(id, CANCEL));
    await until(() => proxy.series.inFlight === 0, 'they ended');
    for (const state of states()) {
      expect(state).to.include({ inFlight: 0, streams: 0, consecutiveFailures: 0 });
      expect(state.ewmaMs).below(100);
    }
  });

  it('UNAVAILABLE of a method on all endpoints ejects none of them, in trailers or alone', async () => {
    const script = answering((id, { headers: list }) => {
      const path = headerOf(list, ':path');
      if (path === '/a.B/Broken') return grpcAnswer(id, 'm', '14');
      return path === '/a.B/Refused' ? headers(id, [...GRPC_OK, 'grpc-status', '14'], true) : grpcAnswer(id);
    });
    await setUp([script, script, script, script]);
    for (let i = 0; i < 100; i++) {
      const calls = ['/a.B/Broken', '/a.B/Refused', '/a.B/Broken', '/a.B/Refused', '/a.B/Fine'].map((path) => call(path));
      expect(await Promise.all(calls)).deep.equal(['14', '14', '14', '14', '0']);
    }
    expect(states().map(({ ejections }) => ejections)).deep.equal([0, 0, 0, 0]);
    for (const { ejected } of states()) expect(ejected).equal(false);
  });

  it('UNAVAILABLE of one endpoint where the others answer ejects it', async () => {
    await setUp([answering((id) => grpcAnswer(id, 'm', '14')), healthy, healthy]);
    for (let i = 0; i < 60; i++) await Promise.all([call(), call(), call()]);
    expect(states().map(({ ejections }) => ejections > 0)).deep.equal([true, false, false]);
    expect(proxy.count[14]).below(20);
  });

  it('GOAWAY that leaves many calls unprocessed ejects none: they are sent again', async () => {
    let count = 0;
    await setUp([
      (peer: RawPeer, index: number) => {
        peer.onFrame = (f: Frame) => {
          if (!isEnd(f)) return;
          if (index > 0) peer.write(grpcAnswer(f.id));
          else if (++count === 50) peer.write(goaway(1, NO_ERROR), grpcAnswer(1));
        };
      },
    ]);
    const calls = Array.from({ length: 50 }, () => call());
    expect(await Promise.all(calls)).deep.equal(Array(50).fill('0'));
    expect(states()[0]).to.include({ ejected: false, ejections: 0, inFlight: 0 });
    expect(proxy.count).deep.equal({ 0: 50, retried: 49 });
  });

  it('a connection that breaks under many calls is one failure', async () => {
    const breaking = (peer: RawPeer): void => {
      peer.onFrame = (f) => {
        if (headerOf(f.headers, ':path') === '/a.B/Break') peer.socket.destroy();
      };
    };
    await setUp([breaking]);
    const calls = Array.from({ length: 30 }, () => call('/a.B/Wait'));
    await until(() => servers[0].all(HEADERS).length === 30, 'they are there');
    expect(await call('/a.B/Break')).equal('14');
    await Promise.all(calls);
    expect(states()[0]).to.include({ consecutiveFailures: 1, inFlight: 0 });
  });

  it('streams that stand idle keep no unary call away from their endpoint', async () => {
    const script = (peer: RawPeer): void => {
      peer.onFrame = (f) => {
        if (f.type !== HEADERS) return;
        if (f.headers.includes('/a.Watch/Watch')) peer.write(headers(f.id, GRPC_OK), data(f.id, 'm'));
        else peer.write(grpcAnswer(f.id));
      };
    };
    await setUp([script]);
    const watches = Array.from({ length: 50 }, () => begin(request('/a.Watch/Watch')));
    for (const id of watches) await client.find((f) => f.id === id && f.type === HEADERS);
    servers.push(await RawServer.listen(script));
    proxy.setEndpoints(
      'payment',
      servers.map((server) => server.port),
    );
    expect(states()[0]).to.include({ inFlight: 0, streams: 50 });
    for (let i = 0; i < 50; i++) await Promise.all([call(), call(), call(), call()]);
    expect(servers[1].all(HEADERS).length).within(60, 140);
    for (const id of watches) client.write(reset(id, CANCEL));
    await until(() => proxy.series.inFlight === 0, 'they ended');
    expect(states()[0]).to.include({ inFlight: 0, streams: 0 });
  });
});
