// The access log of real sidecars: which lines are written, what they say, and how that changes while calls run.
import { expect } from 'chai';
import { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { TestMesh } from '../support/mesh.ts';
import { RawCaller } from '../support/raw-app.ts';
import { type RawMesh, startRawMesh } from '../support/raw-mesh.ts';
import { grpcRoute, to } from '../support/routes.ts';
import { until } from '../support/until.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

describe('access log', () => {
  let raw: RawMesh;
  let mesh: TestMesh;
  let caller: RawCaller;

  before(async () => {
    raw = await startRawMesh({
      pods: [
        { name: 'caller', calls: ['echo'] },
        { name: 'v1', serves: true, mtls: MtlsMode.STRICT },
      ],
      routes: [grpcRoute([{ name: 'echoes', matches: [{ method: { service: 'test.Echo' } }], backendRefs: [to('v1')] }])],
    });
    ({ mesh, caller } = raw);
  });
  after(() => raw.close());

  const logs = (pod: string, accessLog: string) => raw.useTelemetry(pod, { accessLog });

  it('is off until the control plane asks for it', async () => {
    await caller.call({});
    expect(mesh.accessLog('caller')).to.deep.equal([]);
  });

  it('says what became of a call, at both ends', async () => {
    await logs('caller', 'all');
    await logs('v1', 'all');
    await caller.call({ traceparent: `00-${TRACE}-00f067aa0ba902b7-01`, 'user-agent': 'curl' });
    await until(() => mesh.accessLog('v1').length === 1, 'the callee has logged it');
    const [client] = mesh.accessLog('caller');
    expect(client).to.include({
      direction: 'outbound',
      caller: 'shop/caller',
      service: 'shop/echo:8080',
      route: 'GRPCRoute/shop/echo',
      rule: 'echoes',
      backend: 'shop/v1:8080',
      method: 'test.Echo/Unary',
      code: 'OK',
      mtls: true,
      trace_id: TRACE,
      user_agent: 'curl',
      peer_identity: 'spiffe://cluster.local/ns/shop/sa/v1',
    });
    expect(client.flags).to.deep.equal([]);
    const [server] = mesh.accessLog('v1');
    expect(server).to.include({ direction: 'inbound', caller: 'spiffe://cluster.local/ns/shop/sa/caller', code: 'OK', trace_id: TRACE });
  });

  it('writes only failed calls, with their reasons, where `errors` is asked for', async () => {
    await logs('caller', 'errors');
    const before = mesh.accessLog('caller').length;
    await caller.call({});
    await caller.call({}, '/another.Service/Method');
    const lines = mesh.accessLog('caller').slice(before);
    expect(lines).to.have.length(1);
    expect(lines[0]).to.include({ code: 'Unimplemented', method: 'another.Service/Method' });
    expect(lines[0].flags).to.deep.equal(['no_route']);
  });

  it('writes only calls that meet its conditions', async () => {
    await logs('caller', 'method=test.Echo/Un*,code=OK');
    const before = mesh.accessLog('caller').length;
    await caller.call({});
    await caller.call({}, '/test.Echo/Other');
    expect(
      mesh
        .accessLog('caller')
        .slice(before)
        .map(({ method }) => method),
    ).to.deep.equal(['test.Echo/Unary']);
  });

  it('keeps its conditions when new ones cannot be read', async () => {
    await logs('caller', 'colour=blue');
    const before = mesh.accessLog('caller').length;
    await caller.call({});
    expect(mesh.accessLog('caller').length).to.equal(before + 1);
  });

  it('has a line, with the reason, for a connection that a STRICT pod refused', async () => {
    await logs('v1', 'errors');
    const before = mesh.accessLog('v1').length;
    const stranger = new RawCaller({ host: mesh.podAddress('v1'), port: 8080 });
    await stranger.call({}).catch(() => {});
    await until(() => mesh.accessLog('v1').length > before, 'the refusal is logged');
    expect(mesh.accessLog('v1')[before].flags).to.deep.equal(['denied_plaintext']);
    stranger.close();
  });
});
