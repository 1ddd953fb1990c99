// Protocol detection on a listener, and peers that take their time.
import net from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { ALPN_HTTP2 } from '#core/contract/names.ts';
import { newClock } from '#sidecar/http/clock.ts';
import { DETECTION_MS, HANDSHAKE_TIMEOUT_MS } from '#sidecar/http/limits.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { detect, detectServer } from '#sidecar/link/detect.ts';
import { Listener } from '#sidecar/link/listener.ts';
import { clientHello } from '../../support/client-hello.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
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
      ['GET / HTTP/1.1\r\n\r\n', 'http1'],
      ['GET /', 'http1'],
      ['\r\nGET /', 'http1'],
      ['GE', 'more'],
      ['get /', 'more'],
      ['get / HTTP/1.1\n', 'http1'],
      ['get /key\r\n', 'tcp'],
      ['GET key\r\n', 'tcp'],
      ['GET http://a/ HTTP/1.1\r\n', 'http1'],
      ['G(T\t/ HTTP/1.0\r\n', 'http1'],
      ['CONNECT a:80 HTTP/1.1\r\n', 'http1'],
      ['CONNECT {}\r\n', 'tcp'],
      ['PING\r\n', 'tcp'],
      ['*1\r\n$4\r\nPING\r\n', 'tcp'],
      ['SSH-2.0-OpenSSH_9.6\r\n', 'tcp'],
      [`FOO /${'x'.repeat(17_000)}`, 'http1'],
      ['x'.repeat(33), 'tcp'],
      ['P', 'more'],
      ['POST / HTTP/1.1', 'http1'],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r', 'more'],
      ['PRINT\n', 'tcp'],
      ['PRI * HTTP/2.0\n\nSM\r\n\r\n', 'malformed'],
      ['PRI  ', 'malformed'],
      ['PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', 'malformed'],
      ['EHLO there\r\n', 'tcp'],
      [Buffer.from([0]), 'tcp'],
    ];
    for (const [octets, wanted] of cases) expect(detect(Buffer.from(octets as string)), String(octets)).equal(wanted);
  });

  it('says the same however the octets are cut, and asks for more only before a beginning of the preface, of a record or of a request line', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 30 }),
          fc
            .string({ unit: fc.constantFrom('G', 'E', 'T', ' ', '\t', '/', 'HTTP/1.1', '\r', '\n', 'x', '('), minLength: 1 })
            .map((text) => Buffer.from(text)),
          fc.nat(24).map((n) => HTTP2_PREFACE.subarray(0, n + 1)),
          fc.tuple(fc.nat(23), fc.nat(255)).map(([at, octet]) => HTTP2_PREFACE.map((each, i) => (i === at ? octet : each))),
        ),
        (array) => {
          const octets = Buffer.from(array);
          const verdicts = Array.from(octets, (_, i) => detect(octets.subarray(0, i + 1)));
          const first = verdicts.findIndex((verdict) => verdict !== 'more');
          if (first < 0) return octets.length < HTTP2_PREFACE.length || !octets.includes(0x0a);
          // Whatever follows the deciding octet, the verdict stands.
          return verdicts.slice(first).every((verdict) => verdict === verdicts[first]);
        },
      ),
    );
  });
});

describe('detectServer', () => {
  it('knows the preface of an HTTP/2 server by its frame header, however it is cut', () => {
    const cases: [Buffer | string, string][] = [
      [settings(), 'http2'],
      [settings(3, 100), 'http2'],
      [settings().subarray(0, 8), 'more'],
      [Buffer.from([0]), 'more'],
      ['220 mail ESMTP', 'other'],
      // A packet of MySQL: its length, its number, its version.
      [Buffer.from([0x4a, 0, 0, 0, 0x0a]), 'other'],
      [Buffer.from([0, 0, 6, 0, 0]), 'other'],
      [Buffer.from([0, 0, 5, 4, 0]), 'other'],
      [Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 1]), 'other'],
    ];
    for (const [octets, wanted] of cases) expect(detectServer(Buffer.from(octets as string)), String(octets)).equal(wanted);
  });
});

