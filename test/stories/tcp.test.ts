// What is not HTTP passes as TCP, over mTLS between sidecars all the same.
import net from 'node:net';
import { expect } from 'chai';
import { TestMesh } from '../support/mesh.ts';

describe('octets that are not HTTP', () => {
  let mesh: TestMesh;
  let app: net.Server;
  const received: string[] = [];

  before(async () => {
    mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['echo', 'gone', 'mixed'] },
        { name: 'server', serves: true },
        { name: 'leaving', serves: true },
      ],
      declared: false,
      services: { echo: ['server'], gone: ['leaving'], mixed: ['server', 'leaving'] },
    });
    app = net.createServer({ allowHalfOpen: true }, (socket) => {
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      // Answers only after the client's FIN: half-close has to pass.
      socket.on('end', () => {
        received.push(text);
        socket.end(`got ${text.length}`);
      });
    });
    const at = mesh.appAddress('server');
    await new Promise<void>((resolve) => app.listen(at.port, at.host, resolve));
  });

  after(async () => {
    app.close();
    await mesh.close();
  });

  /** Sends octets and FIN. @returns what came back until the other side's FIN, or the error's code */
  function exchange(service: string, octets: string): Promise<string> {
    const at = mesh.address('caller', service);
    return new Promise((resolve) => {
      let text = '';
      const socket = net.connect({ ...at, allowHalfOpen: true }, () => socket.end(octets));
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on('close', () => resolve(text));
    });
  }

  /** Calls and connections under way to a backend, as the caller's sidecar counts them. */
  async function inFlight(backend: string): Promise<number[]> {
    const { backends } = (await mesh.dump('caller')) as unknown as { backends: { backend: string; endpoints: { inFlight: number }[] }[] };
    return backends
      .filter((entry) => entry.backend.includes(backend))
      .flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.inFlight));
  }

  it('reach the application and come back, half-closed', async () => {
    const text = 'EHLO octets\r\n'.repeat(5000);
    expect(await exchange('echo', text)).to.equal(`got ${text.length}`);
    expect(received).to.deep.equal([text]);
    // Less than a line, with its end right behind it: nothing is lost, and nothing follows the end.
    expect(await exchange('echo', 'hello')).to.equal('got 5');
    expect(await inFlight('echo')).to.deep.equal([0]);
  });

  it('are refused when no sidecar answers, and the balance is left even', async () => {
    await mesh.stopSidecar('leaving');
    expect(await exchange('gone', 'hello there')).to.not.include('got');
    expect(await inFlight('gone')).to.deep.equal([0]);
  });

  it('go to another endpoint when one cannot be connected to, because nothing was sent', async () => {
    for (let i = 0; i < 8; i++) expect(await exchange('mixed', 'hello')).to.equal('got 5');
    expect(await mesh.metric('caller', 'weft_proxy_errors_total{error="connect_failed"}')).to.be.greaterThan(1);
    expect(await inFlight('mixed')).to.deep.equal([0, 0]);
  });
});

describe('a server that speaks first on an opaque port', () => {
  it('is heard at once: neither sidecar waits for what the client says', async () => {
    const mesh = await TestMesh.start({
      pods: [
        { name: 'caller', calls: ['db'] },
        { name: 'server', serves: true },
      ],
      services: { db: ['server'] },
      opaquePorts: '8000-8100',
    });
    const app = net.createServer((socket) => socket.end('220 hello'));
    const { host, port } = mesh.appAddress('server');
    await new Promise<void>((resolve) => app.listen(port, host, resolve));
    try {
      const heard = await new Promise<string>((resolve) => {
        let text = '';
        const socket = net.connect(mesh.address('caller', 'db'));
        socket.on('data', (chunk) => (text += chunk)).on('close', () => resolve(text));
      });
      expect(heard).to.equal('220 hello');
      expect(await mesh.metric('caller', 'weft_protocol_detections_total{direction="outbound",outcome="assumed"}')).to.equal(1);
      expect(await mesh.metric('server', 'weft_protocol_detections_total{direction="inbound",outcome="tls"}')).to.equal(1);
    } finally {
      app.close();
      await mesh.close();
    }
  });
});
