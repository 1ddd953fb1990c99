// One bad call harms one call: what some calls do on connections that others share.
import { expect } from 'chai';
import { CANCEL } from '#sidecar/http/reset-code.ts';
import { DATA, GOAWAY, HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import { RESET_BUDGET } from '#sidecar/http2/limits.ts';
import { TestProxy } from '#test/support/proxy.ts';
import { data, GRPC_OK, headerOf, headers, isEnd, RawPeer, RawServer, request, reset, windowUpdate } from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const TRUSTED = 1000;

describe('bystanders', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let clients: RawPeer[];

  /**
   * An endpoint that is silent for /s/Silent, begins to answer /s/Watch, sends 64,000 octets for /s/Flood and answers
   * the rest.
   */
  async function setUp(): Promise<void> {
    server = await RawServer.listen((peer) => {
      peer.onFrame = (f) => {
        if (f.type !== HEADERS) return;
        const path = headerOf(f.headers, ':path');
        if (path === '/s/Silent') return;
        peer.write(headers(f.id, GRPC_OK));
        if (path === '/s/Flood') peer.write(...Array.from({ length: 4 }, () => data(f.id, Buffer.alloc(16_000))));
        else if (path !== '/s/Watch') peer.write(headers(f.id, ['grpc-status', '0'], true));
      };
    });
    proxy = await TestProxy.start({ endpoints: [server.port], maxPeerStreams: TRUSTED });
    clients = await Promise.all([RawPeer.connect(proxy.port), RawPeer.connect(proxy.port)]);
  }

  afterEach(() => {
    for (const client of clients) client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('of 10,000 calls that are all cancelled go on, on the same connection and on others', async () => {
    await setUp();
    for (const client of clients) {
      client.write(headers(1, request('/s/Watch'), true));
      await client.find((f) => f.id === 1 && f.type === HEADERS);
    }
    const [canceller] = clients;
    for (let id = 3; id < 20_003; id += 200) {
      const batch = Array.from({ length: 100 }, (_, i) => id + 2 * i);
      canceller!.write(...batch.map((one) => headers(one, request('/s/Silent'), true)));
      await canceller!.settled();
      canceller!.write(...batch.map((one) => reset(one, CANCEL)));
      await canceller!.settled();
    }
    for (const client of clients) {
      expect(client.frames.filter((f) => f.type === GOAWAY || (f.id === 1 && (isEnd(f) || f.type === RST_STREAM)))).length(0);
      client.write(headers(20_005, request(), true));
      expect(headerOf((await client.end(20_005)).headers, 'grpc-status')).equal('0');
    }
    // The endpoint's server would end a connection that has many more.
    for (const peer of server.peers) expect(peer.frames.filter((f) => f.type === RST_STREAM).length).most(RESET_BUDGET);
  });

  it('of 100 streams that are not read go on', async () => {
    await setUp();
    const [paused, other] = clients;
    for (let i = 0; i < 100; i++) paused!.write(headers(2 * i + 1, request('/s/Flood'), true));
    await until(() => proxy.leftovers.held > 5_000_000, 'all is held');
    other!.consuming = true;
    for (let i = 0; i < 50; i++) other!.write(headers(2 * i + 1, request('/s/Flood'), true));
    await until(
      () => other!.frames.filter((f) => f.type === DATA).reduce((sum, f) => sum + f.payload.length, 0) === 50 * 64_000,
      'all came',
    );
    // A paused one that goes on gets what is its own.
    paused!.write(windowUpdate(0, 10_000_000));
    await until(() => paused!.body(199).length === 64_000, 'the last has all');
  });
});
