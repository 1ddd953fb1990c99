// More than one control plane: the leader dies without a word, another writes the statuses, and no call notices.
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, CONTROLLER_NAME, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { Call, Caller } from '../support/caller.ts';
import { type Condition, eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-replicas';
const ECHO: Call = { to: 'echo:7070' };
const REPLICAS = 3;

interface Lease extends Item {
  spec: { holderIdentity?: string };
}

interface Route extends Item {
  status?: { parents?: { controllerName: string; conditions: Condition[] }[] };
}

describe('Three replicas of the control plane', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, REPLICAS);
    await stage.objects.apply(echo({ namespace: NS, name: 'echo' }), service(NS, 'echo'), routeWith('0'));
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    [caller] = await Promise.all([stage.caller(NS), stage.objects.rolledOut(NS, 'echo')]);
    await caller.until('the route', ECHO, ({ headers }) => headers['x-round'] === '0');
  });

  after(async function () {
    this.timeout(120_000);
    await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
  });

  it('share one authority and one leader', async () => {
    const leader = await leaderName();
    expect(leader).to.match(/^weft-control-plane-/);
    const authorities = (await stage.objects.list('secrets', SYSTEM_NAMESPACE)).filter(
      ({ metadata }) => metadata.name === 'weft-authority',
    );
    expect(authorities).to.have.length(1);
    const bundle = await stage.objects.get<Item & { data: Record<string, string> }>('configmap', 'weft-trust', NS);
    expect(bundle!.data['roots.pem']!.match(/BEGIN CERTIFICATE/g)).to.have.length(1);
  });

  it('go on when the leader is killed: routes at once, statuses by another leader, and no call fails', async function () {
    this.timeout(180_000);
    const load = await caller.load({ ...ECHO, rps: 100 });
    const old = await leaderName();
    await stage.objects.delete('pod', old, SYSTEM_NAMESPACE, ['--grace-period=0', '--force', '--wait=false']);
    await stage.objects.apply(routeWith('1'));
    await caller.until('the changed route', ECHO, ({ headers }) => headers['x-round'] === '1');
    const leader = await eventually('another leader', async () => {
      const name = await leaderName();
      return name !== old && name !== '' && name;
    });
    expect(leader).to.match(/^weft-control-plane-/);
    await eventually('the status of the changed route', async () => {
      const route = (await stage.objects.get<Route>('grpcroute', 'echo', NS))!;
      const ours = route.status?.parents?.find(({ controllerName }) => controllerName === CONTROLLER_NAME);
      return ours?.conditions.every(({ observedGeneration }) => observedGeneration === route.metadata.generation);
    });
    const { total } = await load.stop();
    expect(total.failed, JSON.stringify(total.errors)).to.equal(0);
  });

  /** Name of the pod that holds the Lease; '' where none does. */
  async function leaderName(): Promise<string> {
    const lease = await stage.objects.get<Lease>('lease', CONTROL_PLANE_NAME, SYSTEM_NAMESPACE);
    return lease?.spec.holderIdentity?.split(/[/_]/)[0] ?? '';
  }

  function routeWith(value: string): Item {
    return grpcRoute(NS, 'echo', 'echo', [{ filters: [answerHeader('x-round', value)], backendRefs: [backend('echo')] }]);
  }
});
