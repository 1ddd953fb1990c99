// Pods as they come: users and groups under which the sidecar must still read its token, a start while the control
// plane is away.
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, SIDECAR_CONTAINER, SIDECAR_USER_ID, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { eventually, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { callerPod, echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-pod-start';
const ECHO = { to: 'echo:7070' };

describe('A pod starts meshed', () => {
  const stage = scene({ [NS]: INJECT });

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(echo({ namespace: NS, name: 'echo', labels: { 'weft.dev/mtls': 'strict' } }), service(NS, 'echo'));
    await stage.objects.rolledOut(NS, 'echo');
  });

  const users: Record<string, Record<string, unknown>> = {
    'as root alone': { runAsUser: 0 },
    'as a user that is not root': { runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true },
    'with fsGroup 0': { fsGroup: 0 },
    'with an fsGroup': { runAsUser: 1000, runAsNonRoot: true, fsGroup: 5000 },
  };
  for (const [i, [what, securityContext]] of Object.entries(users).entries()) {
    it(what, async () => {
      const caller = await stage.caller(NS, `user-${i}`, {}, { securityContext });
      expect((await caller.grpc(ECHO)).grpcStatus).to.equal(0);
    });
  }

  it('and its sidecar has given up root and all capabilities', async () => {
    const pod = (await stage.objects.list<PodItem>('pods', NS, 'app=echo'))[0]!.metadata.name;
    const script = "console.log(require('node:fs').readFileSync('/proc/1/status', 'utf8'))";
    const status = await stage.objects.must(['exec', pod, '-n', NS, '-c', SIDECAR_CONTAINER, '--', 'node', '-e', script]);
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1]?.trim().replaceAll('\t', ' ');
    const id = SIDECAR_USER_ID;
    expect(field('Uid')).to.equal(`${id} ${id} ${id} ${id}`);
    expect(field('Gid')).to.equal(`${id} ${id} ${id} ${id}`);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(field(set), set).to.match(/^0+$/);
    expect(field('NoNewPrivs')).to.equal('1');
  });

  it('no earlier than the control plane is back, and can be deleted meanwhile', async function () {
    this.timeout(300_000);
    const { objects } = stage;
    const isReady = async (name: string) =>
      (await objects.get<PodItem>('pod', name, NS))?.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    await objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
    try {
      const gone = async () => (await objects.list('pods', SYSTEM_NAMESPACE, 'app.kubernetes.io/component=control-plane')).length === 0;
      await eventually('the control plane to be gone', gone);
      await objects.apply(...callerPod(NS, 'early'), ...callerPod(NS, 'unwanted'));
      const sidecarRuns = async (name: string) => {
        const statuses = (await objects.get<PodItem>('pod', name, NS))?.status.initContainerStatuses ?? [];
        return statuses.some((status) => status.name === SIDECAR_CONTAINER && 'running' in ((status as { state?: object }).state ?? {}));
      };
      await objects.delete('pod', 'unwanted', NS, ['--wait=true', '--timeout=60s']);
      await eventually('the sidecar to run', () => sidecarRuns('early'), 60_000);
      expect(await isReady('early')).to.not.equal(true);
    } finally {
      await objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
    }
    await objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    await eventually('the pod to be Ready', () => isReady('early'), 60_000);
    const caller = await stage.caller(NS, 'early');
    expect((await caller.grpc(ECHO)).grpcStatus).to.equal(0);
  });
});
