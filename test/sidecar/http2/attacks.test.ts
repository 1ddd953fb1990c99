// Hostile clients against the plaintext listener, with healthy traffic beside them.

import { expect } from 'chai';
import { MAX_STREAMS_PLAINTEXT_PEER } from '#sidecar/http/limits.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import {
  CANCEL,
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  NO_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from '#sidecar/http/reset-code.ts';
import {
  CONTINUATION,
  DATA,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  GOAWAY,
  HEADERS,
  PING,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  SETTINGS_INITIAL_WINDOW_SIZE,
} from '#sidecar/http2/codes.ts';
import {
  ERROR_LINGER_MS,
  FORCED_RESET_BURST,
  IDLE_FRAME_BUDGET,
  MAX_CONTINUATIONS,
  MAX_FRAME_SIZE,
  MAX_SETTINGS_ENTRIES,
  RAPID_RESET_MIN_REQUESTS,
} from '#sidecar/http2/limits.ts';
import { TestProxy } from '#test/support/proxy.ts';
import {
  block,
  codeOf,
  data,
  frame,
  grpcAnswer,
  headerOf,
  headers,
  indexed,
  isEnd,
  literal,
  RawPeer,
  RawServer,
  request,
  reset,
  settings,
  windowUpdate,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

describe('hostile clients', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let attacker: RawPeer;
  let healthy: RawPeer;
  const silent = new Set<number>();

  beforeEach(async () => {
    server = await RawServer.listen((peer) => {
      peer.onFrame = (f) => {
        const early = f.type === HEADERS && headerOf(f.headers, ':path') === '/s/Early';
        if (f.type === HEADERS && headerOf(f.headers, ':path') === '/s/Silent') silent.add(f.id);
        if (early || (isEnd(f) && !silent.has(f.id))) peer.write(grpcAnswer(f.id));
      };
    });
    proxy = await TestProxy.start({ endpoints: [server.port] });
    const warm = await RawPeer.connect(proxy.port);
    warm.write(headers(1, request(), true));
    await warm.end(1);
    warm.socket.destroy();
    silent.clear();
    attacker = await RawPeer.connect(proxy.port);
    healthy = await RawPeer.connect(proxy.port);
  });

  afterEach(async () => {
    // Whatever was done to it, the proxy still serves others.
    try {
      healthy.write(headers(1, request(), true));
      expect(headerOf((await healthy.end(1)).headers, 'grpc-status')).equal('0');
    } finally {
      attacker.socket.destroy();
      healthy.socket.destroy();
      proxy.close();
      server.close();
    }
  });

  async function expectGoaway(code: number, debug?: string): Promise<void> {
    const goaway = await attacker.find((f) => f.type === GOAWAY);
    expect(codeOf(goaway), goaway.payload.toString('latin1', 8)).equal(code);
    if (debug !== undefined) expect(goaway.payload.toString('latin1', 8)).contain(debug);
    await attacker.closed;
  }

  /** Calls that the endpoint saw. */
  const calls = (): number => server.all(HEADERS).length - 1; // less the one that opened the connection

  it('that reset most of their requests at once are cut off (rapid reset, CVE-2023-44487)', async () => {
    const pairs: Buffer[] = [];
    for (let id = 1; id < 40_000; id += 2) pairs.push(headers(id, request('/s/Silent')), reset(id, CANCEL));
    attacker.write(...pairs);
    await expectGoaway(ENHANCE_YOUR_CALM, 'rapid-reset');
    expect(calls()).within(1, RAPID_RESET_MIN_REQUESTS + 100);
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('are not those that reset streams that had ended: a server may end its calls first', async () => {
    // What grpc-go does when the trailers come before it has half-closed.
    for (let id = 1; id < 4 * RAPID_RESET_MIN_REQUESTS; id += 100) {
      const batch = Array.from({ length: 50 }, (_, i) => id + 2 * i);
      attacker.write(...batch.map((stream) => headers(stream, request('/s/Early'))));
      await Promise.all(batch.map((stream) => attacker.find((f) => f.id === stream && f.type === RST_STREAM)));
      attacker.write(...batch.map((stream) => reset(stream, NO_ERROR)));
    }
    await attacker.settled();
    expect(attacker.frames.filter((f) => f.type === GOAWAY)).length(0);
  });

  it('earn nothing by resets of streams that are gone', async () => {
    attacker.write(headers(1, request('/s/Done'), true));
    await attacker.end(1);
    attacker.write(...Array.from({ length: 5000 }, () => reset(1, CANCEL)));
    await expectGoaway(ENHANCE_YOUR_CALM, 'idle-frames');
  });

  const forced: [string, (id: number) => Buffer][] = [
    [
      'a body longer than content-length',
      (id) => Buffer.concat([headers(id, request('/s/Silent', ['content-length', '1'])), data(id, 'two')]),
    ],
    ['a second HEADERS without END_STREAM', (id) => Buffer.concat([headers(id, request('/s/Silent')), headers(id, ['a', 'b'])])],
    ['WINDOW_UPDATE of zero', (id) => Buffer.concat([headers(id, request('/s/Silent')), windowUpdate(id, 0)])],
    ['a stream window past its maximum', (id) => Buffer.concat([headers(id, request('/s/Silent')), windowUpdate(id, 0x7fffffff)])],
  ];
  for (const [what, provoke] of forced) {
    it(`that make us reset their streams are cut off (MadeYouReset, CVE-2025-8671): ${what}`, async () => {
      const all: Buffer[] = [];
      for (let id = 1; id < 10_000; id += 2) all.push(provoke(id));
      attacker.write(...all);
      await expectGoaway(ENHANCE_YOUR_CALM, 'forced-resets');
      expect(attacker.frames.filter((f) => f.type === RST_STREAM).length).within(FORCED_RESET_BURST, FORCED_RESET_BURST + 100);
      expect(calls()).most(FORCED_RESET_BURST + 100);
      await until(() => server.all(RST_STREAM).length === calls(), 'the endpoint knows of each reset');
      expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
    });
  }

  for (const octets of [0, MAX_FRAME_SIZE]) {
    it(`that send endless CONTINUATION frames of ${octets} octets are cut off (CVE-2024-27316)`, async () => {
      const part = Buffer.alloc(octets, 0x82);
      attacker.write(frame(HEADERS, 0, 1, block(request())));
      for (let i = 0; i < MAX_CONTINUATIONS; i++) attacker.write(frame(CONTINUATION, 0, 1, part));
      await new Promise((resolve) => setImmediate(resolve));
      expect(attacker.frames.filter((f) => f.type === GOAWAY)).length(0);
      for (let i = 0; i < 1000; i++) attacker.write(frame(CONTINUATION, 0, 1, part));
      await expectGoaway(ENHANCE_YOUR_CALM, 'continuations');
      expect(calls()).equal(0);
    });
  }

  it('may send nothing but CONTINUATION inside a header block', async () => {
    attacker.write(frame(HEADERS, 0, 1, block(request())), frame(PING, 0, 0, Buffer.alloc(8)));
    await expectGoaway(PROTOCOL_ERROR);
  });

  it('that name one large field again and again (HPACK bomb) get an error of ours, and no endpoint hears of it', async () => {
    const first = Buffer.concat([block(request()), literal('x-bomb', 'b'.repeat(4000), 0x40)]);
    attacker.write(frame(HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, first));
    await attacker.end(1);
    attacker.write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    const before = calls();
    const bomb = Buffer.concat([block(request()), ...Array.from({ length: 90 }, () => indexed(62))]);
    const all: Buffer[] = [];
    for (let id = 3; id < 2003; id += 2) all.push(frame(HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, id, bomb));
    attacker.write(...all);
    const last = await attacker.end(2001);
    expect(headerOf(last.headers, 'grpc-status')).equal('8');
    expect(calls()).equal(before);
    expect(proxy.count.headers_too_large).equal(1000);
  });

  it('cannot hide a large header list in cookie crumbs: they count one by one', async () => {
    const crumbs = Array.from({ length: 8000 }, (_, i) => (i % 2 === 0 ? 'cookie' : 'a'));
    attacker.write(headers(1, request('/s/M', crumbs), true));
    expect(headerOf((await attacker.end(1)).headers, 'grpc-status')).equal('8');
    const plain = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
    attacker.write(headers(3, [...plain, ...crumbs], true));
    await attacker.end(3);
    expect(headerOf(attacker.of(3, HEADERS)[0].headers, ':status')).equal('431');
    expect(calls()).equal(0);
  });

  it('that flood us with PING are cut off (CVE-2019-9512)', async () => {
    attacker.polite = false;
    attacker.write(...Array.from({ length: 100_000 }, () => frame(PING, 0, 0, Buffer.alloc(8))));
    await expectGoaway(ENHANCE_YOUR_CALM, 'idle-frames');
    expect(attacker.frames.filter((f) => f.type === PING).length).most(IDLE_FRAME_BUDGET + 200);
  });

  it('that flood us with SETTINGS are cut off (CVE-2019-9515)', async () => {
    attacker.write(...Array.from({ length: 100_000 }, () => settings()));
    await expectGoaway(ENHANCE_YOUR_CALM, 'idle-frames');
    expect(attacker.frames.filter((f) => f.type === SETTINGS).length).most(IDLE_FRAME_BUDGET + 200);
  });

  it('that put too many entries into one SETTINGS frame are cut off', async () => {
    const entries = (n: number): number[] => Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? 0xff : 1));
    attacker.write(settings(...entries(MAX_SETTINGS_ENTRIES)));
    await attacker.settled();
    attacker.write(settings(...entries(MAX_SETTINGS_ENTRIES + 1)));
    await expectGoaway(ENHANCE_YOUR_CALM);
  });

  it('cost us one walk over the streams, however often one frame changes the window', async () => {
    for (let id = 1; id < 199; id += 2) attacker.write(headers(id, request('/s/Silent')));
    await attacker.settled();
    const entries = Array.from({ length: 2 * MAX_SETTINGS_ENTRIES }, (_, i) => (i % 2 === 0 ? SETTINGS_INITIAL_WINDOW_SIZE : 1000 + i));
    const [connection] = [...proxy.down].filter((c) => c.streams.size === 99);
    let walks = 0;
    const { table: streams } = connection.streams;
    const all = streams.all.bind(streams);
    streams.all = () => {
      walks++;
      return all();
    };
    attacker.write(settings(...entries));
    await attacker.settled();
    expect(walks).equal(1);
    expect(all()[0].sendWindow).equal(1000 + 2 * MAX_SETTINGS_ENTRIES - 1);
  });

  it('that flood us with empty DATA are cut off (CVE-2019-9518)', async () => {
    attacker.write(headers(1, request('/s/Silent')));
    attacker.write(...Array.from({ length: 5000 }, () => data(1)));
    await expectGoaway(ENHANCE_YOUR_CALM, 'empty DATA');
  });

  it('that flood us with empty DATA on a stream that is gone are cut off', async () => {
    attacker.write(headers(1, request('/s/Silent')), windowUpdate(1, 0));
    attacker.write(...Array.from({ length: 5000 }, () => data(1)));
    await expectGoaway(ENHANCE_YOUR_CALM);
  });

  it('that send octet by octet to an endpoint without window cost us octets, not objects', async () => {
    server.peers[0].write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    await server.peers[0].settled();
    attacker.write(headers(1, request('/s/Silent')), ...Array.from({ length: 60_000 }, () => data(1, 'x')));
    await attacker.settled();
    expect(proxy.leftovers.held).equal(60_000);
    const [stream] = [...proxy.up][0].streams.table.all();
    expect(stream.queuedOctets).equal(60_000);
    expect(stream.queue).length.most(20);
    server.peers[0].write(settings(SETTINGS_INITIAL_WINDOW_SIZE, 65_535));
    await until(() => server.peers[0].body(stream.id).length === 60_000, 'all came through');
    attacker.write(reset(1, CANCEL));
    await attacker.settled();
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('that overflow a window lose the stream it is of, or the connection', async () => {
    attacker.write(headers(1, request('/s/Silent')), windowUpdate(1, 0x7fffffff));
    expect(codeOf(await attacker.find((f) => f.type === RST_STREAM && f.id === 1))).equal(FLOW_CONTROL_ERROR);
    attacker.write(windowUpdate(0, 0x7fffffff));
    await expectGoaway(FLOW_CONTROL_ERROR);
  });

  it('leave no connection behind, however often they come', async () => {
    for (let i = 0; i < 100; i++) {
      const peer = await RawPeer.connect(proxy.port);
      peer.write(windowUpdate(0, 0x7fffffff));
      await peer.closed;
    }
    await until(() => proxy.down.size === 2, 'only the two of before are open');
  });

  it('that send WINDOW_UPDATE frames which nothing earned are cut off', async () => {
    attacker.write(...Array.from({ length: 5000 }, () => windowUpdate(0, 1)));
    await expectGoaway(ENHANCE_YOUR_CALM, 'window updates');
  });

  const violations: [string, number, () => Buffer][] = [
    ['a frame above the maximum size', FRAME_SIZE_ERROR, () => frame(DATA, 0, 1, Buffer.alloc(MAX_FRAME_SIZE + 1))],
    ['a broken HPACK index', COMPRESSION_ERROR, () => frame(HEADERS, FLAG_END_HEADERS, 1, indexed(99))],
    ['DATA on stream 0', PROTOCOL_ERROR, () => data(0, 'x')],
    ['DATA on an idle stream', PROTOCOL_ERROR, () => data(7, 'x')],
    ['an even stream id', PROTOCOL_ERROR, () => headers(2, request(), true)],
    ['a stream id that goes backwards', PROTOCOL_ERROR, () => Buffer.concat([headers(5, request(), true), headers(3, request(), true)])],
    ['PUSH_PROMISE', PROTOCOL_ERROR, () => frame(5, FLAG_END_HEADERS, 1, Buffer.alloc(4))],
    ['PRIORITY of a wrong length', FRAME_SIZE_ERROR, () => frame(PRIORITY, 0, 1, Buffer.alloc(4))],
    ['padding past the frame', PROTOCOL_ERROR, () => Buffer.concat([headers(1, request()), frame(DATA, 8, 1, Buffer.from([9, 0, 0]))])],
  ];
  for (const [what, code, octets] of violations) {
    it(`that break a rule of the connection get GOAWAY, and the socket is gone though they stay silent: ${what}`, async () => {
      const socket = await RawPeer.connect(proxy.port, Buffer.alloc(0));
      attacker.socket.destroy();
      attacker = socket;
      // A peer that keeps its side open.
      socket.socket.removeAllListeners('end');
      socket.write(HTTP2_PREFACE, settings(), octets());
      const goaway = await socket.find((f) => f.type === GOAWAY);
      expect(codeOf(goaway)).equal(code);
      proxy.skip(ERROR_LINGER_MS);
      await until(() => proxy.down.size === 1, 'the connection is forgotten');
    });
  }

  it('that send DATA after END_STREAM make an error of the stream, even when it has ended', async () => {
    attacker.write(headers(1, request('/s/Silent'), true), data(1, 'late'));
    expect(codeOf(await attacker.find((f) => f.type === RST_STREAM && f.id === 1))).equal(STREAM_CLOSED);
    attacker.write(headers(3, request(), true));
    await attacker.end(3);
    attacker.write(data(3, 'late'));
    expect(codeOf(await attacker.find((f) => f.type === RST_STREAM && f.id === 3))).equal(STREAM_CLOSED);
  });

  it('that open a stream past our limit are refused it, and it reaches no endpoint', async () => {
    for (let i = 0; i <= MAX_STREAMS_PLAINTEXT_PEER; i++) attacker.write(headers(2 * i + 1, request('/s/Silent')));
    const refused = 2 * MAX_STREAMS_PLAINTEXT_PEER + 1;
    expect(codeOf(await attacker.find((f) => f.type === RST_STREAM && f.id === refused))).equal(REFUSED_STREAM);
    await until(() => calls() === MAX_STREAMS_PLAINTEXT_PEER, 'the others are there');
    expect(attacker.frames.filter((f) => f.type === GOAWAY)).length(0);
  });
});
