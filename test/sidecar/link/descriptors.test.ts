// A sidecar that runs out of file descriptors : it sheds connections, and serves again when there are some.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import { expect } from 'chai';
import { until } from '../../support/until.ts';

const SCRIPT = path.resolve(import.meta.dirname, '../../support/relay-process.ts');
/** Node itself has about 20 of them, a relayed connection takes two. */
const DESCRIPTORS = 64;
const CLIENTS = 100;

describe('a sidecar without file descriptors', () => {
  let app: net.Server;
  let child: ChildProcess;
  let port: number;
  const sockets = new Set<net.Socket>();

  before(async () => {
    app = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve));
    const command = `ulimit -n ${DESCRIPTORS} && exec "$0" "$@"`;
    const args = ['-c', command, process.execPath, SCRIPT, `${(app.address() as net.AddressInfo).port}`];
    child = spawn('/bin/sh', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    port = Number(`${(await once(child.stdout!, 'data'))[0]}`);
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    child.kill();
    app.close();
  });

  /** A connection that sends one octet. @returns what has become of it so far */
  function client(): { state: () => 'waiting' | 'served' | 'shed' } {
    let state: 'waiting' | 'served' | 'shed' = 'waiting';
    const socket = net.connect({ host: '127.0.0.1', port }, () => socket.write('x'));
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', () => (state = 'served'));
    socket.on('close', () => {
      sockets.delete(socket);
      if (state === 'waiting') state = 'shed';
    });
    return { state: () => state };
  }

  it('serves some connections, sheds the rest, and serves all when those have gone', async () => {
    const clients = Array.from({ length: CLIENTS }, client);
    await until(() => clients.every(({ state }) => state() !== 'waiting'), 'each is served or shed');
    const served = clients.filter(({ state }) => state() === 'served').length;
    expect(served).to.be.within(1, DESCRIPTORS / 2);
    for (const socket of sockets) socket.destroy();
    await until(async () => {
      const late = client();
      await until(() => late.state() !== 'waiting', 'an outcome');
      return late.state() === 'served';
    }, 'it serves again');
    expect(child.exitCode).to.equal(null);
  });
});
