// How many connections a server holds, so that whoever fills it up keeps nobody else out: not the API server, not the kubelet's probes.
import type { IncomingMessage, Server } from 'node:http';

type Socket = IncomingMessage['socket'];

/** From now on, past `most` connections the address that has the most of them loses its oldest. */
export function boundConnections(server: Server, most: number): void {
  const open = new Map<string, Set<Socket>>();
  let count = 0;
  server.on('connection', (socket: Socket) => {
    const from = socket.remoteAddress ?? '';
    const own = open.get(from) ?? new Set();
    open.set(from, own.add(socket));
    count++;
    socket.once('close', () => {
      own.delete(socket);
      count--;
      if (own.size === 0 && open.get(from) === own) open.delete(from);
    });
    if (count <= most) return;
    const [greediest] = [...open.values()].reduce((a, b) => (b.size > a.size ? b : a));
    greediest.destroy();
  });
}
