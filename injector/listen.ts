// A server listens, or says why it cannot.
import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';

/** @param host empty: all addresses. @returns the port, also where 0 was asked for. @throws the system's error when the address is taken */
export async function listenOn(server: Server | SecureServer, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host !== '' && { host }) }, () => {
      server.off('error', reject);
      // Of single connections that could not be taken, such as for want of file descriptors.
      server.on('error', () => {});
      resolve();
    });
  });
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
