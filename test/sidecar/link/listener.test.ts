// Protocol detection on a listener, and peers that take their time.
import net from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { ALPN_HTTP2 } from '#core/contract/names.ts';
import { newClock } from '#sidecar/http/clock.ts';
import { HANDSHAKE_TIMEOUT_MS } from '#sidecar/http/limits.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { detect } from '#sidecar/link/detect.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { clientHello } from '../../support/client-hello.ts';
import { TestProxy } from '../../support/proxy.ts';
import { RawPeer, RawServer, settings } from '../../support/raw-peer.ts';
import { until } from '../../support/until.ts';

const HELLO = await clientHello([ALPN_HTTP2]);
const APP_HELLO = await clientHello(['http/1.1']);

describe('detect', () => {
  it('knows TLS, HTTP/2 and the rest by their first octets', () => {
    const cases: [Buffer | string, string][] = [
      [HELLO, 'tls'],
      [HELLO.subarray(0, 1), 'more'],
      [HELLO.subarray(0, -1), 'more'],
      [APP_HELLO, 'tcp'],
      [Buffer.from([0x16, 0x02]), 'tcp'],
      [HTTP2_PREFACE, 'http2'],
      [Buffer.concat([HTTP2_PREFACE, settings()]), 'http2'],
      ['GET / HTTP/1.1\r\n\r\n', 'tcp'],
      ['P', 'more'],
      ['POST / HTTP/1.1', 'tcp'],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r', 'more'],
      ['PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'tcp'],
      ['EHLO there', 'tcp'],
      [Buffer.from([0]), 'tcp'],
    ];
    for (const [octets, wanted] of cases) expect(detect(Buffer.from(octets as string)), String(octets)).equal(wanted);
  });

  it('says the same however the octets are cut, and asks for more only before a beginning of the preface or of a record', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 30 }),
          fc.nat(24).map((n) => HTTP2_PREFACE.subarray(0, n + 1)),
        ),
        (array) => {
          const octets = Buffer.from(array);
          const verdicts = Array.from(octets, (_, i) => detect(octets.subarray(0, i + 1)));
          const first = verdicts.findIndex((verdict) => verdict !== 'more');
          if (first < 0) return octets.length < HTTP2_PREFACE.length;
          // Whatever follows the deciding octet, the verdict stands.
          return verdicts.slice(first).every((verdict) => verdict === verdicts[first]);
        },
      ),
    );
  });
});

describe('Listener', () => {
  let listener: Listener;
  const sockets: net.Socket[] = [];
  let seen: { protocol: string; first: string; stream: ByteStream }[];
  let later: string;
  const outcomes: string[] = [];

  async function listen(assumed: 'tcp' | null, hold?: (ready: () => void) => void): Promise<void> {
    seen = [];
    later = '';
    outcomes.length = 0;
    listener = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => (hold === undefined ? ready() : hold(ready)),
        assumed: () => assumed,
        detected: (outcome) => outcomes.push(outcome),
        onProtocol: (stream, protocol, first) => {
          seen.push({ protocol, first: first.toString('latin1'), stream });
          // As the proxies of TCP do: nothing is read until the other side is there.
          stream.pause();
          setTimeout(() => {
            stream.onBytes = (buf, length) => {
              later += buf.latin1Slice(0, length);
            };
            stream.resume();
          }, 10);
        },
      },
      newClock(() => performance.now()),
    );
    await listener.listen();
  }

  async function connect(...writes: (Buffer | string)[]): Promise<net.Socket> {
    const socket = net.connect(listener.port, '127.0.0.1');
    socket.on('error', () => {});
    sockets.push(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    for (const octets of writes) {
      socket.write(octets);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return socket;
  }

  afterEach(() => {
    listener.close();
    for (const socket of sockets.splice(0)) socket.destroy();
  });

  it('finds the protocol of a connection, and hands on every octet exactly once', async () => {
    await listen(null);
    const cases: [string[], string][] = [
      [['GET / HTTP/1.1\r\n\r\n', 'more'], 'tcp'],
      [[HELLO.toString('latin1'), 'more'], 'tls'],
      [[...HTTP2_PREFACE.toString('latin1'), 'more'], 'http2'],
      [['PRI * HTTP/2.0\r\n\r\n', 'SM\r\n\r\nand', 'more'], 'http2'],
      [[HELLO.toString('latin1', 0, 2), HELLO.toString('latin1', 2)], 'tls'],
      [[APP_HELLO.toString('latin1', 0, 40), APP_HELLO.toString('latin1', 40), 'more'], 'tcp'],
    ];
    for (const [writes, protocol] of cases) {
      seen.length = 0;
      later = '';
      await connect(...writes.map((text) => Buffer.from(text, 'latin1')));
      await until(() => seen.length === 1 && (seen[0].first + later).length >= writes.join('').length, 'all octets are there');
      expect(seen[0].protocol).equal(protocol);
      expect(seen[0].first + later).equal(writes.join(''));
    }
    expect(outcomes).deep.equal(cases.map(([, protocol]) => protocol));
  });

  it('does not look at an opaque port, and loses nothing that comes before the other side is connected', async () => {
    await listen('tcp');
    await connect('early', 'late');
    await until(() => later.length === 9, 'all octets are there');
    expect(seen.map(({ protocol, first }) => [protocol, first])).deep.equal([['tcp', '']]);
    expect(later).equal('earlylate');
    expect(outcomes).deep.equal(['assumed']);
  });

  it('hands on a peer that sends nothing and ends, ended', async () => {
    await listen(null);
    for (const text of ['', 'PRI']) {
      seen.length = 0;
      const socket = await connect(...(text === '' ? [] : [text]));
      socket.end();
      await until(() => seen.length === 1, 'it is classified');
      expect([seen[0].protocol, seen[0].first]).deep.equal(['tcp', text]);
      expect(seen[0].stream.ended).equal(true);
    }
  });

  it('waits with everything until ready() says that the configuration is there', async () => {
    let go: () => void = () => {};
    await listen(null, (ready) => {
      go = ready;
    });
    await connect('GET /');
    expect(seen).length(0);
    go();
    await until(() => seen.length === 1, 'it is classified');
    expect(seen[0].first).equal('GET /');
  });

  it('says why it cannot listen, and listens again when the address is free', async () => {
    await listen(null);
    const second = new Listener(
      { address: '127.0.0.1', port: listener.port },
      {} as never,
      newClock(() => 0),
    );
    const failure = await second.listen().then(
      () => null,
      (error: NodeJS.ErrnoException) => error,
    );
    expect(failure?.code).equal('EADDRINUSE');
  });
});

describe('slow peers', () => {
  it('are closed by L7 if they send no SETTINGS, and served if they send a body octet by octet', async () => {
    const server = await RawServer.listen();
    const proxy = await TestProxy.start({ endpoints: [server.port] });
    const slow = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const peer = await RawPeer.connect(proxy.port, HTTP2_PREFACE);
        peer.polite = false;
        return peer;
      }),
    );
    await until(() => proxy.down.size === 50, 'all are HTTP/2');
    const steady = await RawPeer.connect(proxy.port);
    await steady.settled();
    proxy.skip(HANDSHAKE_TIMEOUT_MS + 1);
    await Promise.all(slow.map((peer) => peer.closed));
    await steady.settled();
    expect(proxy.downClosed).deep.equal(Array(50).fill('SETTINGS_TIMEOUT: no SETTINGS'));
    steady.socket.destroy();
    proxy.close();
    server.close();
  });
});
