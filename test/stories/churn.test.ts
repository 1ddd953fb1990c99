// The route is rewritten ten times a second under mixed load: no call fails, open streams live on, and each version
// gets into force.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { KubeObject } from '#kube/object.ts';
import { countBy, type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { Load } from '../support/load.ts';
import { grpcRoute, split, to } from '../support/routes.ts';

const REWRITES = 50;
const EVERY_MS = 100;

/**
 * Versions of the route by turns: shares, matches, filters, mirrors, several rules, two routes, none. All of them serve
 * every call.
 */
const VERSIONS: readonly ((turn: number) => KubeObject[])[] = [
  (turn) => [grpcRoute([split({ v1: 90 - turn, v2: 10 + turn })])],
  (turn) => [grpcRoute([split({ v2: 1 }, { matches: [{ headers: [{ name: 'x-version', value: `v${turn}` }] }] }), split({ v1: 1 })])],
  (turn) => {
    const filter = { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-turn', value: `${turn}` }] } };
    return [grpcRoute([split({ v1: 1, v2: 1 }, { filters: [filter] })])];
  },
  () => [],
  () => [
    grpcRoute([split({ v1: 1 }, { matches: [{ method: { service: 'test.Echo', method: 'Unary' } }] })]),
    grpcRoute([split({ v2: 1 })], { name: 'rest' }),
  ],
  () => [
    grpcRoute([{ filters: [{ type: 'RequestMirror', requestMirror: { backendRef: to('v2'), percent: 20 } }], backendRefs: [to('v1')] }]),
  ],
  () => [
    grpcRoute([split({ v1: 1, v2: 3 }, { matches: [{ method: { type: 'RegularExpression', service: 'test\\..*' } }] }), split({ v1: 1 })]),
  ],
];

describe('a route that is rewritten ten times a second', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh();
  });
  after(() => echo.close());

  it('fails no unary call, no stream, and leaves open streams alone', async () => {
    const { mesh, caller } = echo;
    const unary = new Load(caller);
    const chats = Array.from({ length: 10 }, () => caller.chat());
    const pods = await Promise.all(chats.map(async (chat) => (await chat.say('begin'))?.pod));
    let running = true;
    const streams = (async () => {
      const ends: string[] = [];
      while (running) {
        const { code, answers } = await caller.download({ count: 10, delayMs: 5 });
        ends.push(`${code}, ${answers.length} messages`);
        const { answer } = await caller.upload(['a', 'b', 'c']);
        ends.push(answer?.text ?? 'failed');
      }
      return ends;
    })();

    for (let turn = 0; turn < REWRITES; turn++) {
      mesh.setRoutes(VERSIONS[turn % VERSIONS.length](turn));
      await sleep(EVERY_MS);
    }
    await echo.use(grpcRoute([split({ v2: 1 })]));

    running = false;
    expect(await unary.stop()).to.deep.equal([]);
    expect(unary.calls).to.be.greaterThan(REWRITES);
    expect(Object.keys(countBy(await streams)).sort()).to.deep.equal(['0, 10 messages', 'abc']);
    expect(await Promise.all(chats.map(async (chat) => (await chat.say('end'))?.pod))).to.deep.equal(pods);
    expect(await Promise.all(chats.map(async (chat) => (await chat.finish()).code))).to.deep.equal(chats.map(() => 0));
    expect((await caller.unary()).answer?.pod, 'the last version is in force').to.equal('v2');
    const series = await mesh.stats('caller');
    expect(new Set(series.map(({ route }) => route)), 'versions have been in force').to.include.all.keys(
      'GRPCRoute/shop/echo',
      'GRPCRoute/shop/rest',
      '',
    );
  });
});
