// The table of proxy-made errors, each row provoked, and requests that are refused before they reach an endpoint.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import * as errors from '#sidecar/forward/errors.ts';
import {
  CONNECT_TIMEOUT,
  grpcStatusOfHttp,
  grpcStatusOfReset,
  IDENTITY_MISMATCH,
  messageField,
  type ProxyError,
} from '#sidecar/forward/errors.ts';

import { PROTOCOL_ERROR, REFUSED_STREAM } from '#sidecar/http/reset-code.ts';
import { DATA, GOAWAY, HEADERS, RST_STREAM } from '#sidecar/http2/codes.ts';
import { inboundPort } from '#sidecar/inbound/peer-identity.ts';

import { backend, emptyTable, type ProxyOptions, portOf, ref, rule, TestProxy } from '#test/support/proxy.ts';
import { answering, codeOf, data, grpcAnswer, headerOf, headers, RawPeer, RawServer, request, reset } from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const GET = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'];

/** test/sidecar/forward/refused.test.ts has them. */
const REFUSED_BY_THE_CODEC = [errors.BAD_REQUEST, errors.TOO_MANY_STREAMS, errors.DRAINING];

const table = Object.values(errors).filter((e): e is ProxyError => typeof e === 'object' && 'label' in e);

describe('proxy-made errors', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(script: (peer: RawPeer) => void, more: Partial<ProxyOptions> = {}): Promise<void> {
    server = await RawServer.listen(script);
    proxy = await TestProxy.start({ endpoints: [server.port], ...more });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  const failingDial =
    (error: ProxyError): ProxyOptions['dial'] =>
    (_endpoint, _open, onError) => {
      setImmediate(() => onError(error, 'as told'));
      return () => {};
    };

  const rows: [ProxyError, number, number, Partial<ProxyOptions>, ((peer: RawPeer) => void)?, string[]?][] = [
    [errors.NO_ROUTE, 404, 12, { port: portOf(rule([backend('payment')]), emptyTable()) }],
    [errors.INVALID_RULE, 500, 14, { port: portOf(rule([backend('payment')], { invalid: 'unknown filter' })) }],
    [errors.INVALID_RULE, 500, 14, { port: portOf(rule([])) }],
    [errors.INVALID_BACKEND, 500, 14, { port: portOf(rule([backend('gone', { invalid: 'no such Service' })])) }],
    [errors.NO_ENDPOINTS, 503, 14, { endpoints: [] }],
    [errors.NO_CONFIG, 503, 14, { port: null }],
    [errors.CONNECT_FAILED, 503, 14, { endpoints: [1] }],
    [errors.CONNECT_TIMEOUT, 504, 14, { dial: failingDial(CONNECT_TIMEOUT) }],
    [errors.ENDPOINT_FULL, 503, 14, { dial: failingDial(errors.ENDPOINT_FULL) }],
    [errors.IDENTITY_MISMATCH, 502, 14, { dial: failingDial(IDENTITY_MISMATCH) }],
    [errors.CERTIFICATE_EXPIRED, 503, 14, { dial: failingDial(errors.CERTIFICATE_EXPIRED) }],
    [errors.OWN_CERTIFICATE_EXPIRED, 503, 14, { dial: failingDial(errors.OWN_CERTIFICATE_EXPIRED) }],
    [errors.DEADLINE, 504, 4, {}, () => {}, ['grpc-timeout', '20m']],
    [errors.DEADLINE, 504, 4, { port: portOf(rule([backend('payment')], { requestTimeoutMs: 20 })) }, () => {}],
    [errors.ATTEMPT_TIMEOUT, 504, 4, { port: portOf(rule([backend('payment')], { backendTimeoutMs: 20 })) }, () => {}],
    [errors.REFUSED, 503, 14, {}, answering((id) => reset(id, REFUSED_STREAM))],
    [errors.CONNECTION_LOST, 503, 14, {}, answering((_id, _request, peer) => peer.hangUp())],
    [errors.UPSTREAM_RESET, 502, 13, {}, answering((id) => reset(id, PROTOCOL_ERROR))],
    [errors.BAD_RESPONSE, 502, 13, {}, answering((id) => headers(id, [':status', '2xx']))],
    [errors.RESPONSE_TOO_LARGE, 502, 8, {}, answering((id) => headers(id, [':status', '200', 'x-large', 'l'.repeat(70_000)]))],
    [errors.HEADERS_TOO_LARGE, 431, 8, {}, undefined, ['x-large', 'l'.repeat(65_500)]],
    [errors.HEADERS_TOO_LARGE, 431, 8, {}, undefined, ['x-large', 'l'.repeat(80_000)]],
  ];
  rows.forEach(([error, http, grpc, options, script, more = []], index) => {
    it(`${error.label} (row ${index + 1}): HTTP ${http}, gRPC ${grpc}`, async () => {
      await setUp(script ?? answering((id) => grpcAnswer(id)), options);
      client.write(headers(1, request('/s/M', more), true), headers(3, [...GET, ...more], true));
      const [one, three] = [await client.end(1), await client.end(3)];
      // gRPC: one HEADERS frame with END_STREAM and no body.
      expect(client.frames.filter((f) => f.id === 1)).deep.equal([one]);
      expect(one.type).equal(HEADERS);
      expect(headerOf(one.headers, ':status')).equal('200');
      expect(headerOf(one.headers, 'content-type')).equal('application/grpc');
      expect(headerOf(one.headers, 'grpc-status')).equal(`${grpc}`);
      expect(headerOf(one.headers, 'grpc-message')).match(new RegExp(`^weft: ${error.label}: [ -~]+$`));
      // Anything else: a status and a line of text.
      const [head] = client.of(3, HEADERS);
      expect(headerOf(head.headers, ':status')).equal(`${http}`);
      expect(headerOf(head.headers, 'grpc-status')).equal(undefined);
      expect(client.body(3).toString()).match(new RegExp(`^weft: ${error.label}: .+\n$`));
      expect(headerOf(head.headers, 'content-length')).equal(`${client.body(3).length}`);
      expect(three.type).equal(DATA);
      expect(proxy.count[error.label]).greaterThan(0);
      expect([error.http, error.grpc]).deep.equal([http, grpc]);
      await client.settled();
      expect(client.frames.filter((f) => f.type === GOAWAY)).length(0);
      expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
    });
  });

  it('has a row of the test for each error of the table', () => {
    const tested = new Set([
      ...rows.map(([error]) => error.label),
      errors.NOT_SERVED.label,
      errors.SHED.label,
      ...REFUSED_BY_THE_CODEC.map((error) => error.label),
    ]);
    expect(table.map((e) => e.label).sort()).deep.equal([...tested].sort());
  });

  it('stands in docs/reference/errors.md as it is', () => {
    const page = readFileSync(new URL('../../../docs/reference/errors.md', import.meta.url), 'utf8');
    const written = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (?:(\d+) [A-Z_]+|by the code: .*? else (\d+)) \|/gm)].map((m) => [
      m[1],
      Number(m[2]),
      Number(m[3] ?? m[4]),
    ]);
    expect(written.sort()).deep.equal(table.map((e) => [e.label, e.http, e.grpc]).sort());
  });

  it('refuses CONNECT', async () => {
    await setUp(() => {});
    client.write(headers(1, [':method', 'CONNECT', ':authority', 'a:1']));
    await client.find((f) => f.id === 1 && f.type === HEADERS);
    expect(headerOf(client.of(1, HEADERS)[0].headers, ':status')).equal('501');
    await client.settled();
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('refuses while the body is still coming: the answer, RST NO_ERROR, and the rest is dropped', async () => {
    await setUp(() => {}, { endpoints: [] });
    client.write(headers(1, request()), data(1, Buffer.alloc(16_000)), data(1, Buffer.alloc(16_000)), headers(1, ['x', 'y'], true));
    client.write(headers(3, request(), true));
    expect(headerOf((await client.end(3)).headers, 'grpc-status')).equal('14');
    expect(client.frames.filter((f) => f.id === 1).map((f) => f.type)).deep.equal([HEADERS, RST_STREAM]);
    expect(codeOf(client.of(1, RST_STREAM)[0])).equal(0);
    await client.settled();
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('answers HEAD without content', async () => {
    await setUp(() => {}, { endpoints: [] });
    client.write(headers(1, [':method', 'HEAD', ...GET.slice(2)], true));
    const end = await client.end(1);
    expect([end.type, headerOf(end.headers, ':status')]).deep.equal([HEADERS, '503']);
    expect(client.body(1).length).equal(0);
  });

  it('towards another sidecar, refuses what never reached the application, so that it is tried elsewhere', async () => {
    await setUp(() => {}, { endpoints: [1], refuseUnprocessed: true });
    client.write(headers(1, request(), true));
    const end = await client.end(1);
    expect([end.type, codeOf(end)]).deep.equal([RST_STREAM, REFUSED_STREAM]);
    expect(proxy.count.connect_failed).equal(1);
  });

  it('trailers that are too large end the stream, not the connection', async () => {
    await setUp(
      answering((id) =>
        Buffer.concat([headers(id, [':status', '200', 'content-type', 'application/grpc']), headers(id, ['x', 'l'.repeat(70_000)], true)]),
      ),
    );
    client.write(headers(1, request(), true));
    const end = await client.end(1);
    expect(headerOf(end.headers, 'grpc-status')).equal('8');
    expect(headerOf(end.headers, 'grpc-message')).match(/^weft: response_too_large: shop\/payment:\d+: trailers exceed 64 KiB/);
    client.write(headers(3, request()), headers(3, ['x', 'l'.repeat(70_000)], true));
    expect(headerOf((await client.end(3)).headers, 'grpc-status')).equal('8');
    await client.settled();
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  const malformed: [string, string[]][] = [
    ['host that differs from :authority', request('/s/M', ['host', 'other'])],
    ['two host fields', request('/s/M', ['host', 'payment', 'host', 'payment'])],
    ['userinfo in :authority', [':method', 'POST', ':scheme', 'http', ':path', '/s/M', ':authority', 'user@payment']],
    ['two :path', [...GET, ':path', '/other']],
    ['no :path', [':method', 'GET', ':scheme', 'http', ':authority', 'a']],
    ['no :scheme', [':method', 'GET', ':path', '/', ':authority', 'a']],
    ['an unknown pseudo-header', [...GET, ':protocol', 'x']],
    ['a pseudo-header behind a regular one', [...GET.slice(0, 6), 'x', 'y', ':authority', 'a']],
    [':status', [':status', '200', ...GET]],
    ['a :path that is none', [':method', 'GET', ':scheme', 'http', ':path', 'http://a/', ':authority', 'a']],
    ['a space in :path', [':method', 'GET', ':scheme', 'http', ':path', '/a b', ':authority', 'a']],
    ['an upper-case name', [...GET, 'X-Upper', '1']],
    ['an empty name', [...GET, '', '1']],
    ['a colon in a name', [...GET, 'a:b', '1']],
    ['CR in a value', [...GET, 'x', 'a\rb']],
    ['LF in a value', [...GET, 'x', 'a\nb']],
    ['NUL in a value', [...GET, 'x', 'a\0b']],
    ['CR in a value that varies', [...GET, 'traceparent', 'a\r\nb: c']],
    ['connection', [...GET, 'connection', 'close']],
    ['transfer-encoding', [...GET, 'transfer-encoding', 'chunked']],
    ['te other than trailers', [...GET, 'te', 'gzip']],
    ['content-length that is no number', [...GET, 'content-length', '+3']],
    ['content-lengths that differ', [...GET, 'content-length', '3', 'content-length', '4']],
  ];
  it('malformed requests are answered and reset one by one and reach no endpoint', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    client.write(...malformed.map(([, list], i) => headers(2 * i + 1, list, true)));
    for (let i = 0; i < malformed.length; i++) {
      const id = 2 * i + 1;
      const [what, list] = malformed[i];
      expect(codeOf(await client.find((f) => f.id === id && f.type === RST_STREAM)), what).equal(PROTOCOL_ERROR);
      const [answer] = client.of(id, HEADERS);
      if (list.includes('application/grpc')) {
        expect(headerOf(answer.headers, 'grpc-status'), what).equal('13');
        expect(headerOf(answer.headers, 'grpc-message'), what).match(/^weft: bad_request: [ -~]{5,}$/);
      } else {
        expect(headerOf(answer.headers, ':status'), what).equal('400');
        expect(client.body(id).toString(), what).match(/^weft: bad_request: .{5,}\n$/);
      }
    }
    expect(server.all(HEADERS)).length(0);
    expect(proxy.count).deep.equal({ 13: malformed.length, bad_request: malformed.length });
    expect(proxy.leftovers).deep.equal({ held: 0, streams: 0, inFlight: 0 });
  });

  it('malformed requests in any number never end the connection of the own application or another sidecar', async () => {
    await setUp(
      answering((id) => grpcAnswer(id)),
      { trusted: true },
    );
    const n = 2000;
    for (let i = 0; i < n; i++) client.write(headers(2 * i + 1, request('/s/M', ['keep-alive', 'timeout=5']), true));
    client.write(headers(2 * n + 1, request(), true));
    expect(headerOf((await client.end(2 * n + 1)).headers, 'grpc-status')).equal('0');
    expect(proxy.count.bad_request).equal(n);
    expect(client.frames.filter((f) => f.type === GOAWAY)).length(0);
  });

  it('trailers of 400 KiB end their call, and no other call to the endpoint', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type !== HEADERS) return;
        peer.write(headers(f.id, [':status', '200', 'content-type', 'application/grpc']));
        if (headerOf(f.headers, ':path') === '/s/Large') peer.write(headers(f.id, ['x', 'l'.repeat(400_000), 'grpc-status', '3'], true));
      };
    });
    client.write(headers(1, request('/s/Watch'), true));
    await client.find((f) => f.id === 1 && f.type === HEADERS);
    client.write(headers(3, request('/s/Large'), true));
    expect(headerOf((await client.end(3)).headers, 'grpc-status')).equal('8');
    server.peers[0].write(headers(server.all(HEADERS)[0].id, ['grpc-status', '0'], true));
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('0');
    expect(proxy.upClosed).deep.equal([]);
    // Both ends were through with the large one: there was nothing to reset.
    expect(server.all(RST_STREAM)).length(0);
  });

  it('takes white space around a value off, which is no part of it (RFC 9110 §5.5)', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    client.write(headers(1, [...GET, 'x', ' a', 'grpc-timeout', '5S ', 'y', '\t b\t'], true));
    await client.end(1);
    const [{ headers: sent }] = server.all(HEADERS);
    expect(sent[sent.indexOf('x') + 1]).equal('a');
    expect(sent[sent.indexOf('y') + 1]).equal('b');
  });

  it('passes what is merely unusual, unchanged', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    const lists = ['PAYMENT.shop', 'payment.shop.', 'payment:8080', '[::1]:80'].map((authority) => [
      ...GET.slice(0, 6),
      ':authority',
      authority,
    ]);
    lists.push(GET.slice(0, 6), [...GET, 'host', 'a'], [':method', 'OPTIONS', ':scheme', 'http', ':path', '*', ':authority', 'a']);
    client.write(...lists.map((list, i) => headers(2 * i + 1, list, true)));
    await Promise.all(lists.map((_, i) => client.end(2 * i + 1)));
    expect(server.all(HEADERS).map((f) => f.headers)).deep.equal(lists);
  });

  it('claims of identity are dropped in any spelling; ours replaces them; other odd names pass', async () => {
    const claims = ['x-forwarded-client-cert', 'x_forwarded_client_cert', 'x-forwarded_client-cert'].flatMap((name) => [
      name,
      'URI=spiffe://liar',
    ]);
    const odd = ['__proto__', 'a', 'constructor', 'b', 'x', '1', 'x', '2'];
    await setUp(
      answering((id) => grpcAnswer(id)),
      { port: inboundPort(ref('payment'), 'spiffe://td/ns/shop/sa/checkout') },
    );
    client.write(headers(1, request('/s/M', [...claims, ...odd]), true));
    await client.end(1);
    const sent = server.all(HEADERS)[0].headers;
    expect(sent).deep.equal([...request('/s/M', odd), 'x-forwarded-client-cert', 'URI=spiffe://td/ns/shop/sa/checkout']);
    proxy.handle.current = inboundPort(ref('payment'), '');
    client.write(headers(3, request('/s/M', [...claims, ...odd]), true));
    await client.end(3);
    expect(server.all(HEADERS)[1].headers).deep.equal(request('/s/M', odd));
    expect(({} as Record<string, unknown>).a).equal(undefined);
  });

  it('answers within the deadline though the endpoint neither answers nor reads', async () => {
    await setUp((peer) => peer.socket.pause());
    client.write(headers(1, request('/s/M', ['grpc-timeout', '30m'])), data(1, Buffer.alloc(10_000)));
    expect(headerOf((await client.end(1)).headers, 'grpc-status')).equal('4');
    await until(() => proxy.leftovers.streams === 0, 'nothing is left');
  });
});

describe('status mappings', () => {
  it('follow gRPC: RST_STREAM codes', () => {
    const pairs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99].map((code) => grpcStatusOfReset(code));
    expect(pairs).deep.equal([13, 13, 13, 13, 13, 13, 13, 14, 1, 13, 13, 8, 7, 13, 13]);
  });

  it('follow gRPC: HTTP statuses', () => {
    const wanted = { 200: 2, 400: 13, 401: 16, 403: 7, 404: 12, 418: 2, 429: 14, 431: 13, 500: 2, 502: 14, 503: 14, 504: 14 };
    for (const [status, grpc] of Object.entries(wanted)) expect(grpcStatusOfHttp(Number(status)), status).equal(grpc);
  });

  it('percent-encode messages', () => {
    expect(messageField('50% of ☃\n').value).equal('50%25 of %E2%98%83%0A');
  });
});
