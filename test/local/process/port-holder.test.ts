// Who holds a port; which program a command names.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { collides, holderOf, listeners, parseListeners } from '#local/process/port-holder.ts';
import { accepts } from '#local/process/probe.ts';
import { findProgram, missingScript } from '#local/process/program.ts';

describe('run/process: port holder', () => {
  it('reads /proc/net/tcp and tcp6', () => {
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

  it('knows which listeners stand in each other’s way', () => {
    const at = (address: string) => ({ address, port: 80, inode: '' });
    expect(collides(at('127.0.0.1'), '127.0.0.1', 80)).to.equal(true);
    expect(collides(at('127.0.0.1'), '127.0.0.2', 80)).to.equal(false);
    expect(collides(at('127.0.0.1'), '127.0.0.1', 81)).to.equal(false);
    expect(collides(at('0.0.0.0'), '127.0.0.2', 80)).to.equal(true);
    expect(collides(at('127.0.0.2'), '0.0.0.0', 80)).to.equal(true);
    expect(collides(at('::'), '127.0.0.2', 80)).to.equal(true);
  });

  it('finds this very process behind its own port', async function () {
    if (process.platform !== 'linux') this.skip();
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const found = listeners().filter((listener) => collides(listener, '127.0.0.1', port));
    expect(found.map((listener) => holderOf(listener)?.pid)).to.deep.equal([process.pid]);
    expect(await accepts('127.0.0.1', port)).to.equal(true);
    server.close();
    await once(server, 'close');
    expect(await accepts('127.0.0.1', port)).to.equal(false);
  });
});

describe('run/process: program', () => {
  it('is found along the PATH, or by its path from the working directory', () => {
    const nodeDirectory = dirname(process.execPath);
    expect(findProgram('node', '/', nodeDirectory)).to.deep.equal({ file: process.execPath });
    expect(findProgram('./node', nodeDirectory, '')).to.deep.equal({ file: process.execPath });
    expect(findProgram('no-such-thing', '/', '/bin:/usr/bin')).to.deep.equal({ error: 'there is no command no-such-thing on the PATH' });
    expect(findProgram('./no-such-thing', '/tmp', '')).to.deep.equal({ error: 'there is no file /tmp/no-such-thing' });
    expect(findProgram('/etc/passwd', '/', '')).to.deep.equal({ error: '/etc/passwd is not executable' });
    expect(findProgram('node', '/no/such/directory', nodeDirectory))
      .to.have.property('error')
      .that.includes('/no/such/directory');
  });

  it('misses the script of a node command', () => {
    const here = dirname(fileURLToPath(import.meta.url));
    expect(missingScript(['node', 'gone.mjs'], here)).to.include('gone.mjs');
    expect(missingScript(['node', 'port-holder.test.ts'], here)).to.equal(null);
    expect(missingScript(['node', '-e', '1'], here)).to.equal(null);
    expect(missingScript(['python', 'gone.py'], here)).to.equal(null);
  });
});
