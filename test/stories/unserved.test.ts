// Calls that the mesh itself answers: no match, invalid backends, no endpoints; and that nothing beside them is
// disturbed.
import { expect } from 'chai';
import { countBy, type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import type { Outcome } from '../support/grpc-app.ts';
import { grpcRoute, split } from '../support/routes.ts';

const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;

describe('a call', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      calls: ['echo', 'echo:9090', 'empty'],
      services: { empty: [] },
      ports: [8080, 9090],
    });
  });
  after(() => echo.close());

  async function calls(count: number): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let i = 0; i < count; i++) outcomes.push(await echo.caller.unary());
    return outcomes;
  }
  const seen = (outcomes: readonly Outcome[]) => countBy(outcomes.map(({ code, answer }) => answer?.pod ?? `status ${code}`));

  it('is UNIMPLEMENTED where no rule matches, and the message names Service and method', async () => {
    await echo.use(grpcRoute([split({ v1: 1 }, { matches: [{ method: { service: 'test.Other' } }] })]));
    const { code, details } = await echo.caller.unary();
    expect(code).to.equal(UNIMPLEMENTED);
    expect(details).to.contain('shop/echo:8080').and.contain('test.Echo/Unary');
    expect(await echo.mesh.metric('caller', 'weft_proxy_errors_total{error="no_route"}')).to.equal(1);
    expect((await echo.caller.download({})).code, 'streams too').to.equal(UNIMPLEMENTED);
  });

  it('is served by the Service itself when there is no route any more', async () => {
    await echo.use();
    expect(Object.keys(seen(await calls(40))).sort()).to.deep.equal(['v1', 'v2']);
  });

  it('is UNAVAILABLE for the share of an invalid backend, and only for that', async () => {
    await echo.use(grpcRoute([split({ v1: 3, 'not-there': 1 })]));
    const outcomes = await calls(100);
    const shares = seen(outcomes);
    expect(Object.keys(shares).sort()).to.deep.equal([`status ${UNAVAILABLE}`, 'v1']);
    expect(shares[`status ${UNAVAILABLE}`]).to.be.within(23, 27);
    expect(outcomes.find(({ code }) => code !== 0)?.details).to.contain('not-there');
  });

  it('is not disturbed by a missing backend of weight 0', async () => {
    await echo.use(grpcRoute([split({ v1: 70, v2: 30, 'not-there': 0 })]));
    const shares = seen(await calls(100));
    expect(Object.keys(shares).sort()).to.deep.equal(['v1', 'v2']);
    expect(shares.v2).to.be.within(28, 32);
  });

  it('is UNAVAILABLE where all backends are invalid, absent or of weight 0', async () => {
    for (const rule of [split({ 'not-there': 1, 'nor-there': 2 }), split({ v1: 0, v2: 0 }), {}]) {
      await echo.use(grpcRoute([rule]));
      expect(seen(await calls(5)), JSON.stringify(rule)).to.deep.equal({ [`status ${UNAVAILABLE}`]: 5 });
    }
  });

  it('is UNAVAILABLE where a Service has no ready endpoint, as a share and as a whole, until it has one', async () => {
    await echo.use(grpcRoute([split({ v1: 1, empty: 1 })]));
    const shares = seen(await calls(40));
    expect(Object.keys(shares).sort()).to.deep.equal([`status ${UNAVAILABLE}`, 'v1']);
    expect(shares.v1).to.be.within(18, 22);
    const direct = echo.callerOf('caller', 'empty');
    const { code, details } = await direct.unary();
    expect(code).to.equal(UNAVAILABLE);
    expect(details).to.contain('shop/empty:8080').and.contain('no ready endpoints');
    echo.mesh.setMembers('empty', ['v2']);
    await echo.mesh.settled();
    expect((await direct.unary()).answer?.pod).to.equal('v2');
    echo.mesh.setMembers('empty', []);
    await echo.mesh.settled();
    expect((await direct.unary()).code).to.equal(UNAVAILABLE);
  });

  it('follows a route for one port on that port only', async () => {
    const other = echo.callerOf('caller', 'echo:9090');
    await echo.use(grpcRoute([split({ v2: 1 }, { matches: [{ method: { service: 'test.Other' } }] })], { port: 8080 }));
    expect((await echo.caller.unary()).code).to.equal(UNIMPLEMENTED);
    expect((await other.unary()).code).to.equal(0);
    await echo.use(grpcRoute([split({ v2: 1 })], { port: 9090 }));
    expect(seen([await other.unary(), await other.unary(), await other.unary()])).to.deep.equal({ v2: 3 });
    expect(Object.keys(seen(await calls(40))).sort()).to.deep.equal(['v1', 'v2']);
  });

  it('fails where its rule has a filter that Weft does not know, and other rules of the route go on', async () => {
    const extension = { type: 'ExtensionRef', extensionRef: { group: 'example.com', kind: 'Magic', name: 'spell' } };
    await echo.use(
      grpcRoute([split({ v1: 1 }, { filters: [extension], matches: [{ method: { service: 'test.Other' } }] }), split({ v2: 1 })]),
    );
    const { code } = await echo.caller.unary({ path: '/test.Other/Unary' });
    expect(code).to.not.equal(0);
    expect((await echo.caller.unary()).answer?.pod).to.equal('v2');
  });
});
