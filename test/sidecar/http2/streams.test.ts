// The streams of a connection without sockets: what is sent when, what is held and shed (L8), how many resets go out.
import { expect } from 'chai';
import { Buffers } from '#sidecar/http/buffers.ts';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import {
  KEPT_AFTER_SHEDDING,
  MAX_CONNECTION_BUFFER,
  MAX_SIDECAR_BUFFER,
  MAX_STREAM_BUFFER,
  OUTPUT_HIGH_WATER,
} from '#sidecar/http/limits.ts';
import { ENHANCE_YOUR_CALM } from '#sidecar/http/reset-code.ts';
import {
  DATA,
  FLAG_END_STREAM,
  HEADERS,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  WINDOW_UPDATE,
} from '#sidecar/http2/codes.ts';
import {
  CLOGGED_AFTER_MS,
  CONNECTION_WINDOW,
  INITIAL_STREAM_WINDOW,
  RESET_BUDGET,
  RESETS_PER_SECOND,
  SMALL_CALL_OCTETS,
  SMALL_CALL_RESERVE,
  SMALLEST_STREAM_WINDOW,
} from '#sidecar/http2/limits.ts';
import { data, GRPC_OK, headers, request, reset, settings, windowUpdate } from '#test/support/raw-peer.ts';
import { Recorder, Wire, type WireFrame } from '#test/support/wire.ts';

const REQUEST = newHeaderSource(request(), null);
const RESPONSE = newHeaderSource(GRPC_OK, null);

function sumOf(frames: WireFrame[], type: number, id: number): number {
  return frames
    .filter((f) => f.type === type && f.id === id)
    .reduce((sum, f) => sum + (type === DATA ? f.payload.length : f.payload.readUInt32BE(0)), 0);
}

