// A canary's life: a share of the calls goes to the new version, the share changes while calls run, and no call fails.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { Load } from '../support/load.ts';
import { grpcRoute, split } from '../support/routes.ts';

describe('a canary', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({ routes: [grpcRoute([split({ v1: 90, v2: 10 })])] });
  });
  after(() => echo.close());

  /** The share of v2 in so many calls of a load, in percent. */
  async function shareOfV2(load: Load, calls: number): Promise<number> {
    const [all, v2] = [load.calls, load.byPod.get('v2') ?? 0];
    await load.more(calls);
    return (100 * ((load.byPod.get('v2') ?? 0) - v2)) / (load.calls - all);
  }

  it('gets its share within 2 points of 1,000 calls on one connection', async () => {
    const load = new Load(echo.caller);
    const share = await shareOfV2(load, 1000);
    expect(await load.stop()).to.deep.equal([]);
    expect(share).to.be.within(8, 12);
  });

  it('gets half, then everything, while calls run, and no call fails', async () => {
    const load = new Load(echo.caller);
    await load.more(100);
    await echo.use(grpcRoute([split({ v1: 50, v2: 50 })]));
    // Calls that were on their way when the change came are counted as before it.
    await load.more(4);
    expect(await shareOfV2(load, 400)).to.be.within(48, 52);
    await echo.use(grpcRoute([split({ v1: 0, v2: 100 })]));
    await load.more(4);
    expect(await shareOfV2(load, 200)).to.equal(100);
    await echo.use(grpcRoute([split({ v1: 100, v2: 0 })]));
    await load.more(4);
    expect(await shareOfV2(load, 200)).to.equal(0);
    expect(await load.stop()).to.deep.equal([]);
  });

  it('gets its share of each kind of call', async () => {
    await echo.use(grpcRoute([split({ v1: 1, v2: 1 })]));
    const pods = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const { code, answers } = await echo.caller.download({ count: 3 });
      expect(code).to.equal(0);
      expect(answers.map(({ text }) => text)).to.deep.equal(['0', '1', '2']);
      pods.add(answers[0].pod);
    }
    for (let i = 0; i < 2; i++) {
      const { answer } = await echo.caller.upload(['a', 'b', 'c']);
      expect(answer).to.include({ received: 3, text: 'abc' });
      pods.add(answer!.pod);
    }
    for (let i = 0; i < 2; i++) {
      const chat = echo.caller.chat();
      pods.add((await chat.say('one'))!.pod);
      expect((await chat.say('two'))!.text).to.equal('two');
      expect((await chat.finish()).code).to.equal(0);
    }
    expect([...pods].sort()).to.deep.equal(['v1', 'v2']);
  });

  it('is counted by route, rule and backend, over mTLS', async () => {
    await echo.use(grpcRoute([split({ v2: 1 }, { name: 'all-new' })]));
    expect((await echo.caller.unary()).answer?.pod).to.equal('v2');
    const series = (await echo.mesh.stats('caller')).filter(({ rule }) => rule === 'all-new');
    expect(series).to.have.length(1);
    expect(series[0]).to.deep.include({ direction: 'outbound', method: 'test.Echo/Unary', backend: 'shop/v2:8080', mtls: true, count: 1 });
    expect(series[0].statuses).to.deep.equal({ 0: 1 });
  });
});
