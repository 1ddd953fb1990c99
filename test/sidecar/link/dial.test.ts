// Connections to endpoints: what the kernel does for them while they are silent.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { expect } from 'chai';
import { newClock } from '#sidecar/http/clock.ts';
import type { ByteStream } from '#sidecar/link/byte-stream.ts';
import { dial } from '#sidecar/link/dial.ts';
import { until } from '../../support/until.ts';

/**
 * The timer of an idle connection as /proc/net/tcp names it (Documentation/networking/proc_net_tcp.rst): 2 is
 * keepalive. Both ends name the connection: other programs' connections to other places may have the same local port.
 */
function timerOf({ localPort, remotePort }: net.Socket): string | undefined {
  const loopback = (port?: number): string => `0100007F:${port!.toString(16).toUpperCase().padStart(4, '0')}`;
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local, remote]) => local === loopback(localPort) && remote === loopback(remotePort));
  return row?.[5]?.split(':')[0];
}

describe('dial', () => {
  it('has the kernel ask whether a silent endpoint is still there', async function () {
    if (process.platform !== 'linux') return this.skip();
    const accepted: net.Socket[] = [];
    const server = net.createServer((socket) => accepted.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const target = { address: '127.0.0.1', port: (server.address() as net.AddressInfo).port, identity: '' };
    const credentials = { tlsClientContext: () => null, trustDomain: () => 'cluster.local' };
    const stream = await new Promise<ByteStream>((resolve, reject) =>
      dial(
        target,
        '',
        credentials,
        newClock(() => 0),
        Date.now,
        { onOpen: resolve, onError: (_, detail) => reject(new Error(detail)) },
      ),
    );
    try {
      await until(() => timerOf(stream.socket) === '02', 'the keepalive timer runs');
    } finally {
      stream.destroy();
      for (const socket of accepted) socket.destroy();
      server.close();
    }
  });

  it('waits as long as its caller says, because the world outside may need more than a second', async function () {
    if (process.platform !== 'linux') return this.skip();
    // A listener whose queue is full answers no SYN at all.
    const script =
      "require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { console.log(this.address().port) })";
    const deaf = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(deaf.stdout, 'data')) as [Buffer];
    const port = Number(line.toString());
    deaf.kill('SIGSTOP');
    const fillers = Array.from({ length: 6 }, () => net.connect({ host: '127.0.0.1', port }));
    for (const filler of fillers) filler.on('error', () => {});
    try {
      await until(() => fillers.filter(({ connecting }) => !connecting).length >= 2, 'the queue is full');
      const credentials = { tlsClientContext: () => null, trustDomain: () => 'cluster.local' };
      const failure = await new Promise<string>((resolve) => {
        const target = { address: '127.0.0.1', port, identity: '', connectTimeoutMs: 200 };
        const result = { onOpen: () => resolve('open'), onError: (_: unknown, detail: string) => resolve(detail) };
        dial(
          target,
          '',
          credentials,
          newClock(() => 0),
          Date.now,
          result,
        );
      });
      expect(failure).to.equal(`127.0.0.1:${port}: no TCP connection within 0.2 s`);
    } finally {
      for (const filler of fillers) filler.destroy();
      deaf.kill('SIGKILL');
    }
  });
});
