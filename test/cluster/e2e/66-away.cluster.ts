// The control plane away for long, rolled, and installed with other values: what was known goes on encrypted, what has
// expired says so, and pods made afterwards have the values of today.
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, SIDECAR_CONTAINER, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { manifests } from '../install.ts';
import type { Caller } from '../support/caller.ts';
import { install, weft } from '../support/install.ts';
import { eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { CALLER_IMAGE, callerPod, echo, echoContainer, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-away';
const STRICT = { 'weft.dev/mtls': 'strict' };
const IDENTITY = 'x-forwarded-client-cert';
/** Longer than an idle address is kept at other times (IDLE_MS in sidecar/outbound/pod-addresses.ts). */
const IDLE_MS = 75_000;
const LEAF_SECONDS = 60;

describe('The control plane away', () => {
  const stage = scene({ [NS]: INJECT });
  let caller: Caller;

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      statefulSet('strict', STRICT),
      statefulSet('permissive', {}),
      service(NS, 'strict', { version: 'strict' }, { clusterIP: 'None' }),
      service(NS, 'permissive', { version: 'permissive' }, { clusterIP: 'None' }),
    );
    caller = await stage.caller(NS);
    for (const name of ['strict', 'permissive']) {
      await stage.objects.must(['rollout', 'status', `statefulset/${name}`, '-n', NS, '--timeout=180s']);
      await caller.until(`an answer of ${name}-0`, to(`${name}-0.${name}`), ({ grpcStatus }) => grpcStatus === 0);
    }
  });

  it('pods that are addressed by their names are reached, encrypted, after more than a minute without calls', async function () {
    this.timeout(300_000);
    await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
    try {
      await controlPlaneGone();
      const sinceMs = Date.now();
      await eventually('time to pass without calls', async () => Date.now() - sinceMs > IDLE_MS, 2 * IDLE_MS);
      for (const name of ['strict', 'permissive']) {
        const answer = await caller.grpc(to(`${name}-0.${name}`));
        expect(answer.grpcStatus, JSON.stringify(answer)).to.equal(0);
        expect(answer.seen[IDENTITY]?.join(), name).to.contain(`spiffe://cluster.local/ns/${NS}/sa/default`);
        const never = await caller.grpc(to(`${name}-1.${name}`));
        expect(never.message, 'what was never known is refused').to.contain('no_config').and.contain('the control plane is away');
      }
    } finally {
      await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    }
    await caller.until('what was refused', to('strict-1.strict'), ({ grpcStatus }) => grpcStatus === 0);
  });

  it('pods that start while it is rolled are served', async function () {
    this.timeout(300_000);
    await stage.objects.must(['rollout', 'restart', `deployment/${CONTROL_PLANE_NAME}`, '-n', SYSTEM_NAMESPACE]);
    const names = Array.from({ length: 6 }, (_, i) => `rolled-${i}`);
    for (const name of names) {
      await stage.objects.apply(...callerPod(NS, name));
      await eventually(`${name} to be Ready`, async () => isReady((await stage.objects.get<PodItem>('pod', name, NS))!), 60_000, 100);
    }
    await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
    await Promise.all(names.map((name) => stage.objects.delete('pod', name, NS, ['--wait=false'])));
  });

  it('pods made after a rollout of the injector have the new values, and check names those that are older', async function () {
    this.timeout(400_000);
    await stage.objects.apply(echo({ namespace: NS, name: 'older' }));
    await stage.objects.rolledOut(NS, 'older');
    for (let round = 0; round < 6; round++) {
      const level = round % 2 === 0 ? 'debug' : 'info';
      const text = await manifests({ image: CALLER_IMAGE, args: ['--set', `sidecar.logLevel=${level}`] });
      await stage.objects.must(['apply', '-f', '-'], text);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, INJECTOR_NAME);
      await stage.objects.apply(echo({ namespace: NS, name: 'newer', annotations: { round: `${round}` } }));
      const pod = await eventually('the new pod', async () => {
        const pods = await stage.objects.list<PodItem>('pods', NS, 'version=newer');
        return pods.find(({ metadata }) => metadata.annotations?.round === `${round}`);
      });
      const sidecar = pod.spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
      const { env = [] } = (sidecar ?? {}) as { env?: { name: string; value?: string }[] };
      expect(env.find(({ name }) => name === 'WEFT_LOG_LEVEL')?.value, `round ${round}`).to.equal(level);
    }
    await install(stage.objects, 'sidecar.logLevel=debug');
    await stage.objects.apply(echo({ namespace: NS, name: 'newest' }));
    await stage.objects.rolledOut(NS, 'newest');
    const found = await check('settings');
    expect(found?.state).to.equal('warning');
    const { stdout } = await weft(stage.objects, ['check', '-o', 'json']);
    expect(stdout).to.contain('settings that have changed since');
    await install(stage.objects);
    expect((await check('settings'))?.details.join('\n'))
      .to.contain(`${NS}/newest-`)
      .and.not.contain(`${NS}/older-`);
    await Promise.all(['older', 'newer', 'newest'].map((name) => stage.objects.delete('deployment', name, NS)));
  });

  it('a certificate that has expired makes its pod not ready, and all say so until there is a new one', async function () {
    this.timeout(400_000);
    await install(stage.objects, `controlPlane.leafSeconds=${LEAF_SECONDS}`);
    try {
      await stage.objects.apply(echo({ namespace: NS, name: 'short', labels: STRICT }), service(NS, 'short', { version: 'short' }));
      await stage.objects.rolledOut(NS, 'short');
      const call = to('short');
      await caller.until('an answer', call, ({ grpcStatus }) => grpcStatus === 0);
      await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
      await controlPlaneGone();
      await eventually('the pod to be not ready', async () => !isReady(await shortPod()), 180_000);
      const { message } = await caller.until(
        'the reason',
        call,
        (answer) => answer.grpcStatus === 14 && /certificate/.test(answer.message),
      );
      expect(message).to.match(/certificate_expired: .*its certificate expired at \d{4}-/);
      const expired = await eventually('check to see it', () => check('expired'));
      expect(expired.state).to.equal('failed');
      expect(expired.details.join('\n')).to.match(new RegExp(`${NS}/short-.*certificate expired at \\d{4}-.*and there is no new one: `));
      const events = await stage.objects.eventsAbout(NS, 'Pod', (await shortPod()).metadata.name);
      expect(events.map((event) => event.message).join('\n')).to.contain('statuscode: 503');
    } finally {
      await install(stage.objects);
    }
    await eventually('the pod to be ready', async () => isReady(await shortPod()), 60_000);
    await caller.until('an answer', to('short'), ({ grpcStatus }) => grpcStatus === 0);
  });

  const to = (host: string) => ({ to: `${host}:7070`, fresh: true });

  async function shortPod(): Promise<PodItem> {
    return (await stage.objects.list<PodItem>('pods', NS, 'version=short'))[0]!;
  }

  async function controlPlaneGone(): Promise<void> {
    const pods = async () => stage.objects.list('pods', SYSTEM_NAMESPACE, 'app.kubernetes.io/component=control-plane');
    await eventually('the control plane to be gone', async () => (await pods()).length === 0);
  }

  async function check(id: string): Promise<{ state: string; details: string[] } | undefined> {
    const { stdout } = await weft(stage.objects, ['check', '-o', 'json']);
    const { checks } = JSON.parse(stdout) as { checks: { id: string; state: string; details: string[] }[] };
    return checks.find((each) => each.id === id);
  }
});

function isReady({ status }: PodItem): boolean {
  return status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

/** Two echo servers with names of their own. */
function statefulSet(name: string, labels: Record<string, string>): Item {
  const selector = { app: 'echo', version: name };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace: NS },
    spec: {
      serviceName: name,
      replicas: 2,
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: { ...selector, ...labels } },
        spec: { containers: [echoContainer()], terminationGracePeriodSeconds: 1 },
      },
    },
  };
}
