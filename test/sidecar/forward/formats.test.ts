// What clients of gRPC-Web, and of types that only look like gRPC, get through the proxy.
import { expect } from 'chai';
import { DATA, HEADERS } from '#sidecar/http2/codes.ts';
import { type ProxyOptions, TestProxy } from '#test/support/proxy.ts';
import { answering, data, headerOf, headers, RawPeer, RawServer, request } from '#test/support/raw-peer.ts';

/** A gRPC request with another content-type. */
function requestOf(type: string): string[] {
  return request().map((value) => (value === 'application/grpc' ? type : value));
}

describe('a call that is not gRPC by its content-type', () => {
  let server: RawServer;
  let proxy: TestProxy;
  let client: RawPeer;

  async function setUp(type: string, more: Partial<ProxyOptions> = {}): Promise<void> {
    const trailer = Buffer.concat([Buffer.from([0x80, 0, 0, 0, 15]), Buffer.from('grpc-status:0\r\n')]);
    server = await RawServer.listen(
      answering((id) =>
        Buffer.concat([headers(id, [':status', '200', 'content-type', type]), data(id, '\0\0\0\0\x02hi'), data(id, trailer, true)]),
      ),
    );
    proxy = await TestProxy.start({ endpoints: [server.port], ...more });
    client = await RawPeer.connect(proxy.port);
  }

  afterEach(() => {
    client.socket.destroy();
    proxy.close();
    server.close();
  });

  for (const type of ['application/grpc-web+proto', 'application/grpc-web-text', 'application/grpcfoo', 'application/json']) {
    it(`gets its answer as it is, without trailers, and counts as OK: ${type}`, async () => {
      await setUp(type);
      client.write(headers(1, requestOf(type), true));
      const end = await client.end(1);
      expect(end.type).equal(DATA);
      expect(client.of(1, HEADERS)).length(1);
      expect(client.body(1).toString('latin1')).equal('\0\0\0\0\x02hi\x80\0\0\0\x0fgrpc-status:0\r\n');
      expect(proxy.count).deep.equal({ 0: 1 });
    });
  }

  for (const [type, answered] of [
    ['application/grpc-web+proto', 'application/grpc-web+proto'],
    ['Application/gRPC-Web-Text; charset=utf-8', 'application/grpc-web-text'],
  ]) {
    it(`gets an error of ours as gRPC-Web has it, status and message with the headers: ${type}`, async () => {
      await setUp(type, { endpoints: [] });
      client.write(headers(1, requestOf(type), true));
      const end = await client.end(1);
      expect(client.frames.filter((f) => f.id === 1)).deep.equal([end]);
      expect(end.headers).deep.equal([
        ...[':status', '200', 'content-type', answered, 'grpc-status', '14'],
        ...['grpc-message', 'weft: no_endpoints: shop/payment:80 has no ready endpoints'],
      ]);
      expect(proxy.count).deep.equal({ 14: 1, no_endpoints: 1 });
    });
  }

  it('gets an error of ours as HTTP has it where its type only begins like gRPC', async () => {
    await setUp('application/grpcfoo', { endpoints: [] });
    client.write(headers(1, requestOf('application/grpcfoo'), true));
    await client.end(1);
    expect(headerOf(client.of(1, HEADERS)[0].headers, ':status')).equal('503');
    expect(client.body(1).toString()).match(/^weft: no_endpoints: /);
  });
});

describe('white space around what an application says', () => {
  const OK = [':status', '200', 'content-type', 'application/grpc '];
  const status = ['grpc-status', '5 ', 'grpc-message', 'no such user: ', 'x-note', '\tkept ', 'x-bin', 'AAE= '];
  const answers: [string, (id: number) => Buffer][] = [
    ['Trailers-Only', (id) => headers(id, [...OK, ...status], true)],
    ['trailers', (id) => Buffer.concat([headers(id, [...OK, 'x-first', ' a ']), headers(id, status, true)])],
  ];
  for (const [what, answer] of answers) {
    it(`is taken off and changes no status: ${what}`, async () => {
      const server = await RawServer.listen(answering(answer));
      const proxy = await TestProxy.start({ endpoints: [server.port] });
      const client = await RawPeer.connect(proxy.port);
      client.write(headers(1, request(), true));
      const { headers: got } = await client.end(1);
      expect(['grpc-status', 'grpc-message', 'x-note', 'x-bin'].map((name) => headerOf(got, name))).deep.equal([
        ...['5', 'no such user:', 'kept', 'AAE='],
      ]);
      expect(proxy.count).deep.equal({ 5: 1 });
      client.socket.destroy();
      proxy.close();
      server.close();
    });
  }
});

describe('a gRPC call by its content-type', () => {
  for (const type of ['application/grpc+proto', 'application/grpc;charset=utf-8', 'APPLICATION/GRPC']) {
    it(`never ends without a status: ${type}`, async () => {
      const server = await RawServer.listen(
        answering((id) => Buffer.concat([headers(id, [':status', '200', 'content-type', type]), data(id, 'x', true)])),
      );
      const proxy = await TestProxy.start({ endpoints: [server.port] });
      const client = await RawPeer.connect(proxy.port);
      client.write(headers(1, requestOf(type), true));
      const end = await client.end(1);
      const message = 'weft: bad_response: shop/payment:80: the response ended without a grpc-status';
      expect([end.type, end.headers]).deep.equal([HEADERS, ['grpc-status', '13', 'grpc-message', message]]);
      expect(proxy.count).deep.equal({ 13: 1, bad_response: 1 });
      client.socket.destroy();
      proxy.close();
      server.close();
    });
  }
});
