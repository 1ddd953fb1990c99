// A canary under load: 90/10, then 50/50, then 0/100, and not one call fails.
import { expect } from 'chai';
import type { Call, Caller } from '../support/caller.ts';
import { eventually } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-canary';
const ECHO: Call = { to: 'echo:7070' };
const RATE = 100;
/** Of calls a step is judged by; with 1000 of them a true share is within 6 % but for one run in ten thousand. */
const CALLS = 1000;
const TOLERANCE = 0.06;

describe('A canary under load', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;
  const split = (v1: number, v2: number) =>
    grpcRoute(NS, 'canary', 'echo', [{ backendRefs: [backend('echo-v1', v1), backend('echo-v2', v2)] }]);

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'echo-v1', version: 'v1', replicas: 2 }),
      echo({ namespace: NS, name: 'echo-v2', version: 'v2' }),
      service(NS, 'echo'),
      service(NS, 'echo-v1', { version: 'v1' }),
      service(NS, 'echo-v2', { version: 'v2' }),
    );
    [caller] = await Promise.all([stage.caller(NS), stage.objects.rolledOut(NS, 'echo-v1', 'echo-v2')]);
    await caller.until('an answer', ECHO, ({ grpcStatus }) => grpcStatus === 0);
  });

  it('moves 90/10 → 50/50 → 0/100 with every call answered and the shares as written', async () => {
    await stage.objects.apply(split(90, 10));
    await inForce(0.9);
    const load = await caller.load({ ...ECHO, rps: RATE });
    const shares: number[] = [];
    for (const [v1, v2] of [
      [90, 10],
      [50, 50],
      [0, 100],
    ] as const) {
      await stage.objects.apply(split(v1, v2));
      await inForce(v1 / 100);
      await load.look();
      let calls = 0;
      let toV1 = 0;
      await eventually(`${CALLS} calls at ${v1}/${v2}`, async () => {
        const { window } = await load.look();
        calls += window.calls;
        toV1 += window.answers['echo-v1'] ?? 0;
        return calls >= CALLS;
      });
      shares.push(toV1 / calls);
    }
    const { total } = await load.stop();
    expect(total.failed, JSON.stringify(total.errors)).to.equal(0);
    expect(shares[0], 'share of v1 at 90/10').to.be.closeTo(0.9, TOLERANCE);
    expect(shares[1], 'share of v1 at 50/50').to.be.closeTo(0.5, TOLERANCE);
    expect(shares[2], 'share of v1 at 0/100').to.equal(0);
  });

  /** Waits until a sample of calls looks like the weights, or is exactly none. */
  async function inForce(share: number): Promise<void> {
    await eventually(`a share of ${share}`, async () => {
      const seen = ((await caller.shares(ECHO, 60))['echo-v1'] ?? 0) / 60;
      return share === 0 ? seen === 0 : Math.abs(seen - share) < 0.2;
    });
  }
});
