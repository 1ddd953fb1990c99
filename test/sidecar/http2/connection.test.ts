// The engine without sockets: GOAWAY in both roles, drain, and what must not take for ever.
import { expect } from 'chai';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import {
  HANDSHAKE_TIMEOUT_MS,
  IDLE_CONNECTION_MS,
  MAX_CONNECTION_BUFFER,
  MAX_STREAMS_MESH_PEER,
  MAX_STREAMS_OWN_APP,
  MAX_STREAMS_PLAINTEXT_PEER,
  STALL_TIMEOUT_MS,
} from '#sidecar/http/limits.ts';
import { ENHANCE_YOUR_CALM, REFUSED_STREAM, SETTINGS_TIMEOUT } from '#sidecar/http/reset-code.ts';
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  GOAWAY,
  HEADERS,
  MAX_STREAM_ID,
  PING,
  RST_STREAM,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
} from '#sidecar/http2/codes.ts';
import { ERROR_LINGER_MS, IDLE_FRAME_BUDGET } from '#sidecar/http2/limits.ts';
import {
  block,
  codeOf,
  data,
  type Frame,
  frame,
  GRPC_OK,
  goaway,
  headers,
  request,
  reset,
  settings,
  windowUpdate,
} from '#test/support/raw-peer.ts';
import { Recorder, Wire, type WireFrame } from '#test/support/wire.ts';

const REQUEST = newHeaderSource(request(), null);
const RESPONSE = newHeaderSource(GRPC_OK, null);
const NEVER = Number.POSITIVE_INFINITY;

function sumOf(frames: WireFrame[], type: number, id: number): number {
  return frames
    .filter((f) => f.type === type && f.id === id)
    .reduce((sum, f) => sum + (type === DATA ? f.payload.length : f.payload.readUInt32BE(0)), 0);
}

