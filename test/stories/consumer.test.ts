// Producer and consumer routes (GEP-1294): callers in a namespace with routes of its own get those, and only those.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import type { GrpcCaller } from '../support/grpc-app.ts';
import { grpcRoute, split, to } from '../support/routes.ts';

const producer = grpcRoute([split({ v1: 1 })]);
const consumer = grpcRoute([{ backendRefs: [to('shop/v2')] }], { namespace: 'other', parentNamespace: 'shop' });

describe('of producer and consumer routes', () => {
  let echo: EchoMesh;
  let other: GrpcCaller;
  before(async () => {
    echo = await startEchoMesh({
      morePods: [{ name: 'consumer', namespace: 'other', calls: ['shop/echo'] }],
    });
    other = echo.callerOf('consumer', 'shop/echo');
  });
  after(() => echo.close());

  const pods = async () => ({
    inside: (await echo.caller.unary()).answer?.pod,
    outside: (await other.unary()).answer?.pod,
  });

  it('the producer route holds for callers of all namespaces', async () => {
    await echo.use(producer);
    expect(await pods()).to.deep.equal({ inside: 'v1', outside: 'v1' });
  });

  it('the consumer route holds in its namespace, without a ReferenceGrant, and replaces the producer route there', async () => {
    await echo.use(producer, consumer);
    expect(await pods()).to.deep.equal({ inside: 'v1', outside: 'v2' });
  });

  it('the producer does not serve what the consumer route leaves unmatched', async () => {
    const narrow = grpcRoute([{ matches: [{ method: { service: 'test.Other' } }], backendRefs: [to('shop/v2')] }], {
      namespace: 'other',
      parentNamespace: 'shop',
    });
    await echo.use(producer, narrow);
    expect((await other.unary()).code).to.equal(12);
    expect((await other.unary({ path: '/test.Other/Unary' })).answer?.pod).to.equal('v2');
    expect((await echo.caller.unary()).answer?.pod).to.equal('v1');
  });

  it('the producer’s is back when the consumer’s is gone, and without both the Service itself serves', async () => {
    await echo.use(producer);
    expect(await pods()).to.deep.equal({ inside: 'v1', outside: 'v1' });
    await echo.use(consumer);
    expect((await other.unary()).answer?.pod).to.equal('v2');
    await echo.use();
    const seen = new Set<string | undefined>();
    for (let i = 0; i < 40; i++) seen.add((await other.unary()).answer?.pod);
    expect([...seen].sort()).to.deep.equal(['v1', 'v2']);
  });
});
