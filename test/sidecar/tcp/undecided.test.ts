// A silent client joined to its server: what speaks first decides, and the HTTP/2 preface never passes as octets.
import net from 'node:net';
import { expect } from 'chai';
import { newClock } from '#sidecar/http/clock.ts';
import { DETECTION_MS } from '#sidecar/http/limits.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { ByteStream } from '#sidecar/link/byte-stream.ts';
import { relay } from '#sidecar/tcp/relay.ts';
import { joinUndecided } from '#sidecar/tcp/undecided.ts';
import { ManualTimers } from '#test/support/manual-timers.ts';
import { settings } from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

describe('joinUndecided', () => {
  const clock = newClock(() => performance.now());
  const listening: net.Server[] = [];
  let timers: ManualTimers;
  let client: net.Socket;
  let far: net.Socket;
  let near: ByteStream;
  let other: ByteStream;
  let events: string[];
  let atFar: string;
  let atClient: string;

  async function pair(): Promise<[net.Socket, net.Socket]> {
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
    listening.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
    const socket = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    await new Promise((resolve) => socket.once('connect', resolve));
    return [socket, await accepted];
  }

  beforeEach(async () => {
    timers = new ManualTimers();
    events = [];
    [atFar, atClient] = ['', ''];
    const [c, a] = await pair();
    const [f, b] = await pair();
    [client, far] = [c, f];
    for (const socket of [client, far]) socket.on('error', () => {});
    client.on('data', (octets) => (atClient += octets.toString('latin1')));
    far.on('data', (octets) => (atFar += octets.toString('latin1')));
    [near, other] = [new ByteStream(a, clock), new ByteStream(b, clock)];
    joinUndecided(near, other, timers, {
      join: (first) => {
        events.push('join');
        relay(near, other, first, (sent, received) => events.push(`done ${sent}/${received}`));
      },
      serve: (protocol, first) => {
        events.push(`${protocol} ${first.length}`);
        near.onBytes = (_buf, length) => events.push(`more ${length}`);
      },
      refused: (reason) => {
        events.push(reason);
        other.reset();
        near.reset();
      },
    });
    near.start();
    other.start();
  });
  afterEach(() => {
    for (const socket of [client, far, near.socket, other.socket]) socket.destroy();
    for (const server of listening.splice(0)) server.close();
  });

  const first = (event: string) => until(() => events[0] === event, `${event}, not ${events}`);

  it('hears a server that speaks first', async () => {
    far.write('220 mail');
    await until(() => atClient === '220 mail', 'the client has it');
    client.write('EHLO');
    await until(() => atFar === 'EHLO', 'the server has it');
    client.end();
    far.end();
    await until(() => events.length === 2, 'it is over');
    expect(events).deep.equal(['join', 'done 4/8']);
  });

  it('passes on octets of a client that are no preface', async () => {
    client.write('PRO ');
    client.write('x\n');
    await until(() => atFar === 'PRO x\n', 'the server has it');
    far.write('answer');
    await until(() => atClient === 'answer', 'the client has it');
  });

  it('serves a client whose preface comes late, and lets the server go', async () => {
    client.write(HTTP2_PREFACE.subarray(0, 5));
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    client.write(HTTP2_PREFACE.subarray(5));
    await first('http2 24');
    client.write('more');
    await until(() => events.includes('more 4'), 'the rest arrives');
    await until(() => other.socket.destroyed, 'the server is let go');
    expect([atFar, atClient]).deep.equal(['', '']);
    timers.advance(60_000);
    expect(events).length(2);
  });

  it('serves a client whose request comes late, and lets the server go', async () => {
    client.write('GET');
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    client.write(' /');
    await first('http1 5');
    await until(() => other.socket.destroyed, 'the server is let go');
    expect([atFar, atClient]).deep.equal(['', '']);
  });

  it('serves a client whose request has begun and pauses: a pause is no way past the codec', async () => {
    client.write('GET');
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    timers.advance(DETECTION_MS);
    await first('http1 3');
    expect(atFar).equal('');
  });

  it('serves a client whose server has begun with the preface of HTTP/2 servers, cut or not', async () => {
    const [one, two] = [settings().subarray(0, 4), settings().subarray(4)];
    far.write(one);
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    far.write(two);
    await first('http2 0');
    expect(atClient).equal('');
    client.write(HTTP2_PREFACE);
    await until(() => events.includes('more 24'), 'the preface arrives');
  });

  it('passes on what a server has begun like a frame and left so', async () => {
    far.write(settings().subarray(0, 4));
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    timers.advance(DETECTION_MS);
    await until(() => atClient.length === 4, 'the client has it');
  });

  it('refuses a beginning of the preface that ends or is late, before anything passes', async () => {
    client.write('PRI * ');
    await until(() => timers.nextInMs() === DETECTION_MS, 'the beginning is held');
    timers.advance(DETECTION_MS);
    await first(`the HTTP/2 preface was not complete within ${DETECTION_MS} ms`);
    expect(atFar).equal('');
  });

  it('refuses a beginning of the preface before FIN', async () => {
    client.end('P');
    await first('the connection ended within the HTTP/2 preface');
    expect(atFar).equal('');
  });

  for (const [octets, reason] of [
    [HTTP2_PREFACE, 'HTTP/2 preface after the server has spoken'],
    [Buffer.from('PRI * HTTP/2.0\n\nSM\r\n\r\n'), 'malformed HTTP/2 preface'],
  ] as const) {
    it(`refuses a ${reason}`, async () => {
      far.write('hello');
      await until(() => atClient === 'hello', 'the client has it');
      for (const octet of octets) client.write(Buffer.from([octet]));
      await until(() => events.includes(reason), 'it is refused');
      await until(() => events.some((event) => event.startsWith('done')), 'the relay is over');
      expect(atFar).equal('');
    });
  }

  it('refuses a beginning of the preface after the server has spoken, when it is late or ends', async () => {
    far.write('hello');
    await until(() => atClient === 'hello', 'the client has it');
    client.end('PRI');
    await until(() => events.includes('the connection ended within the HTTP/2 preface'), 'it is refused');
    expect(atFar).equal('');
  });

  it('passes half-close on, of either side, and what the other side sends then', async () => {
    client.end();
    await first('join');
    const ended = new Promise((resolve) => client.once('end', resolve));
    far.end('bye');
    await ended;
    expect(atClient).equal('bye');
  });

  it('looks at a client whose server has ended without a word', async () => {
    far.end();
    await first('join');
    client.write(HTTP2_PREFACE);
    await until(() => events.length > 1, 'it is refused');
    expect(atFar).equal('');
  });

  it('ends with either side that is gone', async () => {
    client.resetAndDestroy();
    await until(() => events.includes('done 0/0'), 'it is over');
    await until(() => other.socket.destroyed, 'the server is gone');
  });
});