describe('Connection', () => {
  it('cuts off a client that sends requests and reads no answers, at a bound', () => {
    const wire = new Wire({ client: false });
    wire.stuck = true;
    let id = 1;
    for (; id < 400_000 && !wire.connection.stopped; id += 2) {
      wire.receive(headers(id, request(), true));
      const { stream } = wire.requests[wire.requests.length - 1];
      stream.sendHeaders(newHeaderSource(['grpc-status', '12', 'x-why', 'w'.repeat(3000)], null), [], true);
    }
    expect(wire.connection.stopped).equal(true);
    expect(wire.connection.output.waiting).within(MAX_CONNECTION_BUFFER, MAX_CONNECTION_BUFFER + 8192);
    wire.clock.nowMs += ERROR_LINGER_MS;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.closed).equal('ENHANCE_YOUR_CALM: answers are not read');
    expect(wire.destroyed).equal(true);
  });

  for (const most of [MAX_STREAMS_PLAINTEXT_PEER, MAX_STREAMS_MESH_PEER, MAX_STREAMS_OWN_APP]) {
    it(`L1 says that it takes ${most} streams, and refuses the next`, () => {
      const wire = new Wire({ client: false, maxPeerStreams: most });
      const [said] = wire.take();
      expect(said.payload.subarray(-6).readUInt16BE(0)).equal(SETTINGS_MAX_CONCURRENT_STREAMS);
      expect(said.payload.subarray(-6).readUInt32BE(2)).equal(most);
      for (let i = 0; i <= most; i++) wire.receive(headers(2 * i + 1, request()));
      expect(wire.requests).length(most);
      const [refused] = wire.take().filter((f) => f.type === RST_STREAM);
      expect([refused.id, codeOf(refused as Frame)]).deep.equal([2 * most + 1, REFUSED_STREAM]);
      wire.receive(reset(1, 8), headers(2 * most + 3, request()));
      expect(wire.requests).length(most + 1);
    });
  }

  it('L6 leaves a reader its pause, however long, and closes a peer that does not even answer a PING', () => {
    const wire = new Wire({ client: false }, settings(SETTINGS_INITIAL_WINDOW_SIZE, 10));
    wire.receive(headers(1, request()));
    const [{ stream, handler }] = wire.requests;
    stream.sendData(Buffer.alloc(100), 0, 100, false);
    for (let minute = 0; minute < 60; minute++) {
      wire.clock.nowMs += STALL_TIMEOUT_MS;
      wire.connection.tick(wire.clock.nowMs, STALL_TIMEOUT_MS);
      const [ping] = wire.take().filter((f) => f.type === PING);
      wire.receive(frame(PING, FLAG_ACK, 0, ping.payload));
    }
    expect(handler.events).deep.equal([]);
    wire.receive(windowUpdate(1, 10));
    expect(sumOf(wire.take(), DATA, 1)).equal(10);
    for (let i = 0; i < 3; i++) {
      wire.clock.nowMs += STALL_TIMEOUT_MS;
      wire.connection.tick(wire.clock.nowMs, STALL_TIMEOUT_MS - 1);
    }
    expect(wire.closed).equal('ping timeout');
    expect(handler.events).deep.equal(['reset 8 connection']);
  });

  it('L7 waits only so long for the first SETTINGS and for the end of a header block', () => {
    const silent = new Wire({ client: false }, null);
    silent.clock.nowMs += HANDSHAKE_TIMEOUT_MS + 1;
    silent.connection.tick(silent.clock.nowMs, NEVER);
    expect(codeOf(silent.take().find((f) => f.type === GOAWAY) as Frame)).equal(SETTINGS_TIMEOUT);
    const slow = new Wire({ client: false });
    slow.receive(frame(HEADERS, 0, 1, block(request())));
    slow.clock.nowMs += HANDSHAKE_TIMEOUT_MS;
    slow.receive(frame(CONTINUATION, 0, 1));
    slow.connection.tick(slow.clock.nowMs, NEVER);
    expect(slow.connection.stopped).equal(false);
    slow.clock.nowMs += 1;
    slow.connection.tick(slow.clock.nowMs, NEVER);
    expect(codeOf(slow.take().find((f) => f.type === GOAWAY) as Frame)).equal(ENHANCE_YOUR_CALM);
  });

  it('drains in two steps: nothing that is under way is lost', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request(), true));
    wire.take();
    wire.connection.drain(5000);
    const [first, ping] = wire.take();
    expect([first.type, first.payload.readUInt32BE(0)]).deep.equal([GOAWAY, MAX_STREAM_ID]);
    wire.receive(headers(3, request(), true)); // was under way
    expect(wire.requests).length(2);
    wire.receive(frame(PING, FLAG_ACK, 0, ping.payload));
    const [second] = wire.take();
    expect([second.type, second.payload.readUInt32BE(0)]).deep.equal([GOAWAY, 3]);
    wire.receive(headers(5, request(), true));
    expect(wire.requests).length(2);
    for (const { stream } of wire.requests) stream.sendHeaders(RESPONSE, [], true);
    expect(wire.ended).equal(true);
    wire.connection.transportClosed('closed');
    expect(wire.closed).equal('drained');
  });

  it('ignores the whole of a call that came after the last GOAWAY of a drain, and goes on with the others', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request()));
    wire.connection.drain(wire.clock.nowMs + 5000);
    const ping = wire.take().find((f) => f.type === PING) as WireFrame;
    wire.receive(frame(PING, FLAG_ACK, 0, ping.payload));
    wire.take();
    const late = [headers(3, request()), data(3, 'late'), windowUpdate(3, 10), data(3, 'late', true), headers(5, request()), reset(5, 8)];
    wire.receive(...late);
    expect(wire.requests).length(1);
    expect(wire.take()).deep.equal([]);
    wire.receive(data(1, 'body', true));
    expect(wire.requests[0].handler.events).deep.equal(['end']);
    wire.requests[0].stream.sendHeaders(RESPONSE, [], true);
    wire.connection.transportClosed('closed');
    expect(wire.closed).equal('drained');
  });

  it('gives a drain a second for what is under way, also where its PING gets no answer', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request(), true));
    wire.connection.drain(wire.clock.nowMs + 5000);
    wire.take();
    for (const ms of [0, 999]) {
      wire.clock.nowMs += ms;
      wire.connection.tick(wire.clock.nowMs, NEVER);
    }
    expect(wire.take()).deep.equal([]);
    wire.receive(headers(3, request(), true));
    expect(wire.requests).length(2);
    wire.clock.nowMs += 1;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    const [last] = wire.take();
    expect([last.type, last.payload.readUInt32BE(0)]).deep.equal([GOAWAY, 3]);
  });

  it('drains until its deadline, then drops what is left', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request()));
    wire.connection.drain(wire.clock.nowMs + 100);
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.closed).equal('');
    wire.clock.nowMs += 100;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.closed).equal('drain deadline');
    expect(wire.requests[0].handler.events).deep.equal(['reset 8 connection']);
  });

  it('takes streams above the last id of a GOAWAY for not processed, and goes on with the others, whatever the code', () => {
    for (const code of [0, ENHANCE_YOUR_CALM]) {
      const wire = new Wire({ client: true });
      const [one, three] = [new Recorder(), new Recorder()];
      wire.connection.open(one, REQUEST, [], true);
      wire.connection.open(three, REQUEST, [], true);
      wire.receive(goaway(1, code));
      expect(three.events).deep.equal([`reset ${REFUSED_STREAM} peer unprocessed`]);
      expect(wire.connection.canOpen).equal(false);
      wire.receive(headers(1, GRPC_OK), headers(1, ['grpc-status', '0'], true));
      expect(one.events).deep.equal(['headers 200', 'trailers']);
      expect(wire.ended).equal(true);
    }
  });

  it('serves what is under way when the client says GOAWAY, then closes', () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request(), true), goaway(0, 0));
    expect(wire.ended).equal(false);
    wire.requests[0].stream.sendHeaders(RESPONSE, [], true);
    expect(wire.ended).equal(true);
  });

  it("serves new requests also after a client's GOAWAY, which is about streams of ours (RFC 9113 §6.8)", () => {
    const wire = new Wire({ client: false });
    wire.receive(headers(1, request(), true), goaway(0, 0), headers(3, request(), true));
    expect(wire.requests).length(2);
    for (const { stream } of wire.requests) stream.sendHeaders(RESPONSE, [], true);
    expect(wire.ended).equal(true);
    const last = wire.take().find((f) => f.type === GOAWAY) as WireFrame;
    expect(last.payload.readUInt32BE(0)).equal(3);
  });

  it("waits for an endpoint's SETTINGS only so long, and opens nothing before", () => {
    const wire = new Wire({ client: true }, null);
    expect(wire.connection.canOpen).equal(false);
    wire.clock.nowMs += HANDSHAKE_TIMEOUT_MS + 1;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.connection.stopped).equal(true);
    wire.clock.nowMs += ERROR_LINGER_MS;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.closed).equal('SETTINGS_TIMEOUT: no SETTINGS');
  });

  it('closes a connection to an endpoint that has had no stream for a while', () => {
    const wire = new Wire({ client: true });
    const stream = wire.connection.open(new Recorder(), REQUEST, [], true);
    wire.clock.nowMs += 2 * IDLE_CONNECTION_MS;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.connection.canOpen).equal(true);
    stream.reset(8);
    wire.clock.nowMs += IDLE_CONNECTION_MS - 1;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.ended).equal(false);
    wire.clock.nowMs += 1;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.ended).equal(true);
  });

  it('holds the earlier of two drain deadlines', () => {
    const wire = new Wire({ client: true });
    wire.connection.open(new Recorder(), REQUEST, [], true);
    wire.connection.drain(NEVER);
    wire.connection.drain(wire.clock.nowMs + 100);
    wire.clock.nowMs += 100;
    wire.connection.tick(wire.clock.nowMs, NEVER);
    expect(wire.closed).equal('drain deadline');
  });

  it('names the reason of its end the same for all codes that have no name: it becomes a label of a metric', () => {
    const reasons = [ENHANCE_YOUR_CALM, 14, 4_000_000_000].map((code) => {
      const wire = new Wire({ client: false });
      wire.receive(headers(1, request(), true), goaway(0, code));
      wire.connection.transportClosed('closed');
      return wire.closed;
    });
    expect(reasons).deep.equal(['goaway: ENHANCE_YOUR_CALM', 'goaway: unknown', 'goaway: unknown']);
  });

  it('opens no more streams than the peer allows, from its first SETTINGS on', () => {
    const wire = new Wire({ client: true }, null);
    expect(wire.connection.canOpen).equal(false);
    wire.receive(settings(SETTINGS_MAX_CONCURRENT_STREAMS, 1));
    expect(wire.connection.canOpen).equal(true);
    wire.connection.open(new Recorder(), REQUEST, [], true);
    expect(wire.connection.canOpen).equal(false);
    const before = wire.capacity;
    wire.receive(headers(1, [':status', '200'], true));
    expect(wire.capacity).greaterThan(before);
    expect(wire.connection.canOpen).equal(true);
    wire.receive(settings(SETTINGS_MAX_CONCURRENT_STREAMS, 0));
    expect(wire.connection.canOpen).equal(false);
  });

  it('leaves its place when its stream ids are used up', () => {
    const wire = new Wire({ client: true });
    wire.connection.streams.nextId = MAX_STREAM_ID - 4;
    wire.connection.open(new Recorder(), REQUEST, [], true);
    expect(wire.connection.canOpen).equal(false);
    wire.receive(headers(MAX_STREAM_ID - 4, [':status', '200'], true));
    expect(wire.ended).equal(true);
  });

  it('forgives frames that were under way when it reset their stream, also at high ids and after many others', () => {
    for (const first of [1, 2 ** 30 + 1]) {
      const wire = new Wire({ client: false, maxPeerStreams: 1000 });
      wire.receive(headers(first, request()));
      wire.requests[0].stream.reset(8);
      wire.receive(data(first, 'late'));
      for (let i = 1; i <= 900; i++) {
        wire.receive(headers(first + 2 * i, request(), true));
        wire.requests[i].stream.sendHeaders(RESPONSE, [], true);
      }
      wire.receive(data(first, 'later'), headers(first, ['x-late', 'trailers'], true));
      expect(wire.connection.stopped, `from id ${first}`).equal(false);
      expect(wire.take().filter((f) => f.type === RST_STREAM)).length(1);
    }
  });

  it('takes endless informational responses for what they are', () => {
    const wire = new Wire({ client: true });
    const handler = new Recorder();
    wire.connection.open(handler, REQUEST, [], true);
    for (let i = 0; i < 3 * IDLE_FRAME_BUDGET && !wire.connection.stopped; i++) wire.receive(headers(1, [':status', '103']));
    expect(wire.connection.stopped).equal(true);
    expect(handler.events.length).within(10, IDLE_FRAME_BUDGET + 100);
  });

  it('pings, and gives up a peer that shows no sign of life', () => {
    const wire = new Wire({ client: true });
    wire.take();
    wire.clock.nowMs += 1;
    wire.connection.ping(wire.clock.nowMs);
    expect(wire.take().map((f) => f.type)).deep.equal([PING]);
    wire.clock.nowMs += 3001;
    wire.connection.tick(wire.clock.nowMs, 3000);
    expect(wire.closed).equal('ping timeout');
  });
});
