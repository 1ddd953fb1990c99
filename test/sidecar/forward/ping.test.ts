// Endpoints that fall silent: they are pinged on every kind of connection, and no more often than gRPC servers allow.
import { expect } from 'chai';
import { PLAIN_PING_AFTER_MS, PLAIN_PING_AGAIN_MS, PLAIN_PING_TIMEOUT_MS } from '#sidecar/forward/ping.ts';
import { ENHANCE_YOUR_CALM } from '#sidecar/http/reset-code.ts';
import { HEADERS, PING } from '#sidecar/http2/codes.ts';
import { TestProxy } from '#test/support/proxy.ts';
import { data, type Frame, GRPC_OK, goaway, headerOf, headers, RawPeer, RawServer, request } from '#test/support/raw-peer.ts';

describe('an application that falls silent', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(script: (peer: RawPeer, f: Frame) => void): Promise<void> {
    server = await RawServer.listen((peer) => {
      peer.onFrame = (f) => script(peer, f);
    });
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  const beginAnswer = (peer: RawPeer, f: Frame): void => {
    if (f.type === HEADERS) peer.write(headers(f.id, GRPC_OK));
  };

  async function watch(id = 1): Promise<void> {
    client.write(headers(id, request()));
    await client.find((f) => f.id === id && f.type === HEADERS);
  }

  /** A second after the other; what was sent on the way arrives. */
  async function pass(ms: number): Promise<void> {
    for (let i = 0; i < ms; i += 1000) {
      proxy.skip(1000);
      for (let turn = 0; turn < 3; turn++) await client.settled();
    }
  }

  const pings = (): number => server.all(PING).length;

  it('is given up when it answers no ping, and its calls end', async () => {
    await setUp(beginAnswer);
    await watch();
    server.peers[0].socket.pause();
    await pass(PLAIN_PING_AFTER_MS + PLAIN_PING_TIMEOUT_MS + 2000);
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('14');
    expect(proxy.upClosed).deep.equal(['ping timeout']);
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('is given up also before its answer has begun, and after it left its Service', async () => {
    await setUp((peer) => peer.socket.pause());
    client.write(headers(1, request(), true));
    await server.accept();
    await client.settled();
    proxy.setEndpoints('payment', []);
    await pass(PLAIN_PING_AFTER_MS + PLAIN_PING_TIMEOUT_MS + 2000);
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('14');
  });

  it('is pinged once, and then not within the five minutes that gRPC servers ask for', async () => {
    await setUp(beginAnswer);
    await watch();
    await pass(PLAIN_PING_AFTER_MS + 2000);
    expect(pings()).equal(1);
    await pass(PLAIN_PING_AGAIN_MS - 4000);
    expect(pings()).equal(1);
    await pass(6000);
    expect(pings()).equal(2);
    expect(proxy.up.size).equal(1);
  });

  it('is pinged anew after each message of its own', async () => {
    await setUp(beginAnswer);
    await watch();
    for (let i = 1; i <= 3; i++) {
      await pass(PLAIN_PING_AFTER_MS + 2000);
      expect(pings()).equal(i);
      server.peers[0].write(data(1, 'm'));
      await client.find((f) => f.id === 1 && client.body(1).length === i);
    }
  });

  it('is not pinged while it has no calls', async () => {
    await setUp((peer, f) => {
      if (f.type === HEADERS) peer.write(headers(f.id, [...GRPC_OK, 'grpc-status', '0'], true));
    });
    await watch();
    await pass(60_000);
    expect(pings()).equal(0);
  });

  it('is pinged less often once it said that it is too often', async () => {
    await setUp((peer, f) => {
      beginAnswer(peer, f);
      if (f.type === PING) peer.socket.end(goaway(f.id, ENHANCE_YOUR_CALM));
    });
    await watch(1);
    await pass(PLAIN_PING_AFTER_MS + 2000);
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('14');
    await watch(3);
    await pass(PLAIN_PING_AFTER_MS + 2000);
    expect(pings()).equal(1);
    await pass(PLAIN_PING_AFTER_MS);
    expect(pings()).equal(2);
  });

  it('is given up when it never answers a ping, though it reads what is sent', async () => {
    await setUp(beginAnswer);
    await watch();
    server.peers[0].polite = false;
    await pass(PLAIN_PING_AFTER_MS + PLAIN_PING_TIMEOUT_MS + 2000);
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('14');
  });
});
