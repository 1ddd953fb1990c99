// Pods of a namespace that enforces Pod Security `restricted`, captured by the node agent: while it is there, while it is
// away, when it comes back, and after it has gone.
import { expect } from 'chai';
import { NODE_AGENT_NAME, SIDECAR_CONTAINER, SIDECAR_USER_ID, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { hasPodCgroups } from '../cgroups.ts';
import { CLUSTER_DIRECTORY } from '../cluster.ts';
import { networkName } from '../network.ts';
import { openCluster } from '../session.ts';
import type { Call, Caller } from '../support/caller.ts';
import { install, weft } from '../support/install.ts';
import { type EventItem, eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { callerPod, echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-restricted';
const OUTSIDE = 'e2e-restricted-outside';
const AGENT = 'app.kubernetes.io/component=node-agent';
const STRICT: Call = { to: `strict.${NS}:7070`, fresh: true };
const IDENTITY = `spiffe://cluster.local/ns/${NS}/sa/default`;
/** What `restricted` asks of a container. */
const RESTRICTED = {
  securityContext: {
    runAsUser: 1000,
    runAsNonRoot: true,
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  },
};
/** A node that there is not. */
const NOWHERE = { 'weft.test/nowhere': 'true' };

/** A caller's pod, fit for `restricted`. */
function restrictedCaller(name: string): { containers: unknown[] } {
  const [, made] = callerPod(NS, name) as (Item & { spec: { containers: object[] } })[];
  return { containers: made!.spec.containers.map((container) => ({ ...container, ...RESTRICTED })) };
}

describe('A namespace that enforces restricted', () => {
  const stage = scene({ [NS]: { ...INJECT, 'pod-security.kubernetes.io/enforce': 'restricted' }, [OUTSIDE]: {} });
  let caller: Caller;

  const agents = () => stage.objects.list<PodItem>('pods', SYSTEM_NAMESPACE, AGENT);
  const isReady = ({ status }: PodItem) => status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
  const pod = async (name: string) => (await stage.objects.get<PodItem>('pod', name, NS))!;
  const agentsReady = () =>
    stage.objects.must(['-n', SYSTEM_NAMESPACE, 'rollout', 'status', `daemonset/${NODE_AGENT_NAME}`, '--timeout=120s']);
  const selectNodes = (nodes: Record<string, string | null>) =>
    stage.objects.patch('daemonset', NODE_AGENT_NAME, SYSTEM_NAMESPACE, { spec: { template: { spec: { nodeSelector: nodes } } } });

  before(async function () {
    this.timeout(300_000);
    // The agent finds a pod's processes by them.
    if (!(await openCluster()).external && !hasPodCgroups(networkName(CLUSTER_DIRECTORY))) this.skip();
    // One that an earlier run left would go on with the image of before.
    await stage.objects.delete('daemonset', NODE_AGENT_NAME, SYSTEM_NAMESPACE, ['--wait=true']);
    await install(stage.objects, 'nodeAgent.enabled=true');
    await agentsReady();
    const strict = { labels: { 'weft.dev/mtls': 'strict' } };
    await stage.objects.apply(echo({ namespace: NS, name: 'strict', ...strict, container: RESTRICTED }), service(NS, 'strict'));
    await stage.objects.rolledOut(NS, 'strict');
    caller = await stage.caller(NS, 'caller', {}, restrictedCaller('caller'));
  });

  after(async function () {
    this.timeout(300_000);
    await install(stage.objects);
    for (const kind of ['daemonset', 'serviceaccount']) await stage.objects.delete(kind, NODE_AGENT_NAME, SYSTEM_NAMESPACE);
    for (const kind of ['clusterrolebinding', 'clusterrole']) await stage.objects.delete(kind, NODE_AGENT_NAME);
  });

  it('is meshed: its pods are Ready, and call each other with mTLS', async () => {
    const answer = await caller.until('an answer', STRICT, ({ grpcStatus }) => grpcStatus === 0);
    expect(answer.seen['x-forwarded-client-cert']?.join()).to.contain(IDENTITY);
    const outsider = await stage.caller(OUTSIDE, 'outsider');
    const refused = await outsider.grpc(STRICT);
    expect(refused.error ?? '', JSON.stringify(refused)).not.to.equal('');
  });

  it('has sidecars without any right, from their first instruction', async () => {
    const script = "console.log(require('node:fs').readFileSync('/proc/1/status', 'utf8'))";
    const status = await stage.objects.must(['exec', 'caller', '-n', NS, '-c', SIDECAR_CONTAINER, '--', 'node', '-e', script]);
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim().replaceAll('\t', ' ');
    const id = SIDECAR_USER_ID;
    expect(field('Uid')).to.equal(`${id} ${id} ${id} ${id}`);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(field(set), set).to.match(/^0+$/);
    expect(field('NoNewPrivs')).to.equal('1');
  });

  it('is said by check to be captured by the node agent', async () => {
    const { stdout } = await weft(stage.objects, ['check']);
    expect(stdout)
      .to.match(/captured by the node agent/)
      .and.match(/the node agent is ready on 1 node/);
    expect(stdout).not.to.contain('Pod Security refuses');
  });

  it('has pods that wait while the agent is away, say why, can be deleted, and go on when it is back', async function () {
    this.timeout(300_000);
    const { objects } = stage;
    await selectNodes(NOWHERE);
    try {
      await eventually('the agent to be gone', async () => (await agents()).length === 0);
      for (const name of ['waiting', 'unwanted']) await objects.apply(...callerPod(NS, name, {}, restrictedCaller(name)));
      const sidecarOf = async (name: string) =>
        (await pod(name)).status.initContainerStatuses?.find((each) => each.name === SIDECAR_CONTAINER) as
          | { started?: boolean; state?: { running?: object } }
          | undefined;
      await eventually('the sidecar to run', async () => (await sidecarOf('waiting'))?.state?.running !== undefined);
      const said = await eventually<EventItem>('an Event that says why', async () =>
        (await objects.eventsAbout(NS, 'Pod', 'waiting')).find(({ message }) => message.includes('waits for the node agent')),
      );
      expect(said.type).to.equal('Warning');
      expect((await sidecarOf('waiting'))!.started).to.equal(false);
      const [application] = (await pod('waiting')).status.containerStatuses ?? [];
      expect(application!.state.waiting?.reason).to.equal('PodInitializing');
      const { stdout } = await weft(objects, ['check']);
      expect(stdout).to.match(/there is no pod of DaemonSet weft-node-agent/);
      // Those that ran before go on.
      expect((await caller.grpc(STRICT)).grpcStatus).to.equal(0);
      await objects.delete('pod', 'unwanted', NS, ['--wait=true', '--timeout=60s']);
    } finally {
      await selectNodes({ 'weft.test/nowhere': null });
    }
    await agentsReady();
    await eventually('the pod to be Ready', async () => isReady(await pod('waiting')), 60_000);
    const late = await stage.caller(NS, 'waiting', {}, restrictedCaller('waiting'));
    expect((await late.grpc(STRICT)).grpcStatus).to.equal(0);
  });

  it('does not notice that the agent restarts, nor that it is removed', async function () {
    this.timeout(300_000);
    const { objects } = stage;
    const load = await caller.load({ to: STRICT.to, rps: 50 });
    for (const { metadata } of await agents()) await objects.delete('pod', metadata.name, SYSTEM_NAMESPACE, ['--wait=true']);
    await agentsReady();
    await eventually('calls after the restart', async () => (await load.look()).window.ok > 50);
    await objects.delete('daemonset', NODE_AGENT_NAME, SYSTEM_NAMESPACE, ['--wait=true']);
    await eventually('the agent to be gone', async () => (await agents()).length === 0);
    await eventually('calls after that', async () => (await load.look()).window.ok > 50);
    const { total } = await load.stop();
    expect(total.failed, JSON.stringify(total.errors)).to.equal(0);
    // New connections are captured, too.
    expect((await caller.grpc(STRICT)).grpcStatus).to.equal(0);
  });
});
