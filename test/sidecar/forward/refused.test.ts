// Requests and answers that break a rule: their own call ends with a status and a reason, is counted and logged, and no
// other call notices.
import { expect } from 'chai';
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import { NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED } from '#sidecar/http/reset-code.ts';
import { DATA, GOAWAY, HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import { type ProxyOptions, TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  codeOf,
  data,
  type Frame,
  GRPC_OK,
  goaway,
  grpcAnswer,
  headerOf,
  headers,
  isEnd,
  RawPeer,
  RawServer,
  request,
  windowUpdate,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];
const NOTHING_LEFT = { held: 0, streams: 0, inFlight: 0 };
const LENGTH = 'the content is shorter or longer than its content-length';

let server: RawServer;
let proxy: TestProxy;
let client: RawPeer;
/** What observers of calls saw: label and reason, attempts, gRPC status. */
let seen: [string, number, number][];

async function setUp(script: (peer: RawPeer) => void, more: Partial<ProxyOptions> = {}): Promise<void> {
  server = await RawServer.listen(script);
  proxy = await TestProxy.start({ endpoints: [server.port], ...more });
  seen = [];
  proxy.telemetry.accessLog = {
    ended: ({ error, reason, attempts, grpcStatus }: EndedCall) =>
      seen.push([error === null ? 'ok' : `${error.label}: ${reason}`, attempts, grpcStatus]),
  };
  client = await RawPeer.connect(proxy.port);
}

function tearDown(): void {
  client.socket.destroy();
  proxy.close();
  server.close();
}

const resetOf = (id: number): Promise<Frame> => client.find((f) => f.id === id && f.type === RST_STREAM);
const silent = (): void => {};

describe('a request that breaks a rule', () => {
  afterEach(tearDown);

  it('in its headers gets a status and the reason, counts, and is logged though no attempt was made', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    client.write(headers(1, request('/s/M', ['connection', 'keep-alive'])), headers(3, request(), true));
    expect(codeOf(await resetOf(1))).equal(NO_ERROR);
    const [answer] = client.of(1, HEADERS);
    expect(isEnd(answer)).equal(true);
    expect(headerOf(answer.headers, 'grpc-status')).equal('13');
    expect(headerOf(answer.headers, 'grpc-message')).match(/^weft: bad_request: connection-specific field: connection$/);
    expect(headerOf((await client.end(3)).headers, 'grpc-status')).equal('0');
    expect(seen).length(2);
    expect(seen[0][0]).match(/^bad_request: .*connection/);
    expect(seen[0].slice(1)).deep.equal([0, 13]);
    expect(proxy.count).deep.equal({ 0: 1, 13: 1, bad_request: 1 });
  });

  it('is answered as HTTP where it is no gRPC, without content for HEAD', async () => {
    await setUp(silent);
    client.write(headers(1, [...GET, 'upgrade', 'h2c'], true), headers(3, [':method', 'HEAD', ...GET.slice(2), 'upgrade', 'h2c'], true));
    await resetOf(3);
    for (const id of [1, 3]) expect(headerOf(client.of(id, HEADERS)[0].headers, ':status')).equal('400');
    expect(client.body(1).toString()).match(/^weft: bad_request: /);
    expect(client.body(3)).length(0);
  });

  it('counts before the configuration has come, too', async () => {
    await setUp(silent, { port: null });
    client.write(headers(1, request('/s/M', ['te', 'gzip']), true));
    await resetOf(1);
    expect(proxy.count).deep.equal({ bad_request: 1 });
    expect(seen).deep.equal([['bad_request: te other than trailers: te', 0, 13]]);
  });

  // gRPC-core drops an answer that is followed by another code than NO_ERROR while its request goes on.
  const later: [string, number, string, (id: number) => Buffer[]][] = [
    ['DATA past its content-length', NO_ERROR, LENGTH, (id) => [headers(id, request('/s/M', ['content-length', '1'])), data(id, 'two')]],
    ['DATA short of it', NO_ERROR, LENGTH, (id) => [headers(id, request('/s/M', ['content-length', '4'])), data(id, 'two', true)]],
    [
      'trailers short of it',
      NO_ERROR,
      LENGTH,
      (id) => [headers(id, request('/s/M', ['content-length', '4'])), headers(id, ['x', 'y'], true)],
    ],
    ['no DATA at all', PROTOCOL_ERROR, LENGTH, (id) => [headers(id, request('/s/M', ['content-length', '4']), true)]],
    ['trailers without END_STREAM', NO_ERROR, 'trailers without END_STREAM', (id) => [headers(id, request()), headers(id, ['x', 'y'])]],
    [
      'a pseudo-header in trailers',
      NO_ERROR,
      'pseudo-header field in trailers',
      (id) => [headers(id, request()), headers(id, [':path', '/'], true)],
    ],
    ['DATA after its end', STREAM_CLOSED, 'DATA after END_STREAM', (id) => [headers(id, request(), true), data(id, 'x')]],
    ['a WINDOW_UPDATE of 0', NO_ERROR, 'WINDOW_UPDATE of 0', (id) => [headers(id, request()), windowUpdate(id, 0)]],
  ];
  for (const [what, code, reason, frames] of later) {
    it(`later gets a status and the reason before the reset: ${what}`, async () => {
      await setUp(silent);
      client.write(...frames(1));
      expect(codeOf(await resetOf(1))).equal(code);
      const [answer] = client.of(1, HEADERS);
      expect(isEnd(answer)).equal(true);
      expect(headerOf(answer.headers, 'grpc-status')).equal('13');
      expect(headerOf(answer.headers, 'grpc-message')).equal(`weft: bad_request: ${reason}`);
      expect(client.of(1, RST_STREAM)).length(1);
      expect(seen.map(([text, , status]) => [text, status])).deep.equal([[`bad_request: ${reason}`, 13]]);
      expect(proxy.count).deep.equal({ 13: 1, bad_request: 1 });
      await until(() => proxy.leftovers.streams === 0, 'nothing is left');
      expect(proxy.leftovers).deep.equal(NOTHING_LEFT);
    });
  }

  it('while it is being answered gets the status in trailers where it is gRPC', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type === HEADERS) peer.write(headers(f.id, GRPC_OK), data(f.id, 'first'));
      };
    });
    client.write(headers(1, request()), headers(3, GET));
    await client.find((f) => f.id === 1 && f.type === DATA);
    await client.find((f) => f.id === 3 && f.type === DATA);
    client.write(windowUpdate(1, 0), windowUpdate(3, 0));
    await resetOf(3);
    expect(client.of(1, HEADERS)[1].headers).deep.equal(['grpc-status', '13', 'grpc-message', 'weft: bad_request: WINDOW_UPDATE of 0']);
    expect([codeOf(await resetOf(1)), codeOf(await resetOf(3))]).deep.equal([NO_ERROR, PROTOCOL_ERROR]);
    await until(() => server.all(RST_STREAM).length === 2, 'the endpoint knows');
    expect(proxy.leftovers).deep.equal(NOTHING_LEFT);
  });
});

