// A server that is full: which connection has to go.
import http from 'node:http';
import net from 'node:net';
import { expect } from 'chai';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import { until } from '../../support/until.ts';

describe('bounded connections', () => {
  it('past the bound, the address with the most loses its oldest; one that comes anew is served', async () => {
    const server = http.createServer();
    shedGreediest(server, 4);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as net.AddressInfo;
    const connections: net.Socket[] = [];
    const connect = async (localAddress: string): Promise<net.Socket> => {
      const socket = net.connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
      socket.resume();
      connections.push(socket);
      await new Promise((resolve) => socket.once('connect', resolve));
      return socket;
    };
    try {
      const early = await connect('127.0.0.2');
      const flood: net.Socket[] = [];
      for (let i = 0; i < 10; i++) flood.push(await connect('127.0.0.1'));
      await until(() => flood.filter((socket) => socket.closed).length === 7, 'the flood is at the bound');
      expect(flood.map((socket) => socket.closed).lastIndexOf(true)).to.equal(6);
      const late = await connect('127.0.0.3');
      await until(() => flood[7].closed, 'the flood makes room');
      expect([early, late, flood[8], flood[9]].map((socket) => socket.closed)).to.deep.equal([false, false, false, false]);
      // A connection that ends makes room.
      early.destroy();
      await until(async () => (await openOf(server)) === 3, 'it has gone');
      await connect('127.0.0.1');
      await until(async () => (await openOf(server)) === 4, 'another one came');
      expect(late.closed).to.equal(false);
    } finally {
      for (const socket of connections) socket.destroy();
      server.close();
    }
  });
});

function openOf(server: http.Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
}
