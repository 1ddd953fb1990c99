// Two whole control planes on one API server, each with sidecars of its own: a route is applied when those of both run
// it, and of a replica that does not answer nothing is claimed.
import { expect } from 'chai';
import { Authority } from '#certs/authority.ts';
import { ClusterProgram } from '#control-plane/program/cluster.ts';
import { AUTHORITY_SECRET } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS } from '#kube/api.ts';
import { endpointSliceKind } from '#objects/endpoint-slice.ts';
import { type GRPCRoute, grpcRouteKind } from '#objects/grpc-route.ts';
import { podKind } from '#objects/pod.ts';
import { serviceKind } from '#objects/service.ts';
import { certify, dial, type Sidecar } from '../control-plane/publish/sidecar.ts';
import { FakeApi } from '../support/fake-api.ts';
import { until } from '../support/until.ts';

const ROUTE = { kind: grpcRouteKind, namespace: 'shop', name: 'canary' };
const SECRET = { kind: KINDS.Secret, namespace: 'weft-system', name: AUTHORITY_SECRET };
/**
 * Statuses are written seconds apart: six of them pass in one. Certificates are of the true time, at which each test
 * begins.
 */
const SPEED = 6;
let beganMs = Date.now();
const quick: Timers = {
  now: () => beganMs + (Date.now() - beganMs) * SPEED,
  after: (ms, then) => systemTimers.after(ms / SPEED, then),
};

