// How many connections a server of ours holds, so that a peer that fills it up keeps no other out: not the API server,
// not the kubelet's probes. The peer that has the most pays.
import type { Server } from 'node:net';

/** What is kept of a connection; a socket is one. */
export interface Closable {
  destroy(): unknown;
}

/**
 * Connections by their owner, such as an address. A newcomer always comes in: past `mostOfOne` its owner loses its
 * oldest, past `most` of all the owner that has the most does, among equals the one that came first.
 */
export class OwnedConnections {
  private readonly most: number;
  private readonly mostOfOne: number;
  private readonly byOwner = new Map<string, Set<Closable>>();
  private count = 0;

  constructor(most: number, mostOfOne = most) {
    this.most = most;
    this.mostOfOne = mostOfOne;
  }

  get size(): number {
    return this.count;
  }

  /** Takes a connection in, and destroys the one that has to go for it. */
  add(owner: string, connection: Closable): void {
    const own = this.byOwner.get(owner) ?? new Set();
    this.byOwner.set(owner, own.add(connection));
    this.count++;
    if (own.size > this.mostOfOne) this.dropOldest(owner, own);
    else if (this.count > this.most) this.dropOldest(...this.greediest());
  }

  /** It is closed, or has another owner from now on. */
  remove(owner: string, connection: Closable): void {
    const own = this.byOwner.get(owner);
    if (own === undefined || !own.delete(connection)) return;
    this.count--;
    if (own.size === 0) this.byOwner.delete(owner);
  }

  private dropOldest(owner: string, own: Set<Closable>): void {
    const [oldest] = own;
    this.remove(owner, oldest);
    oldest.destroy();
  }

  private greediest(): [string, Set<Closable>] {
    let greediest: [string, Set<Closable>] | undefined;
    for (const entry of this.byOwner) if (greediest === undefined || entry[1].size > greediest[1].size) greediest = entry;
    return greediest!;
  }
}

/** Bounds a server's connections, all and those of one address, as OwnedConnections says. Call it before it listens. */
export function shedGreediest(server: Server, most: number, mostOfOne = most): void {
  const open = new OwnedConnections(most, mostOfOne);
  server.on('connection', (socket) => {
    const owner = socket.remoteAddress ?? '';
    open.add(owner, socket);
    socket.once('close', () => open.remove(owner, socket));
  });
}
