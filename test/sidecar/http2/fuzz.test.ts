// Frame fuzz in small: recorded sessions, cut, spliced and bent by a seeded generator. Nothing crashes, nothing leaks,
// and no request reaches an endpoint whose path was never sent.
import { expect } from 'chai';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { CONTINUATION, HEADERS } from '#sidecar/http2/codes.ts';
import { FrameReader } from '#sidecar/http2/frame-reader.ts';
import { MAX_FRAME_SIZE } from '#sidecar/http2/limits.ts';
import { TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  block,
  data,
  frame,
  goaway,
  grpcAnswer,
  headerOf,
  headers,
  indexed,
  literal,
  RawPeer,
  RawServer,
  request,
  reset,
  settings,
  windowUpdate,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

/** Numbers in [0, n) from a seed (xorshift). */
function generator(seed: number): (n: number) => number {
  let x = seed;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

/** Frames of well-behaved sessions. */
const RECORDED: Buffer[] = [
  settings(),
  settings(1, 100, 4, 1000, 5, 20_000),
  frame(4, 1, 0),
  frame(6, 0, 0, Buffer.alloc(8, 1)),
  headers(1, request('/fuzz.A/One'), true),
  headers(3, request('/fuzz.A/Two')),
  data(3, 'message'),
  data(3, 'last', true),
  frame(HEADERS, 0x2c, 5, Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 16]), block(request('/fuzz.A/Three')), Buffer.alloc(4)])),
  frame(0, 0x9, 5, Buffer.from([2, 0x61, 0x62, 0, 0])),
  frame(HEADERS, 0, 7, block(request('/fuzz.A/Four')).subarray(0, 30)),
  frame(CONTINUATION, 4, 7, block(request('/fuzz.A/Four')).subarray(30)),
  frame(HEADERS, 5, 9, Buffer.concat([block(request('/fuzz.A/Five')), literal('x-indexed', 'value', 0x40)])),
  frame(HEADERS, 5, 11, Buffer.concat([block(request('/fuzz.A/Six')), indexed(62)])),
  reset(3, 8),
  windowUpdate(0, 1000),
  windowUpdate(3, 1000),
  goaway(0, 0),
  frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1])),
  frame(99, 0xff, 5, Buffer.alloc(20)),
];

function session(random: (n: number) => number): Buffer {
  let octets = Buffer.concat(Array.from({ length: 5 + random(30) }, () => RECORDED[random(RECORDED.length)]));
  const bends = random(6);
  for (let i = 0; i < bends; i++) {
    const at = random(octets.length);
    const kind = random(4);
    octets = Buffer.from(octets);
    if (kind === 0) octets[at] ^= 1 << random(8);
    else if (kind === 1) octets[at] = random(256);
    else if (kind === 2) octets = Buffer.concat([octets.subarray(0, at), octets.subarray(Math.min(octets.length, at + random(12)))]);
    else octets = Buffer.concat([octets.subarray(0, at), RECORDED[random(RECORDED.length)], octets.subarray(at)]);
    if (octets.length === 0) return settings();
  }
  return Buffer.concat([settings(), octets]);
}

describe('frame fuzz', () => {
  it('of 400 sessions of clients breaks nothing but their own', async () => {
    const server = await RawServer.listen(answering((id) => grpcAnswer(id)));
    const proxy = await TestProxy.start({ endpoints: [server.port] });
    let written = '';
    for (let seed = 1; seed <= 400; seed += 20) {
      const peers = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const octets = session(generator((seed + i) * 2_654_435));
          written += octets.toString('latin1');
          const peer = await RawPeer.connect(proxy.port, Buffer.concat([HTTP2_PREFACE, octets]));
          await new Promise((resolve) => setTimeout(resolve, 5));
          peer.socket.end();
          return peer;
        }),
      );
      await Promise.all(peers.map((peer) => peer.closed));
    }
    // A client's end is seen by the proxy a turn or more after the client itself.
    await until(() => proxy.leftovers.streams === 0 && proxy.down.size === 0, 'no stream and no connection is left');
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
    for (const { headers: list } of server.all(HEADERS)) {
      const path = headerOf(list, ':path');
      if (path !== undefined) expect(written).contain(path);
    }
    const healthy = await RawPeer.connect(proxy.port);
    healthy.write(headers(1, request(), true));
    expect(headerOf((await healthy.end(1)).headers, 'grpc-status')).equal('0');
    healthy.socket.destroy();
    proxy.close();
    server.close();
  });

  it('of 200 answers of endpoints leaves no call hanging', async () => {
    let random = generator(99);
    const server = await RawServer.listen((peer) => {
      peer.onFrame = (f) => {
        if (f.type !== HEADERS) return;
        let octets = Buffer.concat([frame(6, 0, 0, Buffer.alloc(8)), headers(f.id, [':status', '103']), grpcAnswer(f.id), settings()]);
        for (let i = random(4); i > 0; i--) octets[random(octets.length)] ^= 1 << random(8);
        if (random(3) === 0) octets = octets.subarray(0, random(octets.length));
        peer.socket.end(octets);
      };
    });
    const proxy = await TestProxy.start({ endpoints: [server.port] });
    const client = await RawPeer.connect(proxy.port);
    for (let call = 0; call < 200; call++) {
      random = generator(call * 7919 + 1);
      client.write(headers(2 * call + 1, request(), true));
      const end = await client.end(2 * call + 1);
      if (headerOf(end.headers, 'grpc-status') === '0') expect(client.body(2 * call + 1).length).greaterThan(0);
    }
    await client.settled();
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('finds the same frames however the octets are cut', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const octets = Buffer.concat(
        Array.from({ length: 8 }, () =>
          random(8) === 0 ? data(1, Buffer.alloc(random(MAX_FRAME_SIZE + 1), seed)) : RECORDED[random(RECORDED.length)],
        ),
      );
      const read = (cut: () => number): string[] => {
        const frames: string[] = [];
        const reader = new FrameReader({
          onFrame(type, flags, id, buf, start, end) {
            frames.push(`${type} ${flags} ${id} ${buf.toString('latin1', start, end)}`);
            return true;
          },
          onFrameTooLarge: (type, id) => frames.push(`too large ${type} ${id}`),
        });
        for (let at = 0; at < octets.length; ) {
          const end = Math.min(octets.length, at + cut());
          // A copy that is wiped afterwards: nothing may be kept by reference.
          const piece = Buffer.from(octets.subarray(at, end));
          reader.push(piece, 0, piece.length);
          piece.fill(0xee);
          at = end;
        }
        return frames;
      };
      const whole = read(() => octets.length);
      expect(whole).length(8);
      expect(read(() => 1 + random(40))).deep.equal(whole);
      expect(read(() => 1 + random(3000))).deep.equal(whole);
    }
  });
});
