// Identity and routes are not passed by: a client that is slow or silent with its preface is served as HTTP/2 or not
// at all, from the mesh and from outside.
import net from 'node:net';
import { expect } from 'chai';
import { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { HTTP2_PREFACE } from '#sidecar/http/preface.ts';
import { PORT, TestMesh } from '../support/mesh.ts';
import { type RawApp, startRawApp, valuesOf } from '../support/raw-app.ts';
import { headerOf, headers, RawPeer, request, settings } from '../support/raw-peer.ts';
import { grpcRoute } from '../support/routes.ts';
import { until } from '../support/until.ts';

const XFCC = 'x-forwarded-client-cert';
const CALL = headers(1, request('/a.B/C', [XFCC, 'URI=spiffe://cluster.local/ns/shop/sa/admin']), true);
const OWN = 'URI=spiffe://cluster.local/ns/shop/sa/caller';

/** Has not ended, and nothing ends it: what is sent in the meantime goes where it goes. */
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function connect(at: { host: string; port: number }): Promise<RawPeer> {
  const socket = net.connect(at);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const peer = new RawPeer(socket, false);
  peer.polite = false;
  return peer;
}

async function silentCall(at: { host: string; port: number }, pauseMs: number): Promise<string | undefined> {
  const peer = await connect(at);
  await pause(pauseMs);
  peer.write(HTTP2_PREFACE, settings(), CALL);
  const end = await peer.end(1);
  peer.socket.destroy();
  return headerOf(end.headers, 'grpc-status') ?? 'none';
}

for (const [name, mode] of [
  ['PERMISSIVE', MtlsMode.PERMISSIVE],
  ['STRICT', MtlsMode.STRICT],
] as const) {
  describe(`identity, where ${name} and nothing is declared,`, () => {
    let mesh: TestMesh;
    let app: RawApp;
    before(async () => {
      mesh = await TestMesh.start({
        pods: [
          { name: 'server', serves: true, mtls: mode },
          { name: 'caller', calls: ['server'] },
        ],
        services: { server: ['server'] },
        declared: false,
      });
      app = await startRawApp(mesh.appAddress('server'));
    });
    after(async () => {
      app.close();
      await mesh.close();
    });
    beforeEach(() => {
      app.request = [];
    });

    it('is that of a meshed client that is silent for longer than detection waits', async () => {
      expect(await silentCall(mesh.address('caller', 'server'), 900)).to.equal('0');
      expect(valuesOf(app.request, XFCC)).to.deep.equal([OWN]);
    });

    it('is nothing of a stranger that is silent for longer than detection waits', async () => {
      const answer = await silentCall({ host: mesh.podAddress('server'), port: PORT }, 900).catch(() => 'closed');
      expect(answer).to.equal(mode === MtlsMode.STRICT ? 'closed' : '0');
      expect(valuesOf(app.request, XFCC)).to.deep.equal([]);
    });

    for (const octets of [1, 4, 23]) {
      it(`is not to be forged with ${octets} octets of the preface and the rest late`, async () => {
        for (const at of [mesh.address('caller', 'server'), { host: mesh.podAddress('server'), port: PORT }]) {
          const peer = await connect(at);
          peer.write(HTTP2_PREFACE.subarray(0, octets));
          await peer.closed;
          expect(peer.frames).to.deep.equal([]);
        }
        expect(app.request).to.deep.equal([]);
        expect(await mesh.metric('caller', 'weft_proxy_errors_total{error="not_http2"}')).to.be.greaterThan(0);
      });
    }
  });
}

describe('a server that speaks first', () => {
  it('is heard through the mesh, and a late preface does not pass to it', async () => {
    const mesh = await TestMesh.start({
      pods: [
        { name: 'server', serves: true },
        { name: 'caller', calls: ['server'] },
      ],
      services: { server: ['server'] },
      declared: false,
    });
    const heard: Buffer[] = [];
    const app = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (octets) => heard.push(octets));
      socket.write('220 hello');
    });
    const { host, port } = mesh.appAddress('server');
    await new Promise<void>((resolve) => app.listen(port, host, resolve));
    try {
      for (const at of [mesh.address('caller', 'server'), { host: mesh.podAddress('server'), port: PORT }]) {
        const socket = net.connect(at);
        const greeting = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
        expect(`${greeting}`).to.equal('220 hello');
        const closed = new Promise((resolve) => socket.once('close', resolve));
        socket.on('error', () => {});
        socket.resume();
        socket.write(HTTP2_PREFACE);
        await closed;
      }
      expect(heard).to.deep.equal([]);
    } finally {
      app.close();
      await mesh.close();
    }
  });
});

describe('a route', () => {
  for (const declared of [true, false]) {
    it(`holds for a silent client, and for octets that are not HTTP/2, where the port is ${declared ? '' : 'not '}declared`, async () => {
      const only = { matches: [{ method: { service: 'only.Other' } }], backendRefs: [{ name: 'echo', port: PORT }] };
      const mesh = await TestMesh.start({
        pods: [
          { name: 'server', serves: true },
          { name: 'caller', calls: ['echo'] },
        ],
        services: { echo: ['server'] },
        routes: [grpcRoute([only])],
        declared,
      });
      mesh.setTelemetry('caller', { accessLog: 'all' });
      await mesh.settled();
      let reached = 0;
      const app = net.createServer((socket) => socket.on('error', () => {}).once('data', () => reached++));
      const { host, port } = mesh.appAddress('server');
      await new Promise<void>((resolve) => app.listen(port, host, resolve));
      try {
        const at = mesh.address('caller', 'echo');
        expect(await silentCall(at, 0)).to.equal('12');
        expect(await silentCall(at, 900)).to.equal('12');
        // HTTP/1.1 meets the routes as HTTP/2 does, and octets do not pass.
        expect((await fetch(`http://${at.host}:${at.port}/a.B/C`, { method: 'POST' })).status).to.equal(404);
        const peer = await connect(at);
        peer.write(Buffer.from('EHLO x\r\n'));
        await peer.closed;
        expect(reached).to.equal(0);
        expect(await mesh.metric('caller', 'weft_proxy_errors_total{error="not_http2"}')).to.equal(1);
        await until(() => mesh.accessLog('caller').some(({ flags }) => JSON.stringify(flags) === '["not_http2"]'), 'it is logged');
      } finally {
        app.close();
        await mesh.close();
      }
    });
  }
});
