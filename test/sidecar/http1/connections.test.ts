// HTTP/1.1 through the proxy, octet for octet: a raw client on one side, an application on the other.
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { expect } from 'chai';
import { HANDSHAKE_TIMEOUT_MS, IDLE_CONNECTION_MS, OUTPUT_HIGH_WATER } from '#sidecar/http/limits.ts';
import { LAST_WORDS_MS, MAX_INFORMATIONAL_RESPONSES } from '#sidecar/http1/limits.ts';
import { TestProxy } from '#test/support/proxy.ts';
import { until } from '#test/support/until.ts';
import { BAD_REQUESTS, BAD_RESPONSES } from './smuggling.ts';

/** An application that sees octets, and answers as it likes. */
interface RawApp {
  readonly port: number;
  /** All that came, over all connections. */
  seen: string;
  connections: number;
  close(): void;
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as net.AddressInfo).port;
}

/** @param onOctets called with what one connection has sent so far and not been answered to */
async function rawApp(onOctets: (socket: net.Socket, octets: string) => void): Promise<RawApp> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    app.connections++;
    socket.on('error', () => {});
    socket.on('data', (octets: Buffer) => {
      app.seen += octets.toString('latin1');
      onOctets(socket, octets.toString('latin1'));
    });
    socket.on('end', () => socket.end());
  });
  const app: RawApp = {
    port: 0,
    seen: '',
    connections: 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
  return Object.assign(app, { port: await listen(server) });
}

/** Sends text and gives what comes until the connection ends, or until `enough` says so. */
async function exchange(port: number, text: string, enough: (got: string) => boolean = () => false, halfClose = false): Promise<string> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let got = '';
  let isOver = false;
  socket.on('error', () => {});
  socket.on('data', (octets: Buffer) => {
    got += octets.toString('latin1');
  });
  socket.on('end', () => {
    isOver = true;
  });
  socket.on('close', () => {
    isOver = true;
  });
  socket.write(Buffer.from(text, 'latin1'));
  if (halfClose) socket.end();
  await until(() => isOver || enough(got), `an answer; so far ${JSON.stringify(got)}`);
  socket.destroy();
  return got;
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