describe('a request that finds no room', () => {
  afterEach(tearDown);

  it('among the streams of its connection is refused unanswered, counted and logged, and the others go on', async () => {
    await setUp(silent, { maxPeerStreams: 1 });
    client.write(headers(1, request()), headers(3, request(), true));
    expect(codeOf(await client.end(3))).equal(REFUSED_STREAM);
    expect(seen).deep.equal([['too_many_streams: more than 1 streams of one connection are open', 0, 14]]);
    expect(proxy.count).deep.equal({ 14: 1, too_many_streams: 1 });
    expect(client.of(1, RST_STREAM)).length(0);
  });

  it('because we drain is counted and logged; GOAWAY has told the client that it was not processed', async () => {
    await setUp(silent);
    client.write(headers(1, request()));
    await client.settled();
    proxy.drain(5000);
    await until(() => client.frames.filter((f) => f.type === GOAWAY).length === 2, 'the drain has begun');
    client.write(headers(3, request(), true));
    await until(() => seen.length > 0, 'it is refused');
    expect(seen).deep.equal([['draining: the stream is above the last one of our GOAWAY', 0, 14]]);
    expect(proxy.count).deep.equal({ 14: 1, draining: 1 });
    expect(client.frames.some((f) => f.id === 3)).equal(false);
  });
});

describe('a client that says GOAWAY', () => {
  afterEach(tearDown);

  it('is served what it sends then, as it may, and the connection ends when it has nothing under way', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    client.write(goaway(0, 0), headers(1, request(), true));
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('0');
    await client.closed;
    // A request that crossed the end was not processed: the last id says so.
    const [last] = client.frames.filter((f) => f.type === GOAWAY);
    expect([last.payload.readUInt32BE(0), codeOf(last)]).deep.equal([1, 0]);
  });

  it('and sends nothing more loses its connection soon', async () => {
    await setUp(silent);
    client.write(goaway(0, 0));
    await client.closed;
    await until(() => proxy.downClosed.length > 0, 'the proxy knows');
    expect(proxy.downClosed).deep.equal(['drained']);
  });
});

