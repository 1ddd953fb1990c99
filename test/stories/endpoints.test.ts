// Pods come, go and die under load: only what was in flight on a dead one may fail.
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { type GrpcApp, startApp } from '../support/grpc-app.ts';
import { Load } from '../support/load.ts';
import { until } from '../support/until.ts';

const UNAVAILABLE = 14;
const PODS = ['a', 'b', 'c'];

describe('of three endpoints', () => {
  let echo: EchoMesh;
  let load: Load;
  beforeEach(async () => {
    echo = await startEchoMesh({
      pods: [{ name: 'caller', calls: ['echo'] }, ...PODS.map((name) => ({ name, serves: true }))],
      services: { echo: PODS, v1: [], v2: [] },
    });
    load = new Load(echo.caller, () => ({ question: { delayMs: 2 } }), 8);
    await load.more(60);
  });
  afterEach(async () => {
    await load.stop();
    await echo.close();
  });

  const app = (pod: string): GrpcApp => echo.apps.get(pod)!;

  /** Waits until the load's calls no longer reach the pod, then for some more calls. */
  async function leaves(pod: string): Promise<void> {
    await until(() => app(pod).inFlight === 0, `calls on ${pod} have ended`);
    const seen = app(pod).total();
    await load.more(100);
    expect(app(pod).total(), `calls of ${pod}`).to.equal(seen);
  }

  /**
   * Waits until the pod's sidecar has noticed that a connection of its is gone. Until then it sends calls there, which
   * are in flight on a dead one:
   * the news is read from another socket than they are, in no order.
   */
  async function notices(pod: string, kill: () => void | Promise<void>): Promise<void> {
    const connections = (): Promise<number> => echo.mesh.metric(pod, 'weft_upstream_connections');
    const before = await connections();
    await kill();
    await until(async () => (await connections()) < before, `the sidecar of ${pod} has noticed`);
  }

  /** What failed had begun before, and could not be known not to have been processed. */
  function onlyInFlight(begun: number): void {
    expect(load.failures.filter(({ number }) => number >= begun)).to.deep.equal([]);
    expect(load.failures.map(({ code }) => code)).to.deep.equal(load.failures.map(() => UNAVAILABLE));
  }

  it('all get traffic', async () => {
    await load.more(150);
    expect(await load.stop()).to.deep.equal([]);
    expect([...load.byPod.keys()].sort()).to.deep.equal(PODS);
    for (const count of load.byPod.values()) expect(count).to.be.greaterThan(load.calls / 10);
  });

  it('one that is removed from the slice gets no more calls, and those on it end well', async () => {
    const chats = PODS.map(() => echo.caller.chat());
    for (const chat of chats) await chat.say('hello');
    echo.mesh.setMembers('echo', ['a', 'b']);
    await echo.mesh.settled();
    await until(() => app('c').inFlight <= chats.length, 'unary calls on c have ended');
    await load.more(20);
    const seen = app('c').total();
    await load.more(100);
    expect(app('c').total()).to.equal(seen);
    for (const chat of chats) {
      expect((await chat.say('still here'))?.text).to.equal('still here');
      expect((await chat.finish()).code).to.equal(0);
    }
    expect(await load.stop()).to.deep.equal([]);
  });

  it('one that is added gets its part', async () => {
    echo.mesh.setMembers('echo', ['a', 'b']);
    await echo.mesh.settled();
    await leaves('c');
    echo.mesh.setMembers('echo', PODS);
    const seen = app('c').total();
    await until(() => app('c').total() > seen + 10, 'c is called');
    expect(await load.stop()).to.deep.equal([]);
  });

  it('one whose application is killed fails only the calls in flight on it, and is back when the application is', async () => {
    await notices('b', () => app('b').kill());
    const begun = load.begun;
    await load.more(300);
    onlyInFlight(begun);
    const again = await startApp('b', echo.mesh.appAddress('b'));
    await until(() => again.total() > 10, 'b is called again');
    const failed = load.failures.length;
    await load.more(100);
    expect(load.failures.length, 'none since').to.equal(failed);
    await load.stop();
    again.kill();
  });

  it('one that is killed as a whole, sidecar and application, fails only the calls in flight on it', async () => {
    await notices('caller', () => {
      app('b').kill();
      return echo.mesh.stopSidecar('b', 0);
    });
    const begun = load.begun;
    await load.more(300);
    onlyInFlight(begun);
  });

  it('one whose sidecar is stopped gracefully fails no call', async () => {
    await echo.mesh.stopSidecar('b');
    await load.more(200);
    expect(await load.stop()).to.deep.equal([]);
  });

  it('one whose application ends gracefully fails no call', async () => {
    await app('b').shutdown();
    await load.more(200);
    expect(await load.stop()).to.deep.equal([]);
    expect(app('b').inFlight).to.equal(0);
  });

  it('all are replaced one after the other, as a rollout does it, and no call fails', async () => {
    for (const pod of PODS) {
      echo.mesh.setMembers(
        'echo',
        PODS.filter((other) => other !== pod),
      );
      await app(pod).shutdown();
      await echo.mesh.stopSidecar(pod);
      await echo.mesh.startSidecar(pod);
      const next = await startApp(pod, echo.mesh.appAddress(pod));
      echo.mesh.setMembers('echo', PODS);
      await echo.mesh.settled();
      await until(() => next.total() > 5, `the new ${pod} is called`);
    }
    expect(await load.stop()).to.deep.equal([]);
  });
});