describe('two replicas of the control plane', function () {
  this.timeout(120_000);
  let api: FakeApi;
  let authority: Authority;
  let programs: ClusterProgram[];
  const opened: Sidecar[] = [];

  beforeEach(async () => {
    beganMs = Date.now();
    api = new FakeApi();
    const pem = await Authority.generate({ trustDomain: 'test.local', now: Date.now });
    authority = await Authority.load(pem, { trustDomain: 'test.local', now: Date.now });
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    api.put(SECRET, { data: { 'tls.crt': base64(pem.certificate), 'tls.key': base64(pem.key) } });
    api.put({ kind: serviceKind, namespace: 'shop', name: 'payment' }, { spec: { clusterIP: '10.0.0.1', ports: [{ port: 7070 }] } });
    routeTo('x-round', 1);
    for (const name of ['checkout-0', 'checkout-1'])
      api.put({ kind: podKind, namespace: 'shop', name }, { metadata: { uid: `uid-${name}` }, spec: { serviceAccountName: 'checkout' } });
    programs = [];
    await start();
    await start();
    show();
  });

  afterEach(async () => {
    for (const sidecar of opened.splice(0)) sidecar.close();
    await Promise.all(programs.map((program) => program.stop()));
  });

  /** A replica more, "weft-<n>". */
  async function start(): Promise<void> {
    const program = new ClusterProgram({
      client: api,
      pod: { namespace: 'weft-system', name: `weft-${programs.length}` },
      trustDomain: 'test.local',
      meshName: 'weft',
      leafLifetimeMs: 3600_000,
      host: '127.0.0.1',
      port: 0,
      viewPort: 0,
      timers: quick,
      random: () => 0.5,
      log: silentLogger,
    });
    programs.push(program);
    await program.start();
  }

  /** As the endpoints of Weft's own Service the replicas that run, a slice for each, because each has its own port. */
  function show(ready = true): void {
    programs.forEach((program, i) => {
      const name = `weft-${i}`;
      api.put(
        { kind: endpointSliceKind, namespace: 'weft-system', name },
        {
          metadata: { labels: { 'kubernetes.io/service-name': 'weft-control-plane' } },
          addressType: 'IPv4',
          ports: [{ name: 'grpc', port: program.grpcPort || 1 }],
          endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready }, targetRef: { kind: 'Pod', namespace: 'weft-system', name } }],
        },
      );
    });
  }

  function routeTo(header: string, generation: number): void {
    const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: header, value: '1' }] } }];
    api.put(ROUTE, {
      ...api.get(ROUTE),
      metadata: { generation },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'payment' }],
        rules: [{ filters, backendRefs: [{ name: 'payment', port: 7070 }] }],
      },
    });
  }

  async function sidecar(replica: number, services = ['shop/payment']): Promise<Sidecar> {
    const name = `checkout-${replica}`;
    const certificate = await certify(authority, 'shop', 'checkout', `uid-${name}`);
    const one = dial(programs[replica]!.grpcPort, authority.rootsPem(), certificate).hello(name, services);
    opened.push(one);
    return one;
  }

  function applied(): string {
    const parent = (api.get(ROUTE) as GRPCRoute | undefined)?.status?.parents?.[0];
    const condition = parent?.conditions?.find(({ type }) => type === 'weft.dev/Applied');
    return condition === undefined
      ? 'absent'
      : `${condition.status} ${condition.reason} ${condition.observedGeneration}: ${condition.message}`;
  }

  const becomes = async (text: string): Promise<void> => {
    await until(() => applied() === text, `the condition says: ${text}`).catch((error: Error) => {
      const streams = opened.map(({ ended }) => ended?.details ?? 'open').join(', ');
      throw new Error(`${error.message}; it says: ${applied()}; streams: ${streams}`);
    });
  };

  it('count the sidecars of both, whichever leads', async () => {
    await sidecar(0);
    await sidecar(1);
    await becomes('True AllSidecars 1: applied on 2 of 2 sidecars');
  });

  it('call a route applied when the sidecars of both run its newest version, and not before', async () => {
    await sidecar(0);
    const held = await sidecar(1);
    await becomes('True AllSidecars 1: applied on 2 of 2 sidecars');
    held.answers = false;
    routeTo('x-next', 2);
    await becomes('False Pending 2: applied on 1 of 2 sidecars');
    held.answer(held.responses.at(-1)!);
    await becomes('True AllSidecars 2: applied on 2 of 2 sidecars');
  });

  it('name a sidecar of the other one that refuses a route', async () => {
    await sidecar(0);
    const refusing = await sidecar(1, []);
    refusing.rejects.add('service/shop/payment');
    refusing.want('shop/payment');
    await becomes('False Rejected 1: applied on 1 of 2 sidecars; rejected by shop/checkout-1: cannot compile');
  });

  it('claim nothing of a replica that does not answer, until it does or is gone', async () => {
    await sidecar(0);
    await sidecar(1);
    await becomes('True AllSidecars 1: applied on 2 of 2 sidecars');
    const stray = {
      metadata: { labels: { 'kubernetes.io/service-name': 'weft-control-plane' } },
      addressType: 'IPv4',
      ports: [{ name: 'grpc', port: 1 }],
      endpoints: [
        { addresses: ['127.0.0.1'], conditions: { ready: true }, targetRef: { kind: 'Pod', namespace: 'weft-system', name: 'weft-2' } },
      ],
    };
    const at = { kind: endpointSliceKind, namespace: 'weft-system', name: 'weft-2' };
    api.put(at, stray);
    routeTo('x-next', 2);
    await becomes('Unknown ReplicaUnknown 2: applied on 2 of 2 sidecars; the sidecars of weft-2 are not known');
    // One that starts: nothing is sent to it, and nothing listens.
    api.put(at, { ...stray, endpoints: [{ ...stray.endpoints[0], conditions: { ready: false } }] });
    await becomes('True AllSidecars 2: applied on 2 of 2 sidecars');
    api.put(at, stray);
    routeTo('x-last', 3);
    await becomes('Unknown ReplicaUnknown 3: applied on 2 of 2 sidecars; the sidecars of weft-2 are not known');
    api.drop(at);
    await becomes('True AllSidecars 3: applied on 2 of 2 sidecars');
  });

  it('go on counting when the leader stops: another asks from then on', async () => {
    await sidecar(0);
    await sidecar(1);
    await becomes('True AllSidecars 1: applied on 2 of 2 sidecars');
    const lease = () =>
      (api.get({ kind: KINDS.Lease, namespace: 'weft-system', name: 'weft-control-plane' })?.spec as { holderIdentity?: string })
        ?.holderIdentity;
    const leader = Number(lease()!.slice('weft-'.length));
    await programs[leader]!.stop();
    api.drop({ kind: endpointSliceKind, namespace: 'weft-system', name: `weft-${leader}` });
    routeTo('x-next', 2);
    await becomes('True AllSidecars 2: applied on 1 of 1 sidecar');
  });

  it('write nothing while nothing changes', async () => {
    await sidecar(0);
    await sidecar(1);
    await becomes('True AllSidecars 1: applied on 2 of 2 sidecars');
    const statuses = (): number => api.writes.filter(({ path }) => path.endsWith('/status')).length;
    const before = statuses();
    // Both replicas have renewed the lease's time or looked at it often meanwhile.
    const asked = api.asked.length;
    await until(() => api.asked.length >= asked + 10, 'the replicas have gone on');
    expect(statuses()).to.equal(before);
  });
});