describe('HTTP/1.1 through the proxy', () => {
  let proxy: TestProxy;
  let app: RawApp;

  async function start(onOctets: (socket: net.Socket, octets: string) => void): Promise<void> {
    app = await rawApp(onOctets);
    proxy = await TestProxy.start({ endpoints: [app.port] });
  }

  afterEach(() => {
    proxy.close();
    app.close();
  });

  it('keeps both connections for the next request', async () => {
    await start((socket) => socket.write(OK));
    let asked = 0;
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    let got = '';
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
      if (got === OK.repeat(asked) && asked < 5 && ++asked > 0) socket.write(GET);
    });
    asked++;
    socket.write(GET);
    await until(() => got === OK.repeat(5), `five answers; so far ${got}`);
    expect(app.seen).equal('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(5));
    expect(app.connections).equal(1);
    socket.destroy();
    await until(() => proxy.leftovers.streams === 0 && proxy.leftovers.held === 0, 'nothing is left over');
  });

  it('answers requests that were sent ahead in their order, one at a time', async () => {
    const waiting: (() => void)[] = [];
    await start((socket, octets) => {
      const path = /GET (\S+)/.exec(octets)![1]!;
      waiting.push(() => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`));
    });
    const requests = ['/1', '/2', '/3'].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
    const answer = exchange(proxy.port, requests, (got) => got.endsWith('/3'));
    for (let i = 0; i < 3; i++) {
      await until(() => waiting.length === i + 1, 'the next request has come');
      waiting[i]!();
    }
    expect((await answer).match(/\n\/\d/g)?.map((path) => path.trim())).deep.equal(['/1', '/2', '/3']);
  });

  it('serves a client that ends its half after its requests', async () => {
    await start((socket) => socket.write(OK));
    expect(await exchange(proxy.port, GET.repeat(2), undefined, true)).equal(OK.replace('Content', 'Content') + OK);
  });

  it('passes case, order and octets of fields on, both ways', async () => {
    const answer = 'HTTP/1.1 203 Non-Authoritative Information\r\nX-UPPER: \xe9\r\nx-lower: 2\r\nContent-Length: 0\r\n\r\n';
    await start((socket) => socket.write(Buffer.from(answer, 'latin1')));
    const request = 'GET /p?q=1 HTTP/1.1\r\nHost: a:80\r\nAccept: b\r\nX-UPPER: \xe9, 1\r\nx-lower:  2\r\n\r\n';
    expect(await exchange(proxy.port, request, (got) => got.endsWith('\r\n\r\n'))).equal(answer);
    expect(app.seen).equal(request.replace('  2', ' 2'));
  });

  it('passes chunks and trailers, both ways', async () => {
    await start((socket, octets) => {
      if (octets.endsWith('X-Sum: 1\r\n\r\n'))
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n');
    });
    const request = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;ext="a;b"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n';
    const got = await exchange(proxy.port, request, (text) => text.endsWith('X-Sum: 2\r\n\r\n'));
    expect(got).equal('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 2\r\n\r\n');
    expect(app.seen).equal('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n');
  });

  it('passes 100 Continue and 103, before the content is sent', async () => {
    await start((socket, octets) => {
      if (octets.startsWith('PUT')) socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n');
      if (octets.endsWith('abc')) socket.write(OK);
    });
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    let got = '';
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
      if (got.endsWith('100 Continue\r\n\r\n')) socket.write('abc');
    });
    socket.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
    await until(() => got.endsWith('ok'), `an answer; so far ${got}`);
    expect(got).equal(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${OK}`);
    socket.destroy();
  });

  const EMPTY_ANSWERS: readonly (readonly [method: string, answer: string, got: string])[] = [
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'],
    ['HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['GET', 'HTTP/1.1 204 No Content\r\n\r\n', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n'],
    ['POST', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ];
  for (const [method, answer, wanted] of EMPTY_ANSWERS) {
    it(`knows that an answer has no content: ${method} ${answer.slice(9, 12)} ${answer.includes('chunked') ? 'chunked' : ''}`, async () => {
      await start((socket) => socket.write(answer));
      const request = `${method} / HTTP/1.1\r\nHost: a\r\n\r\n`;
      const got = await exchange(proxy.port, request.repeat(2), (text) => text.length >= 2 * wanted.length);
      expect(got).equal(wanted.repeat(2));
      expect(app.seen).equal(request.replace('\r\n\r\n', method === 'POST' ? '\r\nContent-Length: 0\r\n\r\n' : '\r\n\r\n').repeat(2));
    });
  }

  it('serves HTTP/1.0 clients in their own way', async () => {
    await start((socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'));
    expect(await exchange(proxy.port, 'GET / HTTP/1.0\r\n\r\n')).equal('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok');
    expect(app.seen).equal('GET / HTTP/1.1\r\nHost: \r\n\r\n');
  });

  it('takes an answer up to the end of the connection, and says chunks to the client', async () => {
    await start((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nok'));
    const got = await exchange(proxy.port, GET, (text) => text.endsWith('0\r\n\r\n'));
    expect(got).equal('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n');
  });

  it('strips a switch to HTTP/2', async () => {
    await start((socket) => socket.write(OK));
    const request = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n';
    expect(await exchange(proxy.port, request, (got) => got === OK)).equal(OK);
    expect(app.seen).equal(GET);
  });

  it('carries a protocol that was switched to, both ways and with its end', async () => {
    await start((socket, octets) => {
      if (octets.startsWith('GET'))
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: y\r\n\r\nhello');
      else socket.write(octets.toUpperCase());
    });
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    let got = '';
    let isOver = false;
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
    });
    socket.on('end', () => {
      isOver = true;
    });
    socket.write('GET /s HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n');
    await until(() => got.endsWith('hello'), `the switch; so far ${got}`);
    expect(got).equal('HTTP/1.1 101 Switching Protocols\r\nX: y\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
    expect(app.seen).equal('GET /s HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.write('any octets');
    await until(() => got.endsWith('ANY OCTETS'), 'what was sent came back');
    socket.end();
    await until(() => isOver, 'the end has come back');
  });

  it('passes on that a switch is not made', async () => {
    await start((socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno'));
    const got = await exchange(proxy.port, 'GET /s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(got).equal('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
  });

  it('refuses CONNECT with 501, and ends the connection', async () => {
    await start(() => {});
    expect(await exchange(proxy.port, 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n')).match(
      /^HTTP\/1.1 501 .*Connection: close\r\n\r\nweft: not_served/s,
    );
    expect(app.seen).equal('');
  });

  it('refuses each bad request with 400 and ends; the application sees at most what was whole before it', async () => {
    await start(() => {});
    for (const [name, text] of Object.entries(BAD_REQUESTS)) {
      const isInContent = /chunk|trailers/.test(name) && text.includes('\r\n\r\n') && !/^transfer-encoding|^content-length/.test(name);
      app.seen = '';
      const got = await exchange(proxy.port, text);
      expect(got.slice(0, 12), name).equal('HTTP/1.1 400');
      expect(got, name).match(/weft: bad_request: /);
      if (!isInContent) expect(app.seen, name).equal('');
      // What did come is never whole.
      else expect(app.seen, name).not.match(/0\r\n.*\r\n\r\n$/s);
    }
  });

  it('answers a head that is too large with 431', async () => {
    await start(() => {});
    expect(await exchange(proxy.port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`)).match(
      /^HTTP\/1.1 431 .*weft: headers_too_large/s,
    );
  });

  it('answers a bad response with 502', async () => {
    let answer = '';
    await start((socket) => socket.write(answer));
    for (const [name, text] of Object.entries(BAD_RESPONSES)) {
      if (name.startsWith('chunk')) continue; // its head was good
      answer = text;
      const got = await exchange(proxy.port, GET, (all) => /bad_response/.test(all));
      expect(got.slice(0, 12), name).equal('HTTP/1.1 502');
    }
  });

  it('never shows an answer that was cut short as whole', async () => {
    let answer = '';
    let cut: 'end' | 'reset' = 'end';
    await start((socket) => {
      socket.write(answer, () => (cut === 'end' ? socket.end() : socket.resetAndDestroy()));
    });
    const whole = [OK, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'];
    for (const text of whole) {
      for (let length = 1; length < text.length; length++) {
        for (cut of ['end', 'reset'] as const) {
          answer = text.slice(0, length);
          const response = await new Promise<string>((resolve) => {
            const request = http.get({ port: proxy.port, host: '127.0.0.1', agent: false }, (incoming) => {
              let got = '';
              incoming.on('data', (octets: Buffer) => {
                got += octets.toString('latin1');
              });
              incoming.on('error', () => resolve('broken off'));
              incoming.on('end', () => resolve(incoming.complete ? `${incoming.statusCode} ${got}` : 'broken off'));
            });
            request.on('error', () => resolve('broken off'));
          });
          expect(response.startsWith('200'), `${length} ${cut}: ${response}`).equal(false);
        }
      }
    }
  });

  it('never shows half a request as whole', async () => {
    await start(() => {});
    for (const request of [
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n',
    ]) {
      const headEnd = request.indexOf('\r\n\r\n') + 4;
      for (let length = headEnd; length < request.length; length++) {
        app.seen = '';
        await exchange(proxy.port, request.slice(0, length), undefined, true);
        expect(app.seen === request, `${length}`).equal(false);
      }
    }
    await until(() => proxy.leftovers.inFlight === 0, 'all calls have ended');
  });

  it('tries another connection when a kept one had ended: a GET always, a POST only if nothing was sent', async () => {
    let first = true;
    await start((socket, octets) => {
      if (octets.startsWith('GET /warm')) socket.write(OK);
      else if (first) {
        first = false;
        socket.resetAndDestroy();
      } else socket.write(OK);
    });
    await exchange(proxy.port, GET.replace('/', '/warm'), (got) => got === OK);
    expect(await exchange(proxy.port, GET, (got) => got === OK)).equal(OK);
    expect(proxy.count.retried).equal(1);
    first = true;
    await exchange(proxy.port, GET.replace('/', '/warm'), (got) => got === OK);
    expect(await exchange(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\n\r\n', (got) => got.includes('weft:'))).match(/^HTTP\/1.1 503/);
  });

  it('holds back a client whose application does not read, and goes on when it does', async () => {
    const sockets: net.Socket[] = [];
    await start((socket) => {
      if (sockets.push(socket) === 1) socket.pause();
    });
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    const size = 32 * 1024 * 1024;
    socket.on('error', () => {});
    socket.write(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`);
    const body = Buffer.alloc(size, 'x');
    socket.write(body);
    await until(() => sockets.length === 1 && proxy.leftovers.held > 0, 'octets are held');
    expect(proxy.buffers.held).lessThan(1024 * 1024);
    sockets[0]!.resume();
    await until(() => app.seen.length >= size, 'all of it came');
    sockets[0]!.write(OK);
    await until(() => proxy.leftovers.inFlight === 0 && proxy.leftovers.held === 0, 'the call has ended');
    socket.destroy();
  });

  it('gives up the application when the client is gone', async () => {
    let ended = false;
    await start((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      socket.on('close', () => {
        ended = true;
      });
    });
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    socket.write(GET);
    await once(socket, 'data');
    socket.resetAndDestroy();
    await until(() => ended, 'the connection to the application has ended');
    await until(() => proxy.leftovers.inFlight === 0, 'the call has ended');
  });

  it('lets a client read its answer while it still sends, but not for longer than LAST_WORDS_MS', async () => {
    await start(() => {});
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
    let got = '';
    let isOver = false;
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      isOver = true;
    });
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 1000000\r\n\r\n');
    await until(() => got.includes('bad_request'), 'the answer has come');
    socket.write('x'.repeat(10_000));
    expect(isOver).equal(false);
    proxy.skip(LAST_WORDS_MS);
    await until(() => {
      socket.write('x');
      return isOver;
    }, 'the connection has ended');
  });

  it('takes MAX_INFORMATIONAL_RESPONSES and no more', async () => {
    let count = MAX_INFORMATIONAL_RESPONSES;
    await start((socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(count) + OK));
    expect(await exchange(proxy.port, GET, (got) => got.endsWith('ok'))).contain(OK);
    count++;
    expect(await exchange(proxy.port, GET, (got) => got.includes('weft:'))).match(/HTTP\/1.1 502 .*bad_response/s);
  });

  it('gives a head as long as HANDSHAKE_TIMEOUT_MS, and a kept connection IDLE_CONNECTION_MS', async () => {
    await start((socket) => socket.write(OK));
    const slow = exchange(proxy.port, 'GET / HTTP/1.1\r\nHost:');
    await until(() => proxy.down.size === 1, 'the connection is served');
    proxy.skip(HANDSHAKE_TIMEOUT_MS - 1000);
    expect(proxy.downClosed).deep.equal([]);
    proxy.skip(1500);
    expect(await slow).equal('');
    expect(proxy.downClosed).deep.equal(['a head does not end']);
    const idle = exchange(proxy.port, GET);
    await until(() => proxy.up.size === 1 && proxy.leftovers.inFlight === 0, 'the call has ended');
    proxy.skip(IDLE_CONNECTION_MS);
    expect(await idle).equal(OK);
  });

  it('makes no more answers while they are not read, and goes on when they are', async () => {
    await start(() => {});
    proxy.setEndpoints('payment', []);
    const socket = net.connect({ port: proxy.port, host: '127.0.0.1' });
    socket.pause();
    let got = '';
    socket.on('error', () => {});
    const count = 60_000;
    socket.write(GET.repeat(count));
    const waiting = (): number => Math.max(0, ...[...proxy.down].map(({ output }) => output.waiting));
    await until(() => waiting() > OUTPUT_HIGH_WATER, 'answers wait');
    expect(waiting()).lessThan(2 * OUTPUT_HIGH_WATER);
    socket.on('data', (octets: Buffer) => {
      got += octets.toString('latin1');
    });
    socket.resume();
    await until(() => got.split('HTTP/1.1 503').length === count + 1, 'all have come');
    expect(proxy.count.no_endpoints).equal(count);
    socket.destroy();
  });

  it('gives a connection whose last answer a slow client has not taken to no other call', async () => {
    const size = 8 * 1024 * 1024;
    await start((socket, octets) => {
      if (octets.startsWith('GET /large')) {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
        socket.write(Buffer.alloc(size, 'x'));
      } else socket.write(OK);
    });
    const slow = net.connect({ port: proxy.port, host: '127.0.0.1' });
    slow.on('error', () => {});
    slow.pause();
    slow.write('GET /large HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => proxy.leftovers.held > 0, 'octets are held');
    for (let i = 0; i < 3; i++) expect(await exchange(proxy.port, GET, (got) => got === OK)).equal(OK);
    let octets = 0;
    slow.on('data', (part: Buffer) => {
      octets += part.length;
    });
    slow.resume();
    await until(() => octets > size, 'all of it has come');
    await until(() => proxy.leftovers.held === 0 && proxy.leftovers.inFlight === 0, 'nothing is left');
    slow.destroy();
  });
});
