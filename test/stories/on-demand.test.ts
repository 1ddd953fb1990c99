// What the control plane sends a sidecar and when: a Service at its first use, its changes while it exists, and nothing
// lost while the control plane
// is away.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { GrpcCaller } from '../support/grpc-app.ts';
import { Load } from '../support/load.ts';
import { grpcRoute, split } from '../support/routes.ts';
import { until } from '../support/until.ts';

const UNAVAILABLE = 14;

describe('a sidecar with its control plane', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      calls: ['echo', 'v2', 'later'],
      routes: [grpcRoute([split({ v1: 1 })])],
    });
  });
  after(() => echo.close());

  const holds = async (service: string) => (await echo.mesh.dump('caller')).services.some(({ name }) => name === service);

  it('asks for a Service at its first use', async () => {
    expect(await holds('echo')).to.equal(false);
    expect((await echo.caller.unary()).answer?.pod).to.equal('v1');
    expect(await holds('echo')).to.equal(true);
    expect(await holds('v2'), 'no call to it yet').to.equal(false);
    expect((await echo.callerOf('caller', 'v2').unary()).answer?.pod).to.equal('v2');
    expect(await holds('v2')).to.equal(true);
  });

  it('knows where all Services are, and more of those alone that it uses', async () => {
    const { versions } = (await echo.mesh.dump('caller')).stream;
    const held = Object.keys(versions).filter((name) => /^(places|address\/)/.test(name));
    expect(held.sort()).to.deep.equal(['address/shop/echo', 'address/shop/v2', 'places']);
  });

  it('learns of a Service that is made after it was called, and of its end', async () => {
    const later = echo.callerOf('caller', 'later');
    expect((await later.unary()).code).to.equal(UNAVAILABLE);
    echo.mesh.setMembers('later', ['v2']);
    await echo.mesh.settled();
    expect((await later.unary()).answer?.pod).to.equal('v2');
    echo.mesh.setMembers('later', null);
    await echo.mesh.settled();
    const { code } = await later.unary();
    expect(code).to.equal(UNAVAILABLE);
    echo.mesh.setMembers('later', ['v1']);
    await echo.mesh.settled();
    expect((await later.unary()).answer?.pod, 'it is back').to.equal('v1');
    echo.mesh.setMembers('later', null);
    await echo.mesh.settled();
  });

  it('goes on while the control plane is away, and nothing is interrupted when it is back', async () => {
    const { mesh, apps } = echo;
    const load = new Load(echo.caller);
    const chat = echo.caller.chat();
    expect((await chat.say('before'))?.text).to.equal('before');
    await load.more(50);
    const connections = apps.get('v1')!.connections;
    const upstream = await mesh.metric('caller', 'weft_upstream_connections');

    await mesh.stopControlPlane();
    await until(async () => !(await mesh.dump('caller')).stream.connected, 'the sidecar has seen that the control plane is away');
    await load.more(100);
    expect((await chat.say('meanwhile'))?.text).to.equal('meanwhile');
    const fresh = new GrpcCaller(mesh.address('caller', 'echo'));
    expect((await fresh.unary()).answer?.pod, 'a new connection of the application').to.equal('v1');
    fresh.close();

    await mesh.restartControlPlane();
    await until(async () => (await mesh.dump('caller')).stream.connected, 'the sidecar is connected again');
    await load.more(100);
    expect((await chat.say('after'))?.text).to.equal('after');
    expect((await chat.finish()).code).to.equal(0);
    expect(await load.stop()).to.deep.equal([]);
    expect([...load.byPod.keys()], 'routes stayed in force throughout').to.deep.equal(['v1']);
    expect(apps.get('v1')!.connections).to.equal(connections);
    expect(await mesh.metric('caller', 'weft_upstream_connections')).to.equal(upstream);
  });

  it('receives what changed while the control plane was away', async () => {
    const { mesh } = echo;
    await mesh.stopControlPlane();
    mesh.remember([grpcRoute([split({ v2: 1 })])]);
    expect((await echo.caller.unary()).answer?.pod).to.equal('v1');
    await mesh.restartControlPlane();
    await mesh.settled();
    expect((await echo.caller.unary()).answer?.pod).to.equal('v2');
  });
});
