// Back-pressure end to end: what a slow side does not take is held within L8, and no other call waits for it.
import { expect } from 'chai';
import { MAX_STREAM_BUFFER, STALL_TIMEOUT_MS } from '#sidecar/http/limits.ts';
import { DATA, HEADERS, RST_STREAM, SETTINGS_INITIAL_WINDOW_SIZE } from '#sidecar/http2/codes.ts';
import { INITIAL_STREAM_WINDOW } from '#sidecar/http2/limits.ts';
import { ref, TestProxy } from '#test/support/proxy.ts';
import { data, GRPC_OK, headerOf, headers, isEnd, RawPeer, RawServer, request, settings, windowUpdate } from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const CLEAN = { held: 0, streams: 0, inFlight: 0 };
const MEGABYTE = 1024 * 1024;

/** Sends a body as the other end's windows allow. */
class Sender {
  private left: number;
  private streamWindow: number;
  private readonly peer: RawPeer;
  private readonly id: number;
  private readonly shared: { window: number };
  private readonly last: () => Buffer;

  constructor(peer: RawPeer, id: number, octets: number, streamWindow: number, shared: { window: number }, last: () => Buffer) {
    this.peer = peer;
    this.id = id;
    this.left = octets;
    this.streamWindow = streamWindow;
    this.shared = shared;
    this.last = last;
  }

  get sentAll(): boolean {
    return this.left === 0;
  }

  grant(octets: number): void {
    this.streamWindow += octets;
  }

  pump(): void {
    while (this.left > 0) {
      const octets = Math.min(16_384, this.left, this.streamWindow, this.shared.window);
      if (octets <= 0) return;
      this.left -= octets;
      this.streamWindow -= octets;
      this.shared.window -= octets;
      this.peer.write(data(this.id, Buffer.alloc(octets, 0x61)));
      if (this.left === 0) this.peer.write(this.last());
    }
  }
}

/** Keeps a peer's senders going as WINDOW_UPDATE frames come. */
function sending(peer: RawPeer): { senders: Map<number, Sender>; start(id: number, octets: number, last: () => Buffer): Sender } {
  const shared = { window: 65_535 };
  const senders = new Map<number, Sender>();
  const inner = peer.onFrame;
  peer.onFrame = (f) => {
    inner(f);
    if (f.type === RST_STREAM) senders.delete(f.id);
    if (f.type !== 8) return;
    const octets = f.payload.readUInt32BE(0);
    if (f.id === 0) shared.window += octets;
    else senders.get(f.id)?.grant(octets);
    for (const sender of senders.values()) sender.pump();
  };
  return {
    senders,
    start(id, octets, last) {
      const sender = new Sender(peer, id, octets, INITIAL_STREAM_WINDOW, shared, last);
      senders.set(id, sender);
      sender.pump();
      return sender;
    },
  };
}

