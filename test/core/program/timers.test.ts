// The system's timers in a process that was held up.
import net, { type AddressInfo } from 'node:net';
import { expect } from 'chai';
import { systemTimers } from '#core/program/timers.ts';

describe('core/program: system timers', () => {
  it('that fire late let what has arrived be read first', async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
    const client = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
    const socket = await accepted;
    const seen: string[] = [];
    socket.on('data', () => seen.push('octets'));
    const fired = new Promise<void>((resolve) => {
      systemTimers.after(20, () => {
        seen.push('timer');
        resolve();
      });
    });
    // The octets are in the kernel before the process looks again, and the timer is long due.
    client.write('x');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    await fired;
    client.destroy();
    socket.destroy();
    server.close();
    expect(seen).to.deep.equal(['octets', 'timer']);
  });

  it('can be stopped when they have fired late and not run yet', async () => {
    let runs = 0;
    const stop = systemTimers.after(1, () => runs++);
    setTimeout(() => stop(), 1);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(runs).to.equal(0);
  });
});
