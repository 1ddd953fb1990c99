// Which process holds a port of this machine.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect } from 'chai';
import { collides, heldPorts, holderOf, parseListeners } from '#local/network/held-ports.ts';

describe('local/network: held ports', () => {
  it('are read from /proc/net/tcp and tcp6', () => {
    const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0000000000000000 20 4 30 10 -1
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1 0
   3: 0000000000000000FFFF000002014D7F:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 98 1 0`;
    expect(parseListeners(tcp)).to.deep.equal([
      { address: '127.0.0.1', port: 8080, inode: '4242' },
      { address: '::', port: 80, inode: '99' },
      { address: '127.77.1.2', port: 81, inode: '98' },
    ]);
  });

  it('collide with a listener on the same port, on the same address or on all', () => {
    const at = (address: string) => ({ address, port: 80, inode: '' });
    expect(collides(at('127.0.0.1'), '127.0.0.1', 80)).to.equal(true);
    expect(collides(at('127.0.0.1'), '127.0.0.2', 80)).to.equal(false);
    expect(collides(at('127.0.0.1'), '127.0.0.1', 81)).to.equal(false);
    expect(collides(at('0.0.0.0'), '127.0.0.2', 80)).to.equal(true);
    expect(collides(at('127.0.0.2'), '0.0.0.0', 80)).to.equal(true);
    expect(collides(at('::'), '127.0.0.2', 80)).to.equal(true);
  });

  it('lead to this very process behind its own port', async function () {
    if (process.platform !== 'linux') this.skip();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const found = heldPorts().filter((listener) => collides(listener, '127.0.0.1', port));
    expect(found.map((listener) => holderOf(listener)?.pid)).to.deep.equal([process.pid]);
    server.close();
    await once(server, 'close');
  });
});
