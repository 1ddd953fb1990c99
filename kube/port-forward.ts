// A way to a pod's port from a person's machine: a port of 127.0.0.1 whose connections the API server carries. Only the
// CLI needs it.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { PortForward } from '@kubernetes/client-node/dist/portforward.js';
import { loadKubeconfig } from './kubeconfig.ts';

export interface PortForwardOptions {
  /** As in connectKube; default ~/.kube/config. */
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
  readonly pod: string;
  /** A port of the pod; also one that it listens on for loopback only. */
  readonly port: number;
}

export interface OpenPortForward {
  /** Of 127.0.0.1. */
  readonly localPort: number;
  /** Why the last connection failed; '': none has. A failed connection is closed without an answer. */
  lastError(): string;
  close(): void;
}

/**
 * Opens the local port. The pod is first spoken to when something connects.
 * @throws Error when the kubeconfig cannot be read
 */
export async function openPortForward(options: PortForwardOptions): Promise<OpenPortForward> {
  const { namespace, pod, port } = options;
  const config = loadKubeconfig(options.kubeconfig || join(homedir(), '.kube', 'config'), options.context);
  const forward = new PortForward(config);
  const open = new Set<Socket>();
  let lastError = '';

  const carry = async (socket: Socket): Promise<void> => {
    const failed = (why: string): void => {
      lastError = `port ${port} of pod ${namespace}/${pod}: ${why}`;
      socket.destroy();
    };
    const said = new Writable({
      write(chunk: Buffer, _encoding, done) {
        // The first message of the channel only repeats the port, and arrives here empty.
        if (chunk.length > 0) failed(chunk.toString('utf8').trim());
        done();
      },
    });
    try {
      const channel = await forward.portForward(namespace, pod, [port], socket, said, socket);
      if (typeof channel === 'function') return;
      if (socket.destroyed) return channel.close();
      channel.onclose = () => socket.end();
      channel.onerror = (event: { message: string }) => failed(event.message);
      socket.on('close', () => channel.close());
    } catch (error) {
      failed((error as Error).message);
    }
  };

  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    void carry(socket);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    localPort: (server.address() as AddressInfo).port,
    lastError: () => lastError,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
