// A port for a program that cannot report which one the kernel gave it.
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';

/** Numbers of `count` ports of 127.0.0.1 that are free now; another program may take one before its owner does. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
