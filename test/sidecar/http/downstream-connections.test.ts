// The connections that clients have open: how many, how long without a call, and until which certificate's end.

import { expect } from 'chai';
import { Buffers } from '#sidecar/http/buffers.ts';
import type { Clock } from '#sidecar/http/clock.ts';
import type { ConnectionOwner } from '#sidecar/http/connection.ts';
import { DownstreamConnections } from '#sidecar/http/downstream-connections.ts';
import { IDLE_CONNECTION_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_PEER } from '#sidecar/http/limits.ts';
import { type ConnectionPeer, meshPeer, OWN_APPLICATION, strangerAt } from '#sidecar/http/peer.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { ENHANCE_YOUR_CALM } from '#sidecar/http/reset-code.ts';
import type { StreamHandler } from '#sidecar/http/stream.ts';
import type { Duplex } from '#sidecar/http/transport.ts';
import { FLAG_ACK, GOAWAY, PING } from '#sidecar/http2/codes.ts';
import type { Connection } from '#sidecar/http2/connection.ts';
import { SERVER_CODECS } from '#sidecar/program/codecs.ts';
import { frame, headers, request, settings } from '#test/support/raw-peer.ts';
import { Recorder } from '#test/support/wire.ts';

const OPENING = Buffer.concat([HTTP2_PREFACE, settings()]);
const HOUR_MS = 3_600_000;

describe('DownstreamConnections', () => {
  let clock: { nowMs: number } & Clock;
  let wallMs: number;
  let connections: DownstreamConnections;
  let reasons: string[];

  beforeEach(() => {
    clock = { nowMs: 1000, update() {} };
    wallMs = 1_000_000;
    reasons = [];
    connections = new DownstreamConnections(clock, () => wallMs, new Buffers(), SERVER_CODECS);
  });

  const owner: ConnectionOwner = {
    onRequest: (): StreamHandler => new Recorder(),
    onRefused() {},
    onCapacity() {},
    onClosed: (_connection, reason) => reasons.push(reason),
  };

  /** A client's connection; its socket is gone once it was ended or destroyed. */
  function connect(peer: ConnectionPeer): { connection: Connection; transport: Duplex; written: Buffer[] } {
    const written: Buffer[] = [];
    const transport: Duplex = {
      onBytes() {},
      onEnd() {},
      onClosed() {},
      start() {},
      pause() {},
      resume() {},
      reset() {},
      write: (octets, done) => {
        written.push(Buffer.from(octets));
        done();
      },
      end: () => transport.onClosed('closed'),
      destroy() {},
    };
    return { connection: connections.serve('http2', transport, OPENING, owner, peer) as Connection, transport, written };
  }

  const send = ({ transport }: { transport: Duplex }, ...parts: Buffer[]): void => {
    const octets = Buffer.concat(parts);
    transport.onBytes(octets, octets.length);
  };

  /** The last frame of a type that was written. */
  function last({ connection, written }: { connection: Connection; written: Buffer[] }, type: number): Buffer {
    connection.output.flush();
    let found = Buffer.alloc(0);
    for (let b = Buffer.concat(written); b.length >= 9; b = b.subarray(9 + b.readUIntBE(0, 3)))
      if (b[3] === type) found = Buffer.from(b.subarray(9, 9 + b.readUIntBE(0, 3)));
    return found;
  }

  for (const peer of [strangerAt('10.0.0.1'), meshPeer('spiffe://cluster.local/ns/shop/sa/caller', Number.POSITIVE_INFINITY)]) {
    it(`keeps no more than MAX_CONNECTIONS_PER_PEER of ${peer.key}: the idlest goes for a new one, and one at work never does`, () => {
      const busy = connect(peer);
      send(busy, headers(1, request()));
      for (let i = 1; i < 2 * MAX_CONNECTIONS_PER_PEER; i++) {
        clock.nowMs += 1;
        connect(peer);
      }
      expect(connections.size).equal(MAX_CONNECTIONS_PER_PEER);
      expect(busy.connection.stopped).equal(false);
      expect(reasons).deep.equal(Array(MAX_CONNECTIONS_PER_PEER).fill('too many connections'));
      connect(strangerAt('10.0.0.2'));
      expect(connections.size).equal(MAX_CONNECTIONS_PER_PEER + 1);
    });
  }

  it('refuses a peer another connection when all of its own are at work', () => {
    const peer = strangerAt('10.0.0.1');
    for (let i = 0; i < MAX_CONNECTIONS_PER_PEER; i++) send(connect(peer), headers(1, request()));
    const refused = connect(peer);
    expect(refused.connection.stopped).equal(true);
    expect(last(refused, GOAWAY).readUInt32BE(4)).equal(ENHANCE_YOUR_CALM);
  });

  it('takes from the peer that has the most when all peers together have too many, also from the own application', () => {
    for (let i = 0; i < MAX_CONNECTIONS - 10; i++) connect(OWN_APPLICATION);
    for (let i = 0; i < 20; i++) connect(strangerAt(`10.0.0.${i}`));
    expect(connections.size).equal(MAX_CONNECTIONS);
    expect(reasons).length(10);
  });

  it('ends a connection without a stream after a while by GOAWAY, and one that has streams never', () => {
    const [idle, busy] = [connect(OWN_APPLICATION), connect(OWN_APPLICATION)];
    send(busy, headers(1, request()));
    for (let t = 0; t < 3 * IDLE_CONNECTION_MS; t += IDLE_CONNECTION_MS / 2) {
      clock.nowMs += IDLE_CONNECTION_MS / 2;
      connections.tick(clock.nowMs);
      if (t > IDLE_CONNECTION_MS && !idle.connection.closed) send(idle, frame(PING, FLAG_ACK, 0, last(idle, PING)));
    }
    expect(idle.connection.closed).equal(true);
    expect(reasons).deep.equal(['drained']);
    expect(busy.connection.draining).equal(false);
  });

  it('lets a call that crossed with the GOAWAY of an idle connection run', () => {
    const idle = connect(OWN_APPLICATION);
    clock.nowMs += IDLE_CONNECTION_MS;
    connections.tick(clock.nowMs);
    send(idle, headers(1, request()));
    send(idle, frame(PING, FLAG_ACK, 0, last(idle, PING)));
    clock.nowMs += HOUR_MS;
    connections.tick(clock.nowMs);
    expect(idle.connection.closed).equal(false);
    expect(idle.connection.streams.size).equal(1);
  });

  it('drains what was made with the old certificate when it is renewed, and leaves streams the rest of its life', () => {
    const mesh = connect(meshPeer('spiffe://cluster.local/ns/shop/sa/caller', wallMs + 3 * HOUR_MS));
    const plaintext = connect(strangerAt('10.0.0.1'));
    for (const one of [mesh, plaintext]) send(one, headers(1, request()));
    connections.renewed(wallMs + 2 * HOUR_MS);
    expect(last(mesh, GOAWAY).readUInt32BE(4)).equal(0);
    expect(last(plaintext, GOAWAY)).length(0);
    const pass = (ms: number): void => {
      clock.nowMs += ms;
      wallMs += ms;
      connections.tick(clock.nowMs);
    };
    pass(2 * HOUR_MS - 2000);
    expect(reasons).deep.equal([]);
    pass(1000);
    expect(reasons).deep.equal(['drain deadline']);
    expect(plaintext.connection.closed).equal(false);
  });
});
