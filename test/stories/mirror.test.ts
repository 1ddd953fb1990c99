// RequestMirror: copies reach the mirror, their answers are dropped, and whatever happens there disturbs no call.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { grpcRoute, to } from '../support/routes.ts';
import { until } from '../support/until.ts';

describe('a mirror', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({
      morePods: [{ name: 'dead', serves: true }],
      services: { dead: ['dead'], empty: [] },
    });
    echo.apps.get('dead')!.kill();
  });
  after(() => echo.close());

  const copied = () => echo.apps.get('v2')!.total();

  async function use(target: string, share: object = {}): Promise<void> {
    await echo.use(
      grpcRoute([{ filters: [{ type: 'RequestMirror', requestMirror: { backendRef: to(target), ...share } }], backendRefs: [to('v1')] }]),
    );
  }

  /** Every call must be answered by v1. */
  async function calls(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const { answer, details } = await echo.caller.unary({ question: { text: `${i}` } });
      expect(answer, details).to.include({ pod: 'v1', text: `${i}` });
    }
  }

  it('gets a copy of each call, and its answers are dropped', async () => {
    await use('v2');
    const before = copied();
    await calls(50);
    await until(() => copied() === before + 50, '50 copies have come');
  });

  it('gets copies of streams too', async () => {
    const before = echo.apps.get('v2')!.calls.get('/test.Echo/Upload') ?? 0;
    const { answer } = await echo.caller.upload(['a', 'b', 'c']);
    expect(answer).to.include({ pod: 'v1', text: 'abc' });
    await until(() => (echo.apps.get('v2')!.calls.get('/test.Echo/Upload') ?? 0) === before + 1, 'the copy has come');
    const chat = echo.caller.chat();
    expect((await chat.say('hello'))?.pod).to.equal('v1');
    expect((await chat.finish()).code).to.equal(0);
  });

  for (const [what, share] of Object.entries({ percent: { percent: 50 }, fraction: { fraction: { numerator: 1, denominator: 2 } } })) {
    it(`gets half of the calls by ${what}`, async () => {
      await use('v2', share);
      const before = copied();
      await calls(100);
      // The last copies may still be on their way: whatever is to come has come when a later whole mirror has.
      const seen = () => copied() - before;
      await until(() => seen() >= 48, 'half of the calls have been copied');
      await use('v2');
      await calls(1);
      await until(() => seen() >= 49, 'the last copy has come');
      expect(seen()).to.be.within(49, 53);
    });
  }

  it('of no share gets nothing', async () => {
    await use('v2', { percent: 0 });
    const before = copied();
    await calls(20);
    await use('v2');
    await calls(1);
    await until(() => copied() > before, 'the last copy has come');
    expect(copied() - before).to.equal(1);
  });

  for (const target of ['dead', 'empty', 'not-there']) {
    it(`that is ${target} disturbs nothing`, async () => {
      await use(target);
      await calls(50);
      expect((await echo.caller.download({ count: 3 })).answers.map(({ pod }) => pod)).to.deep.equal(['v1', 'v1', 'v1']);
    });
  }

  it('that answers slowly keeps no call waiting, and its copies end', async () => {
    await use('v2');
    const mirror = echo.apps.get('v2')!;
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => echo.caller.unary({ question: { delayMs: 50 } })));
    expect(outcomes.map(({ code }) => code)).to.deep.equal(outcomes.map(() => 0));
    await until(() => mirror.inFlight === 0, 'the copies have ended');
  });
});
