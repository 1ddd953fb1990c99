// What a real TLS client sends first.
import net from 'node:net';
import tls from 'node:tls';

/** The first flight of a client that offers these protocols (none: without ALPN). */
export async function clientHello(protocols: string[], options: tls.ConnectionOptions = {}): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  return new Promise((resolve) => {
    server.on('connection', (socket) => {
      const parts: Buffer[] = [];
      socket.on('error', () => {});
      socket.on('data', (data) => {
        parts.push(data);
        const octets = Buffer.concat(parts);
        if (octets.length < 5 || octets.length < 5 + octets.readUInt16BE(3)) return;
        socket.destroy();
        server.close();
        resolve(octets);
      });
    });
    const client = tls.connect({ host: '127.0.0.1', port, ALPNProtocols: protocols, rejectUnauthorized: false, ...options });
    client.on('error', () => {});
  });
}
