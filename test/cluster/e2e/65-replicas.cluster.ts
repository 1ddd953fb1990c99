// More than one control plane: a route is applied when the sidecars of all of them run it; the leader dies without a
// word, another writes the statuses, and no call notices.
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import {
  AUTHORITY_SECRET,
  CONTROL_PLANE_GRPC_PORT,
  CONTROL_PLANE_NAME,
  CONTROLLER_NAME,
  DEFAULT_TRUST_DOMAIN,
  SYSTEM_NAMESPACE,
} from '#core/contract/names.ts';
import { openPortForward } from '#kube/port-forward.ts';
import { certify, dial, type Sidecar } from '../../control-plane/publish/sidecar.ts';
import type { Call, Caller } from '../support/caller.ts';
import { type Condition, eventually, type Item, type PodItem } from '../support/objects.ts';
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
  const sidecars: Sidecar[] = [];
  const ways: { close(): void }[] = [];
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
    for (const each of [...sidecars, ...ways]) each.close();
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

  it('call a route applied when the sidecars of all of them run it, and not before', async function () {
    this.timeout(300_000);
    const leader = await leaderName();
    const pods = await stage.objects.list<PodItem>('pods', SYSTEM_NAMESPACE, `app.kubernetes.io/component=control-plane`);
    const other = pods.map(({ metadata: { name } }) => name).find((name) => name !== leader)!;
    const before = await eventually('the count', async () => {
      const now = await applied();
      return now?.status === 'True' && now;
    });
    const [, held] = [await sidecarAt(leader, 'at-the-leader'), await sidecarAt(other, 'at-another')];
    const both = await eventually('both to be counted', async () => {
      const now = await applied();
      return now !== undefined && now.of >= before.of + 2 && now;
    });
    expect(both).to.include({ status: 'True', reason: 'AllSidecars', on: both.of });
    held.answers = false;
    await stage.objects.apply(routeWith('held'));
    const pending = await eventually('one that is held back', async () => {
      const now = await applied();
      return now !== undefined && now.on === now.of - 1 && now;
    });
    expect(pending).to.include({ status: 'False', reason: 'Pending', of: both.of });
    await caller.until('the route elsewhere', ECHO, ({ headers }) => headers['x-round'] === 'held');
    expect(await applied()).to.include({ status: 'False' });
    held.answer(held.responses.at(-1)!);
    held.answers = true;
    const done = await eventually('all to run it', async () => {
      const now = await applied();
      return now?.status === 'True' && now;
    });
    expect(done).to.include({ on: both.of, of: both.of });
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

  /** The count of the route as it stands, for its newest generation. */
  async function applied(): Promise<(Condition & { on: number; of: number }) | undefined> {
    const route = await stage.objects.get<Route>('grpcroute', 'echo', NS);
    const ours = route?.status?.parents?.find(({ controllerName }) => controllerName === CONTROLLER_NAME);
    const condition = ours?.conditions.find(({ type }) => type === 'weft.dev/Applied');
    if (condition === undefined || condition.observedGeneration !== route!.metadata.generation) return undefined;
    const [, on, of] = /^applied on (\d+) of (\d+)/.exec(condition.message) ?? [];
    return { ...condition, on: Number(on), of: Number(of) };
  }

  /** A sidecar in the test's hands, connected to just this replica. Its pod exists, and never runs. */
  async function sidecarAt(replica: string, pod: string): Promise<Sidecar> {
    await stage.objects.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: pod, namespace: NS, labels: { 'weft.dev/inject': 'disabled' } },
      spec: { schedulerName: 'nobody', containers: [{ name: 'app', image: 'nowhere' }] },
    });
    const { uid } = (await stage.objects.get('pod', pod, NS))!.metadata;
    const secret = await stage.objects.get<Item & { data: Record<string, string> }>('secret', AUTHORITY_SECRET, SYSTEM_NAMESPACE);
    const pem = (key: string) => Buffer.from(secret!.data[key]!, 'base64').toString();
    const settings = { trustDomain: DEFAULT_TRUST_DOMAIN, now: Date.now };
    const authority = await Authority.load({ certificate: pem('tls.crt'), key: pem('tls.key') }, settings);
    const { kubeconfig } = stage.objects;
    const way = await openPortForward({ kubeconfig, namespace: SYSTEM_NAMESPACE, pod: replica, port: CONTROL_PLANE_GRPC_PORT });
    ways.push(way);
    const certificate = await certify(authority, NS, 'default', uid);
    const sidecar = dial(way.localPort, authority.rootsPem(), certificate).hello(pod, [`${NS}/echo`], [], NS);
    sidecars.push(sidecar);
    return sidecar;
  }

  /** Name of the pod that holds the Lease; '' where none does. */
  async function leaderName(): Promise<string> {
    const lease = await stage.objects.get<Lease>('lease', CONTROL_PLANE_NAME, SYSTEM_NAMESPACE);
    return lease?.spec.holderIdentity?.split(/[/_]/)[0] ?? '';
  }

  function routeWith(value: string): Item {
    return grpcRoute(NS, 'echo', 'echo', [{ filters: [answerHeader('x-round', value)], backendRefs: [backend('echo')] }]);
  }
});
