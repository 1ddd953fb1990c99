// Per-request balancing on one client connection, and calls while configuration and endpoints change.
import { expect } from 'chai';
import { HEADERS } from '#sidecar/http2/codes.ts';
import { backend, portOf, rule, TestProxy } from '#test/support/proxy.ts';
import { answering, data, GRPC_OK, grpcAnswer, headerOf, headers, isEnd, RawPeer, RawServer, request } from '#test/support/raw-peer.ts';

describe('balancing and change', () => {
  let servers: RawServer[];
  let proxy: TestProxy;
  let client: RawPeer;
  let next = 1;

  beforeEach(() => {
    next = 1;
  });

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    for (const server of servers) server.close();
  });

  async function calls(n: number, atOnce: number): Promise<void> {
    for (let done = 0; done < n; done += atOnce) {
      const ids = Array.from({ length: atOnce }, () => (next += 2) - 2);
      client.write(...ids.map((id) => headers(id, request(), true)));
      for (const id of ids) expect(headerOf((await client.end(id)).headers, 'grpc-status')).equal('0');
      client.frames.length = 0;
    }
  }

  const served = (): number[] => servers.map((server) => server.all(HEADERS).length);

  it('spreads the calls of one connection over 3 endpoints, then over 6, then over those that are left', async () => {
    servers = await Promise.all(Array.from({ length: 6 }, () => RawServer.listen(answering((id) => grpcAnswer(id)))));
    const ports = servers.map((server) => server.port);
    proxy = await TestProxy.start({ endpoints: ports.slice(0, 3) });
    client = await RawPeer.connect(proxy.port);
    await calls(1200, 30);
    const three = served();
    for (const n of three.slice(0, 3)) expect(n, `of ${three}`).within(400 * 0.75, 400 * 1.25);
    expect(three.slice(3)).deep.equal([0, 0, 0]);
    proxy.setEndpoints('payment', ports);
    await calls(1200, 30);
    const six = served().map((n, i) => n - three[i]);
    for (const n of six) expect(n, `of ${six}`).within(200 * 0.65, 200 * 1.35);
    proxy.setEndpoints('payment', ports.slice(4));
    const before = served();
    await calls(200, 20);
    expect(served().slice(0, 4)).deep.equal(before.slice(0, 4));
    expect(proxy.count).deep.equal({ 0: 2600 });
  });

  it('open streams outlive changes of routes, weights and endpoints; new calls follow the new ones', async () => {
    const script = (name: string) => (peer: RawPeer) => {
      peer.onFrame = (f) => {
        if (f.type === HEADERS) peer.write(headers(f.id, [...GRPC_OK, 'x-served-by', name]));
        if (isEnd(f)) peer.write(data(f.id, peer.body(f.id)), headers(f.id, ['grpc-status', '0'], true));
      };
    };
    servers = [await RawServer.listen(script('old')), await RawServer.listen(script('new'))];
    proxy = await TestProxy.start({
      endpoints: { old: [servers[0].port], new: [servers[1].port] },
      port: portOf(rule([backend('old')])),
    });
    client = await RawPeer.connect(proxy.port);
    const ids = Array.from({ length: 90 }, (_, i) => 2 * i + 1);
    client.write(...ids.map((id) => headers(id, request())));
    await Promise.all(ids.map((id) => client.find((f) => f.id === id && f.type === HEADERS)));
    for (let i = 0; i < 100; i++) {
      proxy.handle.current = portOf(rule([backend('old', { weight: i }), backend('new', { weight: 100 - i })]));
      proxy.setEndpoints('old', i % 2 === 0 ? [] : [servers[0].port]);
      if (i % 10 === 0) client.write(data(ids[0], `${i};`));
    }
    proxy.handle.current = portOf(rule([backend('new')]));
    proxy.setEndpoints('old', []);
    client.write(headers(1001, request(), true));
    await client.end(1001);
    expect(headerOf(client.of(1001, HEADERS)[0].headers, 'x-served-by')).equal('new');
    client.write(...ids.map((id) => data(id, 'end', true)));
    for (const id of ids) {
      expect(headerOf((await client.end(id)).headers, 'grpc-status'), `stream ${id}`).equal('0');
      expect(headerOf(client.of(id, HEADERS)[0].headers, 'x-served-by')).equal('old');
    }
    expect(client.body(1).toString()).equal('0;10;20;30;40;50;60;70;80;90;end');
  });
});
