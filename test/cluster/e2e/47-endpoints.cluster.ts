// Which endpoints of a Service are called, beside a caller without a mesh: internalTrafficPolicy, hints, and endpoints
// that terminate.
import { expect } from 'chai';
import type { Caller } from '../support/caller.ts';
import { eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, GRPC_PORT, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-endpoints';
const OUTSIDE = 'e2e-endpoints-outside';
/** A node that the cluster does not have. */
const ELSEWHERE = 'elsewhere';
/** A port that is opaque by default. */
const OPAQUE_PORT = 4444;

describe('the endpoints of a Service', () => {
  const stage = scene({ [NS]: INJECT, [OUTSIDE]: {} });
  let meshed: Caller;
  let unmeshed: Caller;
  let here: PodItem;
  let there: PodItem;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'here' }),
      echo({ namespace: NS, name: 'there' }),
      echo({
        namespace: NS,
        name: 'single',
        container: { lifecycle: { preStop: { sleep: { seconds: 12 } } } },
        pod: { terminationGracePeriodSeconds: 30 },
      }),
      service(NS, 'single', { version: 'single' }),
      service(NS, 'opaque', { version: 'here' }, { ports: [{ port: OPAQUE_PORT, targetPort: GRPC_PORT }] }),
      grpcRoute(NS, 'opaque', { name: 'opaque', port: OPAQUE_PORT }, [
        { backendRefs: [backend('opaque', 1, { port: OPAQUE_PORT })], filters: [answerHeader('x-routed', 'yes')] },
      ]),
    );
    [meshed, unmeshed] = await Promise.all([
      stage.caller(NS),
      stage.caller(OUTSIDE, 'outsider'),
      stage.objects.rolledOut(NS, 'here', 'there', 'single'),
    ]);
    const pods = await stage.objects.list<PodItem>('pods', NS);
    const podOf = (name: string): PodItem => pods.find(({ metadata }) => metadata.name.startsWith(`${name}-`))!;
    [here, there] = [podOf('here'), podOf('there')];
  });

  /** A Service without selector, whose endpoints are made by hand: `here` is on this node, `there` is said not to be. */
  async function applyByHand(name: string, spec: Record<string, unknown>, places: readonly Record<string, unknown>[]): Promise<void> {
    const ports = [{ name: 'grpc', port: GRPC_PORT, appProtocol: 'kubernetes.io/h2c' }];
    const endpoints = [here, there].map((pod, i) => ({
      addresses: [(pod as unknown as { status: { podIP: string } }).status.podIP],
      conditions: { ready: true },
      targetRef: { kind: 'Pod', namespace: NS, name: pod.metadata.name },
      ...places[i],
    }));
    await stage.objects.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: NS }, spec: { ports, ...spec } }, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace: NS, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'grpc', port: GRPC_PORT, protocol: 'TCP' }],
      endpoints,
    } as unknown as Item);
  }

  const nodeName = (): string => (here as unknown as { spec: { nodeName: string } }).spec.nodeName;

  async function hostsOf(caller: Caller, to: string): Promise<string[]> {
    let last: unknown;
    const answers = async (): Promise<boolean> => {
      const answer = await caller.grpc({ to, fresh: true });
      last = answer;
      return answer.hostname !== undefined;
    };
    await eventually('the Service answers', answers).catch((error: Error) => {
      throw new Error(`${error.message} (${caller === meshed ? 'meshed' : 'unmeshed'}): ${JSON.stringify(last)}`);
    });
    const seen = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const { hostname, ...rest } = await caller.grpc({ to, fresh: true });
      expect(hostname, JSON.stringify(rest)).to.be.a('string');
      seen.add(hostname!);
    }
    return [...seen];
  }

  it('are those on its node with internalTrafficPolicy: Local, 20 of 20, meshed as unmeshed', async () => {
    await applyByHand('local', { internalTrafficPolicy: 'Local' }, [{ nodeName: nodeName() }, { nodeName: ELSEWHERE }]);
    for (const caller of [unmeshed, meshed]) {
      expect(await hostsOf(caller, `local.${NS}:${GRPC_PORT}`)).to.deep.equal([here.metadata.name]);
    }
  });

  it('are none where its node has none, and the answer says why', async () => {
    await applyByHand('nowhere', { internalTrafficPolicy: 'Local' }, [{ nodeName: ELSEWHERE }, { nodeName: ELSEWHERE }]);
    await eventually('the reason', async () => {
      const { grpcStatus, message } = await meshed.grpc({ to: `nowhere.${NS}:${GRPC_PORT}` });
      return grpcStatus === 14 && /on this node \(internalTrafficPolicy: Local\)/.test(message);
    });
  });

  it('are those hinted for its node, 20 of 20, meshed as unmeshed', async () => {
    const hints = (...names: string[]) => ({ hints: { forNodes: names.map((name) => ({ name })), forZones: [{ name: 'any' }] } });
    await applyByHand('hinted', { trafficDistribution: 'PreferSameNode' }, [hints(nodeName()), hints(ELSEWHERE)]);
    for (const caller of [unmeshed, meshed]) {
      expect(await hostsOf(caller, `hinted.${NS}:${GRPC_PORT}`)).to.deep.equal([here.metadata.name]);
    }
  });

  it('are in force on an opaque port that a route names', async () => {
    await eventually('the route holds', async () => {
      const { headers } = await meshed.grpc({ to: `opaque.${NS}:${OPAQUE_PORT}` });
      return headers?.['x-routed'] === 'yes';
    });
  });

  it('take calls while they terminate and no other is ready: a single replica fails none during its preStop', async () => {
    const to = `single.${NS}:${GRPC_PORT}`;
    const call = async (caller: Caller) => (await caller.grpc({ to, fresh: true })).grpcStatus;
    expect([await call(unmeshed), await call(meshed)]).to.deep.equal([0, 0]);
    await stage.objects.patch('deployment', 'single', NS, { spec: { replicas: 0 } }, 'merge');
    await eventually('the pod terminates', async () => {
      const slices = await stage.objects.list<Item & { endpoints: { conditions: { terminating?: boolean } }[] }>('endpointslices', NS);
      return slices.some(
        ({ metadata, endpoints }) => metadata.name.startsWith('single-') && endpoints?.some(({ conditions }) => conditions.terminating),
      );
    });
    for (let i = 0; i < 20; i++) expect([await call(unmeshed), await call(meshed)], `call ${i}`).to.deep.equal([0, 0]);
  });
});
