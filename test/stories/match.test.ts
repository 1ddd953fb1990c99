// What a GRPCRoute matches on: methods and headers, exact and by pattern, with the Gateway API's precedence.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { UNARY } from '../support/grpc-app.ts';
import { grpcRoute, split } from '../support/routes.ts';

const V1 = split({ v1: 1 });
const to2 = (match: object) => split({ v2: 1 }, { matches: [match] });

describe('a GRPCRoute matches', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh();
  });
  after(() => echo.close());

  async function podFor(metadata: Record<string, string | string[]> = {}, path = UNARY): Promise<string> {
    const { answer, code, details } = await echo.caller.unary({ path, metadata });
    return answer?.pod ?? `${code}: ${details}`;
  }

  it('a header that forces the new version', async () => {
    await echo.use(grpcRoute([to2({ headers: [{ name: 'X-Version', value: 'v2' }] }), V1]));
    expect(await podFor()).to.equal('v1');
    expect(await podFor({ 'x-version': 'v2' })).to.equal('v2');
    expect(await podFor({ 'x-version': 'V2' }), 'values are exact').to.equal('v1');
    expect(await podFor({ 'x-version': 'v22' })).to.equal('v1');
  });

  it('the whole value of a header by pattern', async () => {
    await echo.use(grpcRoute([to2({ headers: [{ type: 'RegularExpression', name: 'x-version', value: 'v[2-9](\\.[0-9]+)?' }] }), V1]));
    expect(await podFor({ 'x-version': 'v3.14' })).to.equal('v2');
    expect(await podFor({ 'x-version': 'v1' })).to.equal('v1');
    expect(await podFor({ 'x-version': 'not v3.14' })).to.equal('v1');
    expect(await podFor({ 'x-version': 'v3.14!' })).to.equal('v1');
  });

  it('all headers of a match, any match of a rule', async () => {
    const both = [
      { name: 'a', value: '1' },
      { name: 'b', value: '2' },
    ];
    await echo.use(grpcRoute([split({ v2: 1 }, { matches: [{ headers: both }, { headers: [{ name: 'c', value: '3' }] }] }), V1]));
    expect(await podFor({ a: '1' })).to.equal('v1');
    expect(await podFor({ a: '1', b: '2' })).to.equal('v2');
    expect(await podFor({ c: '3' })).to.equal('v2');
  });

  it('service and method, service alone, method alone', async () => {
    await echo.use(grpcRoute([to2({ method: { service: 'test.Echo', method: 'Unary' } }), V1]));
    expect(await podFor()).to.equal('v2');
    expect(await podFor({}, '/test.Other/Unary')).to.equal('v1');
    expect((await echo.caller.download({})).answers[0]?.pod).to.equal('v1');
    await echo.use(grpcRoute([to2({ method: { service: 'test.Other' } }), V1]));
    expect(await podFor()).to.equal('v1');
    expect(await podFor({}, '/test.Other/Unary')).to.equal('v2');
    await echo.use(grpcRoute([to2({ method: { method: 'Download' } }), V1]));
    expect(await podFor()).to.equal('v1');
    expect((await echo.caller.download({})).answers[0]?.pod).to.equal('v2');
  });

  it('the whole name of service and method by pattern', async () => {
    await echo.use(grpcRoute([to2({ method: { type: 'RegularExpression', service: 'test\\.(Other|Third)', method: 'Un.*' } }), V1]));
    expect(await podFor({}, '/test.Other/Unary')).to.equal('v2');
    expect(await podFor()).to.equal('v1');
    await echo.use(grpcRoute([to2({ method: { type: 'RegularExpression', service: 'Echo' } }), V1]));
    expect(await podFor(), 'anchored at both ends').to.equal('v1');
  });

  it('by the longest service first, then the longest method, then the most headers', async () => {
    const header = { headers: [{ name: 'x-version', value: 'v2' }] };
    await echo.use(grpcRoute([to2(header), split({ v1: 1 }, { matches: [{ method: { service: 'test.Echo' } }] })]));
    expect(await podFor({ 'x-version': 'v2' }), 'a method match outweighs any header').to.equal('v1');
    await echo.use(
      grpcRoute([
        split({ v1: 1 }, { matches: [{ method: { service: 'test.Echo' } }] }),
        to2({ method: { service: 'test.Echo', method: 'Unary' } }),
      ]),
    );
    expect(await podFor(), 'whatever the order of rules').to.equal('v2');
  });

  it('before another route when it is older, and at the same age by its name', async () => {
    const aged = (name: string, creationTimestamp: string, rule: object) => {
      const route = grpcRoute([rule], { name });
      return { ...route, metadata: { ...route.metadata, creationTimestamp } };
    };
    const [older, newer] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];
    await echo.use(aged('a', newer, V1), aged('b', older, split({ v2: 1 })));
    expect(await podFor()).to.equal('v2');
    await echo.use(aged('a', older, V1), aged('b', older, split({ v2: 1 })));
    expect(await podFor()).to.equal('v1');
  });
});
