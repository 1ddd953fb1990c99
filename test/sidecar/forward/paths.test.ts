// Calls with more paths than templates remember: each arrives with its own, as a pseudo-header field.
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { newHeaderSource } from '#sidecar/http/header-source.ts';
import { HpackEncoder } from '#sidecar/http2/hpack-encoder.ts';
import { TestProxy } from '#test/support/proxy.ts';
import { headers, RawPeer } from '#test/support/raw-peer.ts';

describe('calls whose paths have no end', () => {
  it('reach the endpoint with their path in front of the regular fields', async () => {
    const seen: string[][] = [];
    // Not a server of ours: it puts a path that varies where it likes.
    const server = http2.createServer();
    server.on('stream', (stream, _headers, _flags, raw) => {
      seen.push(raw);
      stream.respond({ ':status': 200 }, { endStream: true });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = await TestProxy.start({ endpoints: [(server.address() as AddressInfo).port] });
    try {
      const peer = await RawPeer.connect(proxy.port);
      for (let i = 0; i < 150; i++) {
        const list = [':method', 'GET', ':scheme', 'http', ':path', `/users/${i}`, ':authority', 'a', 'x', 'y', 'etag', `${i}`];
        peer.write(headers(2 * i + 1, list, true));
        await peer.end(2 * i + 1);
      }
      expect(seen.length).equal(150);
      seen.forEach((list, i) => {
        const names = list.filter((_, k) => k % 2 === 0);
        const regular = names.findIndex((name) => !name.startsWith(':'));
        expect(names.slice(0, regular).sort()).deep.equal([':authority', ':method', ':path', ':scheme']);
        expect(names.slice(regular)).deep.equal(['x', 'etag']);
        expect(list[list.indexOf(':path') + 1]).equal(`/users/${i}`);
      });
      peer.socket.destroy();
    } finally {
      proxy.close();
      server.close();
    }
  });

  it('have it behind new sizes of the table, which open a block', () => {
    const encoder = new HpackEncoder();
    const source = (): ReturnType<typeof newHeaderSource> => newHeaderSource([':method', 'GET'], null);
    expect(HpackEncoder.updatesIn(encoder.encode(source()))).equal(0);
    encoder.setPeerTableSize(0);
    expect(HpackEncoder.updatesIn(encoder.encode(source()))).equal(1);
    encoder.setPeerTableSize(2000);
    expect(HpackEncoder.updatesIn(encoder.encode(source()))).equal(1 + 3);
  });
});
