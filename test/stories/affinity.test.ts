// A Service that asks for session affinity: calls and connections of a pod keep to one endpoint, from the objects to
// the applications.
import net from 'node:net';
import { expect } from 'chai';
import { countBy, type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { TestMesh } from '../support/mesh.ts';
import { grpcRoute, split } from '../support/routes.ts';

const AFFINITY = { sessionAffinity: 'ClientIP' };
const PODS = ['a', 'b', 'c', 'd'];

describe('session affinity', () => {
  let echo: EchoMesh;

  beforeEach(async () => {
    echo = await startEchoMesh({
      pods: [
        { name: 'caller', calls: ['echo', 'other'] },
        { name: 'second', calls: ['echo'] },
        ...PODS.map((name) => ({ name, serves: true })),
      ],
      services: { echo: PODS, other: PODS, v1: ['a', 'b'], v2: ['c', 'd'] },
      specs: { echo: AFFINITY, v1: AFFINITY },
    });
  });
  afterEach(() => echo.close());

  /** The pods that answered so many calls, each on a connection of its own. */
  async function answering(calls: number, pod = 'caller', service = 'echo'): Promise<Record<string, number>> {
    const pods: string[] = [];
    for (let i = 0; i < calls; i++) {
      const caller = echo.callerOf(pod, service);
      const { code, answer } = await caller.unary();
      expect(code).to.equal(0);
      pods.push(answer!.pod);
      caller.close();
    }
    return countBy(pods);
  }

  it('keeps all calls of a pod at one endpoint, on any connection; a Service without it spreads them', async () => {
    expect(Object.values(await answering(20))).to.deep.equal([20]);
    expect(Object.keys(await answering(20, 'caller', 'other'))).to.have.length.above(1);
  });

  it('takes another endpoint when that one leaves the Service, and keeps it when the first comes back', async () => {
    const [first] = Object.keys(await answering(5));
    echo.mesh.setMembers(
      'echo',
      PODS.filter((pod) => pod !== first),
    );
    await echo.mesh.settled();
    const [second, ...more] = Object.keys(await answering(10));
    expect(more).to.deep.equal([]);
    expect(second).not.to.equal(first);
    echo.mesh.setMembers('echo', PODS);
    await echo.mesh.settled();
    expect(await answering(10)).to.deep.equal({ [second]: 10 });
  });

  it('takes another when its application is gone, without a failed call', async () => {
    const [first] = Object.keys(await answering(5));
    echo.apps.get(first)!.kill();
    const after = await answering(10);
    expect(after).not.to.have.property(first);
    expect(Object.keys(after)).to.have.length(1);
  });

  it('holds within the backends whose Services ask for it, after the split by weight', async () => {
    await echo.use(grpcRoute([split({ v1: 1, v2: 1 })]));
    const counts = await answering(40);
    const [a = 0, b = 0, c = 0, d = 0] = PODS.map((pod) => counts[pod]);
    expect(a + b, JSON.stringify(counts)).to.be.within(18, 22);
    expect(Math.min(a, b), 'v1 has affinity').to.equal(0);
    expect(Math.min(c, d), 'v2 has none').to.be.above(0);
  });
});

describe('session affinity of connections that are not HTTP/2', () => {
  it('keeps them at one endpoint', async () => {
    const mesh = await TestMesh.start({
      pods: [{ name: 'caller', calls: ['echo'] }, ...PODS.map((name) => ({ name, serves: true }))],
      declared: false,
      services: { echo: PODS },
      specs: { echo: AFFINITY },
    });
    const apps = await Promise.all(
      PODS.map(async (pod) => {
        const app = net.createServer((socket) => socket.on('error', () => {}).end(pod));
        const { host, port } = mesh.appAddress(pod);
        await new Promise<void>((resolve) => app.listen(port, host, resolve));
        return app;
      }),
    );
    const answers = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const socket = net.connect(mesh.address('caller', 'echo'));
      socket.end('GET / HTTP/1.1\r\n\r\n');
      let text = '';
      for await (const chunk of socket) text += chunk;
      answers.add(text);
    }
    expect([...answers]).to.have.length(1);
    for (const app of apps) app.close();
    await mesh.close();
  });
});