describe('back-pressure', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  /** An endpoint that answers each call with so many octets, as fast as it may. */
  async function setUp(octets: (path: string) => number): Promise<void> {
    server = await RawServer.listen((peer) => {
      const out = sending(peer);
      const inner = peer.onFrame;
      peer.onFrame = (f) => {
        inner(f);
        if (f.type !== HEADERS) return;
        peer.write(headers(f.id, GRPC_OK));
        out.start(f.id, octets(headerOf(f.headers, ':path')!), () => headers(f.id, ['grpc-status', '0'], true));
      };
    });
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  const heldMost = (): number => Math.max(...[...proxy.up].map((connection) => connection.held));

  it('100 streams of 10 MB to a client without window: held within L8, the endpoint waits for as long as it pauses, others are served', async () => {
    await setUp((path) => (path === '/s/Small' ? 100 : 10 * MEGABYTE));
    client.write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    for (let i = 0; i < 99; i++) client.write(headers(2 * i + 1, request(), true));
    await client.settled();
    await until(() => client.frames.filter((f) => f.type === HEADERS).length === 99, 'all are answered');
    await until(() => proxy.leftovers.held > 2 * MEGABYTE, 'the windows are filled');
    expect(proxy.leftovers.held).most(99 * INITIAL_STREAM_WINDOW);
    expect(server.all(DATA)).length(0);
    const other = await RawPeer.connect(proxy.port);
    other.write(headers(1, request('/s/Small'), true));
    expect(headerOf((await other.end(1)).headers, 'grpc-status')).equal('0');
    for (let i = 0; i < 5; i++) {
      proxy.skip(STALL_TIMEOUT_MS);
      await client.settled();
    }
    // A pause is legal; the connection itself is still good, also for other calls.
    expect(client.frames.filter((f) => f.type === RST_STREAM)).length(0);
    client.write(headers(301, request('/s/Small'), true), windowUpdate(301, 1000));
    expect(headerOf((await client.end(301)).headers, 'grpc-status')).equal('0');
    client.socket.destroy();
    await until(() => server.all(RST_STREAM).length === 99, 'all are reset at the endpoint');
    expect(proxy.leftovers).deep.equal(CLEAN);
    other.socket.destroy();
  });

  it('an answer that is shed for its memory is no failure of the endpoint', async () => {
    await setUp(() => 10 * MEGABYTE);
    client.write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    const [endpoint] = proxy.upstreams.get(ref('payment')).set.endpoints;
    for (let i = 0; i < 6; i++) {
      client.write(headers(2 * i + 1, request(), true));
      await until(() => proxy.leftovers.held > 0, 'the answer is held');
      for (const connection of proxy.up) connection.shedLargest();
    }
    expect(endpoint.consecutiveFailures).equal(0);
  });

  it('L8 small whole answers count too while the client does not take them', async () => {
    await setUp(() => 60_000);
    client.write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    for (let i = 0; i < 20; i++) client.write(headers(2 * i + 1, request(), true));
    await until(() => client.frames.filter((f) => f.type === HEADERS).length === 20, 'all are answered');
    await until(() => proxy.leftovers.held === 20 * 60_000, 'all is held');
    expect([...proxy.up][0].streams.size).equal(0);
    for (let i = 0; i < 10; i++) client.write(windowUpdate(2 * i + 1, 60_000));
    client.write(windowUpdate(0, 20 * 60_000));
    await until(() => proxy.leftovers.held === 10 * 60_000, 'what was taken is returned');
    client.socket.destroy();
    await until(() => proxy.leftovers.held === 0, 'what nobody wants is let go');
  });

  it('one stalled stream of 50: the others get their megabyte each', async () => {
    await setUp(() => MEGABYTE);
    client.write(windowUpdate(0, 0x7fffffff - 65_535));
    const sizes = new Map<number, number>();
    const ended = new Set<number>();
    client.onFrame = (f) => {
      client.frames.length = 0; // not to keep it all
      if (isEnd(f)) ended.add(f.id);
      if (f.type !== DATA) return;
      sizes.set(f.id, (sizes.get(f.id) ?? 0) + f.payload.length);
      if (f.id !== 1) client.write(windowUpdate(f.id, f.payload.length));
    };
    for (let i = 0; i < 50; i++) client.write(headers(2 * i + 1, request(), true));
    await until(() => ended.size === 49, 'all others have ended');
    expect(ended.has(1)).equal(false);
    expect([...sizes.entries()].filter(([id]) => id !== 1).every(([, octets]) => octets === MEGABYTE)).equal(true);
    expect(sizes.get(1)).equal(65_535);
    expect(heldMost()).within(1, MAX_STREAM_BUFFER);
  });

  it('both ends write before they read, with windows of 64 kB: all of it arrives', async () => {
    const octets = 2 * MEGABYTE;
    server = await RawServer.listen((peer) => {
      const out = sending(peer);
      let got = 0;
      let begun = false;
      const inner = peer.onFrame;
      peer.onFrame = (f) => {
        inner(f);
        if (f.type === HEADERS && !begun) {
          begun = true;
          peer.write(headers(f.id, GRPC_OK));
          out.start(f.id, octets, () => Buffer.alloc(0));
        }
        if (f.type !== DATA) return;
        got += f.payload.length;
        if (f.payload.length > 0) owed.push([peer, f.id, f.payload.length]);
        if (got === octets) peer.write(headers(f.id, ['grpc-status', '0'], true));
      };
    });
    const owed: [RawPeer, number, number][] = [];
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
    let received = 0;
    client.onFrame = (f) => {
      if (f.type !== DATA || f.payload.length === 0) return;
      received += f.payload.length;
      owed.push([client, f.id, f.payload.length]);
    };
    const up = sending(client);
    client.write(headers(1, request()));
    const sender = up.start(1, octets, () => data(1, '', true));
    // Nobody reads at first.
    await until(() => received >= 65_535 && proxy.leftovers.held > 0, 'both are stuck');
    const stuck = { sent: sender.sentAll, received, held: proxy.leftovers.held };
    expect(stuck.sent).equal(false);
    expect(stuck.held).most(2 * MAX_STREAM_BUFFER);
    const timer = setInterval(() => {
      for (const [peer, id, length] of owed.splice(0)) peer.write(windowUpdate(0, length), windowUpdate(id, length));
    }, 1);
    try {
      await until(() => received === octets && sender.sentAll, 'both have all');
      const end = await client.find((f) => f.id === 1 && f.type === HEADERS && isEnd(f));
      expect(headerOf(end.headers, 'grpc-status')).equal('0');
    } finally {
      clearInterval(timer);
    }
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('a client that uploads to an endpoint without window is held to its stream window', async () => {
    server = await RawServer.listen(() => {}, settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
    const out = sending(client);
    client.write(headers(1, request()));
    const sender = out.start(1, MEGABYTE, () => Buffer.alloc(0));
    await client.settled();
    expect(proxy.leftovers.held).equal(INITIAL_STREAM_WINDOW);
    expect(sender.sentAll).equal(false);
    server.peers[0].consuming = true;
    server.peers[0].write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 65_535));
    await until(() => sender.sentAll, 'the rest follows');
    await until(() => proxy.leftovers.held === 0, 'nothing is held');
  });
});
