// How many connections a server of ours holds, so that one that fills it up keeps no other out: not the API server, not
// the kubelet's probes. Each of these is called once, before the server listens.
import type { IncomingMessage, Server } from 'node:http';

type Socket = IncomingMessage['socket'];

/**
 * Past `most` connections the oldest of all goes, not the newest: that one may be the kubelet's probe, which would have
 * us restarted.
 */
export function dropOldest(server: Server, most: number): void {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size > most) for (const oldest of open) return void oldest.destroy();
  });
}

/** Past `most` connections the address that has the most of them loses its oldest. */
export function dropOldestOfGreediest(server: Server, most: number): void {
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

/** New connections are refused past `most` of all, and past `mostOfOne` of their address. */
export function refuseBeyond(server: Server, most: number, mostOfOne: number): void {
  const open = new Map<string, number>();
  server.maxConnections = most;
  server.on('connection', (socket: Socket) => {
    const { remoteAddress: from = '' } = socket;
    const count = open.get(from) ?? 0;
    if (count >= mostOfOne) return void socket.destroy();
    open.set(from, count + 1);
    socket.once('close', () => {
      const left = open.get(from)! - 1;
      if (left === 0) open.delete(from);
      else open.set(from, left);
    });
  });
}
