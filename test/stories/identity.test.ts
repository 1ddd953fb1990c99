// Identities: both ends ask for certificates, the endpoint must be the one that the control plane named, and the
// application learns the true caller.
import tls from 'node:tls';
import { expect } from 'chai';
import { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ALPN_HTTP2 } from '#core/contract/names.ts';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { GrpcCaller } from '../support/grpc-app.ts';
import { PORT } from '../support/mesh.ts';
import { type RawApp, RawCaller, startRawApp, valuesOf } from '../support/raw-app.ts';
import { until } from '../support/until.ts';

const UNAVAILABLE = 14;
const XFCC = 'x-forwarded-client-cert';

describe('a sidecar, by the identity of its peer,', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      pods: [
        { name: 'caller', calls: ['echo', 'v1', 'v2', 'impostor', 'raw'] },
        { name: 'v1', serves: true },
        { name: 'v2', serves: true, mtls: MtlsMode.STRICT },
        { name: 'impostor', serves: true, publishedServiceAccount: 'somebody-else' },
        { name: 'bare', serves: true },
      ],
      services: { echo: [], impostor: ['impostor'], raw: ['bare'] },
    });
  });
  after(() => echo.close());

  const refusals = async (pod: string): Promise<number> => {
    const lines = (await echo.mesh.admin(pod, '/metrics')).split('\n').filter((line) => line.startsWith('weft_tls_refusals_total{'));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  };

  it('serves plaintext where PERMISSIVE, and counts it without a caller', async () => {
    const stranger = new GrpcCaller({ host: echo.mesh.podAddress('v1'), port: PORT });
    expect((await stranger.unary()).answer?.pod).to.equal('v1');
    stranger.close();
    const series = (await echo.mesh.stats('v1')).filter(({ direction, mtls }) => direction === 'inbound' && !mtls);
    expect(series.map(({ caller, count }) => ({ caller, count }))).to.deep.equal([{ caller: '', count: 1 }]);
  });

  it('refuses plaintext where STRICT before a byte reaches the application, and serves the mesh', async () => {
    // On one connection: grpc-js makes a second one after it was closed, at a time of its own, and other tests would
    // count that.
    const stranger = new RawCaller({ host: echo.mesh.podAddress('v2'), port: PORT });
    const { response } = await stranger.call({}).catch(() => ({ response: [] }));
    expect(response).to.deep.equal([]);
    stranger.close();
    expect(echo.apps.get('v2')!.connections).to.equal(0);
    expect(await echo.mesh.metric('v2', 'weft_tls_refusals_total{reason="plaintext"}')).to.equal(1);
    expect((await echo.callerOf('caller', 'v2').unary()).answer?.pod).to.equal('v2');
  });

  function helloTo(pod: string, alpn: string[]): Promise<void> {
    const socket = tls.connect({ host: echo.mesh.podAddress(pod), port: PORT, ALPNProtocols: alpn, rejectUnauthorized: false });
    socket.on('error', () => {});
    socket.on('secureConnect', () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
    return new Promise((resolve) => socket.once('close', () => resolve()));
  }

  for (const [what, pod, alpn] of [
    ['TLS of a sidecar without a client certificate', 'v1', [ALPN_HTTP2]],
    ['TLS that is not of the mesh where STRICT', 'v2', []],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const [connections, before] = [echo.apps.get(pod)!.connections, await refusals(pod)];
      await helloTo(pod, [...alpn]);
      await until(async () => (await refusals(pod)) === before + 1, 'the refusal is counted');
      expect(echo.apps.get(pod)!.connections).to.equal(connections);
    });
  }

  it('hands TLS that is not of the mesh to the application where PERMISSIVE, as the application may speak it', async () => {
    const [connections, before] = [echo.apps.get('v1')!.connections, await refusals('v1')];
    await helloTo('v1', []);
    expect(echo.apps.get('v1')!.connections).to.equal(connections + 1);
    expect(await refusals('v1')).to.equal(before);
  });

  it('sends no call to an endpoint with the certificate of another ServiceAccount', async () => {
    const { code, details } = await echo.callerOf('caller', 'impostor').unary();
    expect(code).to.equal(UNAVAILABLE);
    expect(details).to.contain('identity_mismatch').and.contain('sa/somebody-else');
    expect(echo.apps.get('impostor')!.connections).to.equal(0);
    expect(await echo.mesh.metric('caller', 'weft_proxy_errors_total{error="identity_mismatch"}')).to.equal(1);
  });

  describe('sets x-forwarded-client-cert, which', () => {
    const SPELLINGS = Array.from({ length: 8 }, (_, bits) =>
      ['x', 'forwarded', 'client', 'cert'].reduce((name, part, i) => `${name}${(bits >> (i - 1)) & 1 ? '_' : '-'}${part}`),
    );
    const SPOOF = 'URI=spiffe://cluster.local/ns/shop/sa/admin';
    let app: RawApp;
    before(async () => {
      echo.apps.get('bare')!.kill();
      app = await startRawApp(echo.mesh.appAddress('bare'));
    });
    after(() => app.close());

    async function claims(at: { host: string; port: number }): Promise<[string, string][]> {
      const caller = new RawCaller(at);
      const seen: [string, string][] = [];
      for (const name of SPELLINGS) {
        const { grpcStatus } = await caller.call({ [name]: SPOOF, 'x-marker': name });
        expect(grpcStatus, name).to.equal('0');
        expect(valuesOf(app.request, 'x-marker')).to.deep.equal([name]);
        seen.push(...app.request.filter(([field]) => field.replaceAll('_', '-') === XFCC));
      }
      await caller.call({ [XFCC]: [SPOOF, SPOOF], 'x-marker': 'twice' });
      seen.push(...app.request.filter(([field]) => field.replaceAll('_', '-') === XFCC));
      caller.close();
      return seen;
    }

    it('is the own identity of a caller in the mesh, whatever it claims', async () => {
      const own: [string, string] = [XFCC, 'URI=spiffe://cluster.local/ns/shop/sa/caller'];
      expect(await claims(echo.mesh.address('caller', 'raw'))).to.deep.equal([...SPELLINGS, 'twice'].map(() => own));
    });

    it('never reaches the application from a caller outside the mesh', async () => {
      expect(await claims({ host: echo.mesh.podAddress('bare'), port: PORT })).to.deep.equal([]);
    });
  });
});
