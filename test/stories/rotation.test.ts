// Certificates that live for seconds, under load: renewed and swapped while calls run, and no call notices (T57).
import { expect } from 'chai';
import { type EchoMesh, startEchoMesh } from '../support/echo-mesh.ts';
import { Load } from '../support/load.ts';
import { until } from '../support/until.ts';

const ROTATIONS = 3;

describe('certificates of three seconds', () => {
  let echo: EchoMesh;
  before(async () => {
    echo = await startEchoMesh({ leafLifetimeMs: 3000 });
  });
  after(() => echo.close());

  it('are renewed under load, and no call fails', async () => {
    const { mesh, caller } = echo;
    const issued = async (pod: string) => (await mesh.dump(pod)).certificate.issued;
    const load = new Load(caller, () => ({ question: { delayMs: 1 } }));
    let streaming = true;
    const streams = (async () => {
      const codes: number[] = [];
      while (streaming) codes.push((await caller.download({ count: 5, delayMs: 20 })).code);
      return codes;
    })();
    for (const pod of ['caller', 'v1', 'v2'])
      await until(async () => (await issued(pod)) > ROTATIONS, `${pod} has renewed its certificate ${ROTATIONS} times`);
    await load.more(100);
    streaming = false;
    expect(await load.stop()).to.deep.equal([]);
    expect(new Set(await streams)).to.deep.equal(new Set([0]));
    for (const pod of ['caller', 'v1', 'v2']) {
      const { certificate } = await mesh.dump(pod);
      expect(certificate.identity).to.equal(`spiffe://cluster.local/ns/shop/sa/${pod}`);
      expect(certificate.notAfterMs, pod).to.be.greaterThan(Date.now());
    }
  });
});
