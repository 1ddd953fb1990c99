// Connections to endpoints: what the kernel does for them while they are silent.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import type { ByteStream } from '#sidecar/accept/byte-stream.ts';
import { dial } from '#sidecar/forward/dial.ts';
import { newClock } from '#sidecar/http2/clock.ts';
import { until } from '#test/support/until.ts';

/** The timer of an idle connection as /proc/net/tcp names it (Documentation/networking/proc_net_tcp.rst): 2 is keepalive. */
function timerOf(localPort: number): string | undefined {
  const port = localPort.toString(16).toUpperCase().padStart(4, '0');
  const row = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, local]) => local?.endsWith(`:${port}`));
  return row?.[5]?.split(':')[0];
}

describe('dial', () => {
  it('has the kernel ask whether a silent endpoint is still there (T101)', async function () {
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
      await until(() => timerOf(stream.socket.localPort!) === '02', 'the keepalive timer runs', 2000);
    } finally {
      stream.destroy();
      for (const socket of accepted) socket.destroy();
      server.close();
    }
  });
});