describe('Streams', () => {
  it('never sends more than either window allows, and all of it in the end', () => {
    const wire = new Wire({ client: false }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 1000));
    wire.receive(headers(1, request(), true), headers(3, request(), true));
    wire.take();
    const body = Buffer.alloc(5000, 7);
    for (const { stream } of wire.requests) {
      stream.sendHeaders(RESPONSE, [], false);
      expect(stream.sendData(body, 0, body.length, false)).equal(1000);
      stream.sendTrailers(newHeaderSource(['grpc-status', '0'], null), []);
    }
    let out = wire.take();
    expect(sumOf(out, DATA, 1)).equal(1000);
    expect(out.filter((f) => f.type === HEADERS)).length(2);
    wire.receive(windowUpdate(1, 3999));
    out = wire.take();
    expect(sumOf(out, DATA, 1)).equal(3999);
    expect(out.some((f) => (f.flags & FLAG_END_STREAM) !== 0)).equal(false);
    wire.receive(windowUpdate(1, 1));
    out = wire.take();
    expect(out.map((f) => f.type)).deep.equal([DATA, HEADERS]);
    expect(out[1].flags & FLAG_END_STREAM).equal(FLAG_END_STREAM);
    expect(wire.requests[0].handler.sent).equal(4000);
    expect(wire.connection.streams.size).equal(1);
  });

  it('takes a window that SETTINGS make negative', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request(), true));
    const [{ stream }] = wire.requests;
    stream.sendData(Buffer.alloc(60_000), 0, 60_000, false);
    wire.receive(settings(SETTINGS_INITIAL_WINDOW_SIZE, 100));
    expect(stream.sendWindow).equal(100 - 60_000);
    wire.take();
    stream.sendData(Buffer.alloc(10), 0, 10, false);
    wire.receive(windowUpdate(1, 59_900));
    expect(sumOf(wire.take(), DATA, 1)).equal(0);
    wire.receive(windowUpdate(1, 10));
    expect(sumOf(wire.take(), DATA, 1)).equal(10);
    stream.sendData(Buffer.alloc(0), 0, 0, true);
    expect(wire.take().map((f) => [f.type, f.flags])).deep.equal([[DATA, FLAG_END_STREAM]]);
  });

  it('serves waiting streams in turn: one without window stops no other', () => {
    const wire = new Wire({ client: false }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    wire.receive(...[1, 3, 5].map((id) => headers(id, request(), true)));
    for (const { stream } of wire.requests) stream.sendData(Buffer.alloc(40_000), 0, 40_000, true);
    wire.take();
    wire.receive(windowUpdate(3, 40_000), windowUpdate(5, 20_000));
    const out = wire.take();
    expect([1, 3, 5].map((id) => sumOf(out, DATA, id))).deep.equal([0, 40_000, 20_000]);
  });

  it('keeps nothing of streams that were reset while their data waited', () => {
    const wire = new Wire({ client: true, trusted: true }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    for (let i = 0; i < 3000; i++) {
      const stream = wire.connection.open(new Recorder(), REQUEST, [], false);
      stream.sendData(Buffer.alloc(100), 0, 100, true);
      stream.reset(8);
      wire.take();
    }
    const { sender } = wire.connection.streams;
    expect(sender.queuedOctets).equal(0);
    const waiting = wire.connection.open(new Recorder(), REQUEST, [], false);
    waiting.sendData(Buffer.alloc(100), 0, 100, true);
    expect(sender.queuedOctets).equal(100);
    wire.receive(windowUpdate(waiting.id, 1000));
    expect(sender.queuedOctets).equal(0);
  });

  it('looks only at streams that can send when a window grows, however many others wait for theirs', () => {
    const wire = new Wire({ client: false, maxPeerStreams: 1000 }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 1));
    wire.receive(windowUpdate(0, 10_000_000));
    for (let i = 0; i < 1000; i++) {
      wire.receive(headers(2 * i + 1, request(), true));
      wire.requests[i].stream.sendData(Buffer.alloc(1000), 0, 1000, true);
    }
    let looks = 0;
    for (const { stream } of wire.requests) {
      let { queue } = stream;
      Object.defineProperty(stream, 'queue', {
        get: () => {
          looks++;
          return queue;
        },
        set: (chunks) => {
          queue = chunks;
        },
      });
    }
    for (let i = 0; i < 100; i++) wire.receive(windowUpdate(0, 1), windowUpdate(2 * i + 1, 200));
    expect(looks).lessThan(100 * 10);
    expect(sumOf(wire.take(), DATA, 1)).equal(201);
  });

  it('opens no streams while the peer leaves its frames unread, and says when it may again', () => {
    const wire = new Wire({ client: true, trusted: true });
    wire.take();
    wire.stuck = true;
    let opened = 0;
    for (; wire.connection.canOpen && opened < 100_000; opened++) wire.connection.open(new Recorder(), REQUEST, [], true).reset(8);
    expect(wire.connection.output.waiting).within(OUTPUT_HIGH_WATER, OUTPUT_HIGH_WATER + 66_000);
    const before = wire.capacity;
    wire.drainTransport();
    wire.take();
    expect(wire.capacity).greaterThan(before);
    expect(wire.connection.canOpen).equal(true);
  });

  it("keeps a part of an endpoint's window for small calls: uploads that it does not read stop no others", () => {
    const wire = new Wire({ client: true });
    const open = () => wire.connection.open(new Recorder(), REQUEST, [], false);
    const uploads = [open(), open(), open(), open()];
    for (const upload of uploads) upload.sendData(Buffer.alloc(100_000), 0, 100_000, false);
    expect(wire.connection.streams.sender.window).equal(SMALL_CALL_RESERVE);
    const small = open();
    expect(small.sendData(Buffer.alloc(SMALL_CALL_OCTETS), 0, SMALL_CALL_OCTETS, true)).equal(SMALL_CALL_OCTETS);
    // A connection that stays so gets no new streams; the endpoint is dialled again.
    expect(wire.connection.canOpen).equal(true);
    wire.clock.nowMs += CLOGGED_AFTER_MS;
    expect(wire.connection.canOpen).equal(false);
    const before = wire.capacity;
    wire.receive(windowUpdate(0, 1_000_000));
    for (const upload of uploads) wire.receive(windowUpdate(upload.id, 100_000));
    expect(wire.capacity).greaterThan(before);
    expect(wire.connection.canOpen).equal(true);
    expect(sumOf(wire.take(), DATA, uploads[3].id)).equal(100_000);
  });

  it('uses the whole window for an upload that is alone, so that an endpoint may wait for all of it', () => {
    const wire = new Wire({ client: true });
    const open = () => wire.connection.open(new Recorder(), REQUEST, [], false);
    const [upload, other] = [open(), open()];
    expect(upload.sendData(Buffer.alloc(65_535), 0, 65_535, true)).equal(65_535 - SMALL_CALL_RESERVE);
    other.reset(8);
    expect(sumOf(wire.take(), DATA, upload.id)).equal(65_535);
  });

  it('ends a stream by an empty frame though the output is full and no window is left', () => {
    const wire = new Wire({ client: false });
    wire.receive(
      windowUpdate(0, 10_000_000),
      settings(SETTINGS_INITIAL_WINDOW_SIZE, 10_000_000),
      headers(1, request(), true),
      headers(3, request(), true),
    );
    wire.stuck = true;
    const [one, three] = wire.requests;
    while (!wire.connection.output.full) one.stream.sendData(Buffer.alloc(16_384), 0, 16_384, false);
    expect(three.stream.sendData(Buffer.alloc(0), 0, 0, true)).equal(0);
    expect(three.stream.closed).equal(true);
  });

  it('L8 returns the connection window at once, and shrinks the windows of streams while much is held', () => {
    const wire = new Wire({ client: false, maxPeerStreams: 1000 });
    wire.consume = false;
    wire.take();
    let room = CONNECTION_WINDOW;
    const send = (id: number, octets: number): void => {
      for (let left = octets; left > 0; left -= 16_000) wire.receive(data(id, Buffer.alloc(Math.min(left, 16_000))));
      room += sumOf(wire.take(), WINDOW_UPDATE, 0) - octets;
      expect(room).greaterThan(CONNECTION_WINDOW / 2 - 16_000);
    };
    // All that are read grow, until together they have what one connection may hold.
    const grown = Math.floor(MAX_CONNECTION_BUFFER / (MAX_STREAM_BUFFER - INITIAL_STREAM_WINDOW));
    for (let i = 0; i < 100; i++) {
      wire.receive(headers(2 * i + 1, request()));
      send(2 * i + 1, 40_000);
      wire.requests[i].stream.credit(40_000);
    }
    const sizes = wire.requests.map(({ stream }) => stream.windowSize);
    expect(sizes.filter((size) => size === MAX_STREAM_BUFFER)).length(grown);
    expect(sizes.filter((size) => size === INITIAL_STREAM_WINDOW)).length(100 - grown);
    // Their readers pause.
    for (let i = 1; i < 100; i++) send(2 * i + 1, i < grown ? 200_000 : 20_000);
    expect(wire.connection.held).greaterThan(MAX_CONNECTION_BUFFER);
    // One that still reads gets through, within the smallest window.
    const [{ stream }] = wire.requests;
    for (let i = 0; i < 40; i++) {
      const octets = Math.min(8000, stream.receiveWindow);
      send(1, octets);
      stream.credit(octets);
    }
    expect(stream.windowSize).equal(SMALLEST_STREAM_WINDOW);
    // What is consumed makes room again.
    for (const { stream: held } of wire.requests.slice(1)) held.credit(held.held);
    expect(wire.connection.held).equal(0);
    for (let i = 0; i < 10; i++) {
      send(1, 8000);
      stream.credit(8000);
    }
    expect(stream.windowSize).greaterThan(INITIAL_STREAM_WINDOW - 1);
    expect(stream.receiveWindow + stream.held + stream.unreturned).equal(stream.windowSize);
  });

  it('L8 sheds the largest stream of the peer that leaves the most unread, when all connections hold too much', () => {
    const buffers = new Buffers();
    const greedy = Array.from({ length: 2 }, () => new Wire({ client: false, maxPeerStreams: 1000, peer: 'greedy', buffers }));
    const other = new Wire({ client: false, maxPeerStreams: 1000, peer: 'other', buffers });
    const source = new Wire({ client: true, trusted: true, peer: 'endpoint', buffers });
    source.receive(settings(SETTINGS_MAX_CONCURRENT_STREAMS, 10_000));
    const answer = (wire: Wire, octets: number): Recorder => {
      const id = 2 * wire.requests.length + 1;
      wire.receive(headers(id, request(), true));
      const { stream, handler } = wire.requests[wire.requests.length - 1];
      stream.sendData(Buffer.alloc(octets), 0, octets, false);
      return handler;
    };
    for (const wire of [...greedy, other]) wire.receive(settings(SETTINGS_INITIAL_WINDOW_SIZE, 0));
    const bystander = answer(other, 100_000);
    const large = answer(greedy[1], 90_000);
    const rest = greedy.map((wire) => answer(wire, 60_000));
    // What an endpoint sent for them, not passed on yet.
    const upstream = source.connection.open(new Recorder(false), REQUEST, [], true);
    buffers.take(MAX_SIDECAR_BUFFER - 10_000);
    source.receive(headers(upstream.id, GRPC_OK), data(upstream.id, Buffer.alloc(10_000)));
    expect(large.events).deep.equal([]);
    source.receive(data(upstream.id, Buffer.alloc(1)));
    expect(large.events).deep.equal([`reset ${ENHANCE_YOUR_CALM} shed`]);
    expect([bystander, ...rest].map(({ events }) => events)).deep.equal([[], [], []]);
    expect(KEPT_AFTER_SHEDDING).lessThan(MAX_SIDECAR_BUFFER);
  });

  it('L8 holds a stream to its window, which grows only when it is consumed', () => {
    const wire = new Wire({ client: false });
    wire.consume = false;
    wire.receive(headers(1, request()), ...Array.from({ length: 4 }, () => data(1, Buffer.alloc(16_000))));
    wire.take();
    const [{ stream }] = wire.requests;
    expect(stream.receiveWindow).equal(INITIAL_STREAM_WINDOW - 64_000);
    stream.credit(64_000);
    expect(stream.receiveWindow).equal(MAX_STREAM_BUFFER);
    wire.receive(data(1, Buffer.alloc(16_000)), data(1, Buffer.alloc(16_000)));
    expect(stream.held).equal(32_000);
    expect(MAX_STREAM_BUFFER).greaterThan(INITIAL_STREAM_WINDOW);
  });

  it('L8 goes on holding the octets of a stream that has ended, until they are consumed', () => {
    const wire = new Wire({ client: true });
    const handler = new Recorder(false);
    const stream = wire.connection.open(handler, REQUEST, [], true);
    wire.receive(headers(1, GRPC_OK), data(1, Buffer.alloc(10_000), true));
    expect(stream.closed).equal(true);
    expect(wire.connection.held).equal(10_000);
    stream.credit(4000);
    expect(wire.connection.held).equal(6000);
    stream.release();
    expect(wire.connection.held).equal(0);
    stream.credit(6000);
    expect(wire.connection.held).equal(0);
  });

  it('L8 settles a stream that was reset by either side', () => {
    const wire = new Wire({ client: false });
    wire.consume = false;
    wire.receive(headers(1, request()), data(1, 'held'), headers(3, request()), data(3, 'held'));
    wire.receive(reset(1, 8));
    wire.requests[1].stream.reset(8);
    expect(wire.connection.held).equal(0);
  });

  it('holds DATA back at the high-water mark of what the peer has not taken', () => {
    const wire = new Wire({ client: false }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 0x7fffffff));
    wire.receive(windowUpdate(0, 0x7fffffff - 65_535), headers(1, request(), true));
    wire.stuck = true;
    const { stream } = wire.requests[0];
    const body = Buffer.alloc(4 * OUTPUT_HIGH_WATER);
    const sent = stream.sendData(body, 0, body.length, true);
    expect(sent).within(OUTPUT_HIGH_WATER - 65_536, OUTPUT_HIGH_WATER + 65_536);
    wire.drainTransport();
    wire.take();
    expect(stream.closed).equal(true);
  });

  it('sends an endpoint in plaintext no more resets than its server takes, and leaves the connection to its open streams', () => {
    const wire = new Wire({ client: true });
    const long = wire.connection.open(new Recorder(), REQUEST, [], true);
    let resets = 0;
    while (wire.connection.canOpen) {
      wire.connection.open(new Recorder(), REQUEST, [], true).reset(8);
      resets++;
    }
    expect(resets).within((RESET_BUDGET * 3) / 4, RESET_BUDGET);
    expect(wire.connection.draining).equal(true);
    expect(long.closed).equal(false);
    // Streams that are open have a reset each in reserve.
    const wide = new Wire({ client: true });
    let open = 0;
    for (; wide.connection.canOpen; open++) wide.connection.open(new Recorder(), REQUEST, [], true);
    expect(open).equal(RESET_BUDGET);
    // A few all the time are no reason to leave.
    const steady = new Wire({ client: true });
    for (let i = 0; i < 3 * RESET_BUDGET; i++) {
      steady.clock.nowMs += 1000 / RESETS_PER_SECOND;
      steady.connection.open(new Recorder(), REQUEST, [], true).reset(8);
      steady.take();
    }
    expect(steady.connection.canOpen).equal(true);
    // Another sidecar counts in another way.
    const mesh = new Wire({ client: true, trusted: true });
    for (let i = 0; i < 3 * RESET_BUDGET; i++) {
      mesh.connection.open(new Recorder(), REQUEST, [], true).reset(8);
      mesh.take();
    }
    expect(mesh.connection.canOpen).equal(true);
  });
});
