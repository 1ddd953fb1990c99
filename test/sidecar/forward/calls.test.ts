// Plain calls through the proxy with scripted peers: what must arrive unchanged, and that nothing is left behind.
import { expect } from 'chai';
import { CANCEL, NO_ERROR } from '#sidecar/http/reset-code.ts';
import { DATA, FLAG_END_STREAM, HEADERS, RST_STREAM, WINDOW_UPDATE } from '#sidecar/http2/codes.ts';
import { TestProxy } from '#test/support/proxy.ts';
import {
  answering,
  codeOf,
  data,
  frame,
  GRPC_OK,
  grpcAnswer,
  headerOf,
  headers,
  literal,
  RawPeer,
  RawServer,
  request,
  reset,
} from '#test/support/raw-peer.ts';
import { until } from '#test/support/until.ts';

const CLEAN = { held: 0, streams: 0, inFlight: 0 };

describe('a call', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(script: (peer: RawPeer) => void): Promise<void> {
    server = await RawServer.listen(script);
    proxy = await TestProxy.start({ endpoints: [server.port] });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  it('arrives and is answered', async () => {
    await setUp(answering((id) => grpcAnswer(id)));
    client.write(headers(1, request()), data(1, 'hello', true));
    const end = await client.end(1);
    expect(headerOf(end.headers, 'grpc-status')).equal('0');
    expect(client.body(1).toString('latin1')).equal('\0\0\0\0\x02hi');
    const [sent] = server.all(HEADERS);
    expect(sent.headers).deep.equal(request());
    expect(server.peers[0].body(sent.id).toString()).equal('hello');
    expect(proxy.count).deep.equal({ 0: 1 });
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('keeps header octets, duplicates and their order, empty values and never-indexed fields, both ways', async () => {
    const odd = [
      'x-bin',
      'AAECAw==',
      'x-bin',
      'BAU',
      'x-empty',
      '',
      'x-octets',
      'caf\xe9 \xff',
      'x-long',
      'v'.repeat(7000),
      'grpc-future',
      'a,b',
      '__proto__',
      'x',
      'constructor',
      'y',
    ];
    const message = ['grpc-status', '5', 'grpc-message', '%E2%98%83 not found', 'x-trailer-bin', '/w==', 'x-trailer-bin', ''];
    await setUp(answering((id) => Buffer.concat([headers(id, [...GRPC_OK, ...odd]), headers(id, message, true)])));
    const secret = literal('authorization', 'secret', 0x10);
    const list = headers(1, request('/a.B/C', odd));
    // The same block with a never-indexed field at its end.
    client.write(frame(HEADERS, 5, 1, Buffer.concat([list.subarray(9), secret])));
    const end = await client.end(1);
    expect(client.of(1, HEADERS)[0].headers).deep.equal([...GRPC_OK, ...odd]);
    expect(sorted(end.headers)).deep.equal(sorted(message));
    const [sent] = server.all(HEADERS);
    expect(sent.headers).deep.equal([...request('/a.B/C', odd), 'authorization', 'secret']);
    expect(sent.payload.includes(literal('authorization', 'secret', 0x10).subarray(15))).equal(true);
    expect(neverIndexed(sent.payload, 'secret')).equal(true);
    expect(({} as Record<string, unknown>).x).equal(undefined);
  });

  it('passes informational responses and request trailers', async () => {
    await setUp(answering((id) => Buffer.concat([headers(id, [':status', '103', 'link', '</a>']), grpcAnswer(id)])));
    client.write(headers(1, request()), data(1, 'body'), headers(1, ['x-checksum', '7'], true));
    await client.end(1);
    expect(client.of(1, HEADERS).map((f) => headerOf(f.headers, ':status') ?? 'trailers')).deep.equal(['103', '200', 'trailers']);
    const { id } = server.all(HEADERS)[0];
    const trailers = server.peers[0].of(id, HEADERS)[1];
    expect(trailers.headers).deep.equal(['x-checksum', '7']);
    expect(trailers.flags & FLAG_END_STREAM).equal(FLAG_END_STREAM);
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('cancelled before, during and after the response headers is cancelled at the endpoint', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type === HEADERS && headerOf(f.headers, ':path') !== '/s/Silent') peer.write(headers(f.id, GRPC_OK));
      };
    });
    client.write(headers(1, request('/s/Silent')));
    const silent = await until(() => server.all(HEADERS).length === 1, 'the call is there').then(() => server.all(HEADERS)[0]);
    client.write(reset(1, CANCEL));
    expect(codeOf(await server.peers[0].find((f) => f.type === RST_STREAM && f.id === silent.id))).equal(CANCEL);
    client.write(headers(3, request('/s/Answering')), data(3, 'part'));
    await client.find((f) => f.type === HEADERS && f.id === 3);
    client.write(reset(3, CANCEL));
    const last = server.all(HEADERS)[1];
    expect(codeOf(await server.peers[0].find((f) => f.type === RST_STREAM && f.id === last.id))).equal(CANCEL);
    // Both in one segment: the endpoint may see the call or not, but it never stays open.
    client.write(headers(5, request('/s/Silent')), reset(5, CANCEL));
    await client.settled();
    expect(proxy.leftovers).deep.equal(CLEAN);
    expect(proxy.count).deep.equal({ 1: 3 });
  });

  it('ended by the endpoint while the client still streams gets trailers, then RST NO_ERROR, and gives back the window', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type === DATA && f.payload.includes('enough')) peer.write(grpcAnswer(f.id));
      };
    });
    client.write(headers(1, request()), data(1, 'enough'));
    const end = await client.find((f) => f.id === 1 && f.type === HEADERS && (f.flags & FLAG_END_STREAM) !== 0);
    expect(headerOf(end.headers, 'grpc-status')).equal('0');
    expect(codeOf(await client.find((f) => f.id === 1 && f.type === RST_STREAM))).equal(NO_ERROR);
    expect(codeOf(await server.peers[0].find((f) => f.type === RST_STREAM))).equal(NO_ERROR);
    // Late DATA is dropped and does not eat the connection's window for ever.
    for (let i = 0; i < 40; i++) client.write(data(1, Buffer.alloc(16_000)));
    await client.settled();
    expect(client.frames.filter((f) => f.type === WINDOW_UPDATE && f.id === 0).length).greaterThan(1);
    expect(server.peers[0].body(1).length).equal('enough'.length);
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('half-closed by the client streams on from the endpoint', async () => {
    await setUp((peer) => {
      peer.onFrame = (f) => {
        if (f.type === HEADERS) peer.write(headers(f.id, GRPC_OK));
      };
    });
    client.write(headers(1, request(), true));
    await client.find((f) => f.type === HEADERS && f.id === 1);
    const [peer] = server.peers;
    const { id } = server.all(HEADERS)[0];
    for (let i = 0; i < 5; i++) {
      peer.write(data(id, `message ${i}`));
      await client.find((f) => f.type === DATA && f.payload.includes(`message ${i}`));
    }
    peer.write(headers(id, ['grpc-status', '0'], true));
    await client.end(1);
    expect(proxy.leftovers).deep.equal(CLEAN);
  });

  it('answers HEAD without content, whatever content-length says', async () => {
    await setUp(answering((id) => Buffer.concat([headers(id, [':status', '200', 'content-length', '10']), data(id, '', true)])));
    client.write(headers(1, [':method', 'HEAD', ':scheme', 'http', ':path', '/', ':authority', 'a'], true));
    await client.end(1);
    expect(headerOf(client.of(1, HEADERS)[0].headers, 'content-length')).equal('10');
    expect(client.of(1, RST_STREAM)).length(0);
  });

  it('refuses a response that is longer or shorter than its content-length', async () => {
    await setUp(
      answering((id, { headers: list }) => {
        const text = headerOf(list, ':path') === '/long' ? 'too long a body' : 'short';
        return Buffer.concat([headers(id, [':status', '200', 'content-length', '10']), data(id, text, true)]);
      }),
    );
    client.write(headers(1, [':method', 'GET', ':scheme', 'http', ':path', '/long', ':authority', 'a'], true));
    client.write(headers(3, [':method', 'GET', ':scheme', 'http', ':path', '/short', ':authority', 'a'], true));
    for (const id of [1, 3]) expect((await client.end(id)).type, `stream ${id}`).equal(RST_STREAM);
  });
});

function sorted(list: readonly string[]): string[] {
  const pairs: string[] = [];
  for (let i = 0; i < list.length; i += 2) pairs.push(`${list[i]}: ${list[i + 1]}`);
  return pairs.sort();
}

/** Whether the literal whose value ends the block stands there as never indexed (0001xxxx, RFC 7541 §6.2.3). */
function neverIndexed(payload: Buffer, value: string): boolean {
  const at = payload.indexOf(value);
  for (let back = at - 1; back >= 0 && at - back < 24; back--) if ((payload[back] & 0xf0) === 0x10) return true;
  return false;
}
