// Port-forward over the API server's WebSocket, with a server that speaks just enough of it: channel 0 is the data,
// channel 1 the error.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect } from 'chai';
import { openPortForward } from '#kube/port-forward.ts';

const WEBSOCKET_ID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const PORT = 15014;

/** A binary frame of the server (RFC 6455 §5.2). */
function frame(channel: number, data: Buffer | string): Buffer {
  const payload = Buffer.concat([Buffer.from([channel]), Buffer.from(data as string)]);
  return Buffer.concat([Buffer.from([0x82, payload.length]), payload]);
}

/** The payload of a client's short frame, unmasked. */
function payloadOf(bytes: Buffer): Buffer {
  const length = bytes[1] & 0x7f;
  return Buffer.from(bytes.subarray(6, 6 + length).map((octet, i) => octet ^ bytes[2 + (i % 4)]));
}

describe('kube port-forward', () => {
  let api: Server;
  let directory: string;
  let kubeconfig: string;
  let asked: string[];
  let refusal: string | null;
  let onData: (stream: Duplex, data: Buffer) => void;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'weft-forward-'));
    api = createServer();
    api.on('upgrade', (request, stream) => {
      asked.push(request.url!);
      if (refusal !== null) return stream.end(refusal);
      const accept = createHash('sha1')
        .update(request.headers['sec-websocket-key'] + WEBSOCKET_ID)
        .digest('base64');
      stream.write(
        'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
          `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n`,
      );
      const port = Buffer.alloc(2);
      port.writeUInt16LE(PORT);
      stream.write(frame(0, port));
      stream.write(frame(1, port));
      stream.on('data', (bytes: Buffer) => {
        // A close frame needs no answer here.
        if ((bytes[0] & 0x0f) === 2) onData(stream, payloadOf(bytes));
      });
      stream.on('error', () => {});
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    kubeconfig = join(directory, 'config');
    const server = `http://127.0.0.1:${(api.address() as net.AddressInfo).port}`;
    const config = {
      clusters: [{ name: 'c', cluster: { server } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
  });
  after(() => {
    api.close();
    api.closeAllConnections();
    rmSync(directory, { recursive: true });
  });
  beforeEach(() => {
    asked = [];
    refusal = null;
  });

  /** What one connection to the local port is sent in answer. */
  async function talk(localPort: number, say: string): Promise<string> {
    const socket = net.connect(localPort, '127.0.0.1');
    socket.write(say);
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
      socket.end();
    });
    socket.on('error', () => {});
    await new Promise((resolve) => socket.on('close', resolve));
    return answer;
  }

  it('carries what is said to the pod and what it answers', async () => {
    onData = (stream, data) => void stream.write(frame(0, `heard ${data.subarray(1)}`));
    const forward = await openPortForward({ kubeconfig, namespace: 'weft-system', pod: 'weft-control-plane-1', port: PORT });
    try {
      expect(await talk(forward.localPort, 'hello')).to.equal('heard hello');
      expect(await talk(forward.localPort, 'again')).to.equal('heard again');
      expect(asked[0]).to.equal(`/api/v1/namespaces/weft-system/pods/weft-control-plane-1/portforward?ports=${PORT}`);
      expect(forward.lastError()).to.equal('');
    } finally {
      forward.close();
    }
  });

  it('a pod that does not listen, and an API server that refuses: the connection ends, and why can be asked', async () => {
    onData = (stream) => void stream.write(frame(1, 'connection refused'));
    const forward = await openPortForward({ kubeconfig, namespace: 'n', pod: 'p', port: PORT });
    try {
      expect(await talk(forward.localPort, 'hello')).to.equal('');
      expect(forward.lastError()).to.equal(`port ${PORT} of pod n/p: connection refused`);
      refusal = 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n';
      expect(await talk(forward.localPort, 'hello')).to.equal('');
      expect(forward.lastError()).to.contain('403');
    } finally {
      forward.close();
    }
  });
});