describe('an answer that breaks a rule', () => {
  afterEach(tearDown);

  const ok = (...more: string[]): string[] => [...GRPC_OK, ...more];
  const early: [string, string, (id: number) => Buffer][] = [
    ['content-length and no content', LENGTH, (id) => headers(id, ok('content-length', '10'), true)],
    ['content-length that is no number', 'content-length is not a number', (id) => headers(id, ok('content-length', 'abc'), true)],
    ['two that differ', 'there are two that differ', (id) => headers(id, ok('content-length', '3', 'content-length', '4'))],
    ['a name in upper case', 'forbidden octet in a field name: X-Upper', (id) => headers(id, ok('X-Upper', '1'), true)],
    ['no status', 'a response without just :status', (id) => headers(id, ['x', 'y'], true)],
    ['DATA before HEADERS', 'DATA before HEADERS', (id) => data(id, 'x')],
  ];
  for (const [what, words, answer] of early) {
    it(`is an error of ours that says what was bad: ${what}`, async () => {
      await setUp(answering(answer));
      client.write(headers(1, request(), true), headers(3, GET, true));
      const end = await client.end(1);
      expect(headerOf(end.headers, 'grpc-status')).equal('13');
      expect(headerOf(end.headers, 'grpc-message')).match(/^weft: bad_response: shop\/payment:80: /);
      expect(headerOf(end.headers, 'grpc-message')).contain(words);
      await client.end(3);
      expect(headerOf(client.of(3, HEADERS)[0].headers, ':status')).equal('502');
      expect(client.body(3).toString()).contain(words);
      expect(proxy.count).deep.equal({ 13: 1, 14: 1, bad_response: 2 });
      expect(seen.map(([text]) => text)[0]).contain(words);
      expect(proxy.leftovers).deep.equal(NOTHING_LEFT);
    });
  }

  const late: [string, (id: number) => Buffer][] = [
    ['DATA past content-length', (id) => data(id, 'three')],
    ['DATA short of it', (id) => data(id, '.', true)],
    ['trailers short of it', (id) => headers(id, ['grpc-status', '0'], true)],
  ];
  for (const [what, rest] of late) {
    it(`after it had begun ends with a status that says so, or with a reset: ${what}`, async () => {
      await setUp(answering((id) => Buffer.concat([headers(id, ok('content-length', '4')), data(id, 'x'), rest(id)])));
      client.write(headers(1, request(), true));
      const end = await client.end(1);
      expect(end.headers).deep.equal(['grpc-status', '13', 'grpc-message', `weft: bad_response: shop/payment:80: ${LENGTH}`]);
      expect(proxy.count).deep.equal({ 13: 1, bad_response: 1 });
      expect(proxy.leftovers).deep.equal(NOTHING_LEFT);
    });
  }

  it('is not one to HEAD, with 304 or with 204: they have a content-length without content (RFC 9110 §6.4.1)', async () => {
    await setUp(
      answering((id, { headers: list }) => {
        const status = headerOf(list, 'x-status')!;
        return Buffer.concat([
          headers(id, [':status', '103', 'content-length', '7']),
          headers(id, [':status', status, 'content-length', '10'], headerOf(list, 'x-end') === 'headers'),
          headerOf(list, 'x-end') === 'headers' ? Buffer.alloc(0) : data(id, '', true),
        ]);
      }),
    );
    let id = 1;
    for (const end of ['headers', 'data']) {
      for (const [method, status] of [
        ['HEAD', '200'],
        ['GET', '304'],
        ['GET', '204'],
      ]) {
        client.write(headers(id, [':method', method, ...GET.slice(2), 'x-status', status, 'x-end', end], true));
        const last = await client.end(id);
        expect(last.type === RST_STREAM, `${method} ${status}`).equal(false);
        expect(client.of(id, HEADERS).map((f) => headerOf(f.headers, ':status'))).deep.equal(['103', status]);
        id += 2;
      }
    }
  });

  it('is one if it has content where there is none', async () => {
    await setUp(answering((id) => Buffer.concat([headers(id, [':status', '204']), data(id, 'x', true)])));
    client.write(headers(1, GET, true));
    expect((await client.end(1)).type).equal(RST_STREAM);
    expect(proxy.count.bad_response).equal(1);
  });

  it('says why the connection was lost, and with which code a stream was reset', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (!isEnd(f)) return;
        if (headerOf(f.headers, ':path') === '/s/Lost') peer.socket.destroy();
        else peer.write(data(0, 'x'));
      };
    });
    client.write(headers(1, request('/s/Lost'), true));
    expect(headerOf((await client.end(1)).headers, 'grpc-message')).equal('weft: connection_lost: shop/payment:80: closed by the endpoint');
    client.write(headers(3, request('/s/Broken'), true));
    const message = headerOf((await client.end(3)).headers, 'grpc-message');
    expect(message).equal('weft: connection_lost: shop/payment:80: PROTOCOL_ERROR: DATA on stream 0');
  });
});