describe('Listener', () => {
  let timers: ManualTimers;
  const refusals: string[] = [];
  let listener: Listener;
  const sockets: net.Socket[] = [];
  let seen: { protocol: string; first: string; stream: ByteStream }[];
  let later: string;
  const outcomes: string[] = [];

  async function listen(assumed: 'tcp' | 'http2' | null, hold?: (ready: () => void) => void): Promise<void> {
    seen = [];
    later = '';
    outcomes.length = 0;
    refusals.length = 0;
    timers = new ManualTimers();
    listener = new Listener(
      { address: '127.0.0.1', port: 0 },
      {
        onAccept: (_stream, ready) => (hold === undefined ? ready() : hold(ready)),
        assumed: () => assumed,
        detected: (outcome) => outcomes.push(outcome),
        onRefused: (stream, reason) => {
          refusals.push(reason);
          stream.destroy();
        },
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
      timers,
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
      [['GET / HTTP/1.1\r\n\r\n', 'more'], 'http1'],
      [['FOO', ' / HTTP', '/1.1\r\n', 'more'], 'http1'],
      [['EHLO x\r\n', 'more'], 'tcp'],
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

  it('hands on a peer that sends nothing, or no preface, and ends, ended', async () => {
    await listen(null);
    const halfHello = HELLO.toString('latin1', 0, 40);
    for (const text of ['', halfHello]) {
      seen.length = 0;
      const socket = await connect(...(text === '' ? [] : [Buffer.from(text, 'latin1')]));
      socket.end();
      await until(() => seen.length === 1, 'it is classified');
      expect([seen[0].protocol, seen[0].first]).deep.equal(['tcp', text]);
      expect(seen[0].stream.ended).equal(true);
    }
  });

  const hasTimer = (timerMs: number) => until(() => timers.nextInMs() === timerMs, `a timer of ${timerMs} ms`);

  it('hands on silence as silence when the time of detection is over', async () => {
    await listen(null);
    await connect();
    await hasTimer(DETECTION_MS);
    timers.advance(DETECTION_MS - 1);
    expect(seen).length(0);
    timers.advance(1);
    expect([seen[0].protocol, seen[0].first]).deep.equal(['silent', '']);
    expect(outcomes).deep.equal(['timeout']);
  });

  it('has more patience where only HTTP/2 is served', async () => {
    await listen('http2');
    await connect();
    await hasTimer(HANDSHAKE_TIMEOUT_MS);
    timers.advance(HANDSHAKE_TIMEOUT_MS - 1);
    expect(seen).length(0);
    await connect(HTTP2_PREFACE.subarray(0, 3), HTTP2_PREFACE.subarray(3));
    await until(() => seen.length === 1, 'it is classified');
    expect(seen[0].protocol).equal('http2');
  });

  for (const [assumed, waitMs] of [
    [null, DETECTION_MS],
    ['http2', HANDSHAKE_TIMEOUT_MS],
  ] as const) {
    describe(assumed === null ? 'where nothing is declared' : 'where HTTP/2 is declared', () => {
      for (let length = 1; length < HTTP2_PREFACE.length; length++) {
        it(`refuses the first ${length} octets of the HTTP/2 preface, ended or late`, async () => {
          await listen(assumed);
          const beginning = HTTP2_PREFACE.subarray(0, length);
          const ended = await connect(beginning);
          ended.end();
          await until(() => refusals.length === 1, 'the one that ended is refused');
          const late = await connect();
          await hasTimer(waitMs);
          timers.advance(1);
          late.write(beginning);
          await hasTimer(waitMs);
          timers.advance(waitMs);
          await until(() => refusals.length === 2, 'the late one is refused');
          expect(refusals).deep.equal([
            'the connection ended within the HTTP/2 preface',
            `the HTTP/2 preface was not complete within ${waitMs} ms`,
          ]);
          expect(seen).length(0);
          expect(outcomes).deep.equal(['refused', 'refused']);
        });
      }

      it('refuses a preface that comes octet by octet and is late', async () => {
        await listen(assumed);
        const socket = await connect('P');
        for (let i = 0; i < 20 && refusals.length === 0; i++) {
          socket.write(HTTP2_PREFACE.subarray(i + 1, i + 2));
          // Well apart, so that each octet is read before time passes.
          await new Promise((resolve) => setTimeout(resolve, 2));
          timers.advance(waitMs / 10);
        }
        await until(() => refusals.length === 1, 'it is refused');
        expect(seen).length(0);
      });

      it('refuses a malformed preface at once', async () => {
        await listen(assumed);
        await connect('PRI * HTTP/2.0\n\nSM\r\n\r\n');
        await until(() => refusals.length === 1, 'it is refused');
        expect(refusals).deep.equal(['malformed HTTP/2 preface']);
        expect(seen).length(0);
      });
    });
  }

  it('gives a ClientHello the time of a handshake, and hands it on as TCP when it is not complete then', async () => {
    await listen(null);
    await connect(HELLO.subarray(0, 40));
    await hasTimer(HANDSHAKE_TIMEOUT_MS);
    timers.advance(HANDSHAKE_TIMEOUT_MS);
    expect([seen[0].protocol, seen[0].first.length]).deep.equal(['tcp', 40]);
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
