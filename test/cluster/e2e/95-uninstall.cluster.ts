// Weft goes: refused while it is in use, then without a trace and without harm to what runs; and comes back.
import { expect } from 'chai';
import {
  ANNOTATION_STATUS,
  CONTROL_PLANE_GRPC_PORT,
  LABEL_INJECT,
  SYSTEM_NAMESPACE,
  TRUST_CONFIG_MAP,
  TRUST_KEY,
} from '#core/contract/names.ts';
import type { Call } from '../support/caller.ts';
import { install, weft } from '../support/install.ts';
import { eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { echo, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-uninstall';
const OUTSIDE = 'e2e-uninstall-outside';
const ECHO: Call = { to: `echo.${NS}:7070` };
const PART_OF_WEFT = 'app.kubernetes.io/part-of=weft';
const CLUSTER_WIDE = ['clusterroles', 'clusterrolebindings', 'mutatingwebhookconfigurations'];

const REPLICAS = 3;

describe('Uninstalling', () => {
  const stage = scene({ [NS]: INJECT, [OUTSIDE]: {} });

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(echo({ namespace: NS, name: 'echo' }), service(NS, 'echo'));
    await stage.objects.rolledOut(NS, 'echo');
  });

  it('is refused while pods have a sidecar; leaves nothing behind and harms no call; and Weft comes back with one authority', async function () {
    this.timeout(400_000);
    const outsider = await stage.caller(OUTSIDE, 'outsider');
    await outsider.until('an answer', ECHO, ({ grpcStatus }) => grpcStatus === 0);
    expect((await weft(stage.objects, ['uninstall'])).code).to.equal(1);

    await stage.objects.must(['label', 'namespace', NS, `${LABEL_INJECT}-`]);
    await stage.objects.must(['rollout', 'restart', 'deployment/echo', '-n', NS]);
    await stage.objects.rolledOut(NS, 'echo');
    // Pods of stories before this one may still be on their way out; pods that no story started are a reason to leave
    // Weft where it is.
    const others = await stage.objects.list<PodItem>('pods');
    if (others.some(({ metadata }) => metadata.annotations?.[ANNOTATION_STATUS] !== undefined && metadata.deletionTimestamp === undefined))
      this.skip();
    const printed = await eventually('weft uninstall to agree', async () => {
      const { code, stdout } = await weft(stage.objects, ['uninstall']);
      return code === 0 && stdout;
    });

    const load = await outsider.load({ ...ECHO, rps: 50 });
    await stage.objects.must(['delete', '--ignore-not-found', '--timeout=120s', '-f', '-'], printed);
    try {
      expect(await stage.objects.get('namespace', SYSTEM_NAMESPACE)).to.equal(undefined);
      for (const kind of CLUSTER_WIDE) expect(await stage.objects.list(kind, undefined, PART_OF_WEFT), kind).to.deep.equal([]);
      expect((await stage.objects.list('configmaps')).filter(({ metadata }) => metadata.name === TRUST_CONFIG_MAP)).to.deep.equal([]);
      const again = await weft(stage.objects, ['uninstall']);
      expect([again.code, again.stdout.trim()]).to.deep.equal([0, '']);
      const { total } = await load.stop();
      expect(total.ok).to.be.greaterThan(0);
      expect(total.failed, JSON.stringify(total.errors)).to.equal(0);
      await stage.objects.must(['rollout', 'restart', 'deployment/echo', '-n', NS]);
      await stage.objects.rolledOut(NS, 'echo');
    } finally {
      // Three replicas start at once where there is no authority yet: all must end with the same one.
      await install(stage.objects, `controlPlane.replicas=${REPLICAS}`);
    }
    expect(await replicasTrustedBy(await rootsOf())).to.equal(REPLICAS);
    await stage.objects.must(['label', 'namespace', NS, `${LABEL_INJECT}=enabled`]);
    await eventually('a meshed pod', async () => {
      await stage.objects.must(['rollout', 'restart', 'deployment/echo', '-n', NS]);
      await stage.objects.rolledOut(NS, 'echo');
      const pods = await stage.objects.list<PodItem>('pods', NS, 'app=echo');
      return pods.some(({ metadata }) => metadata.annotations?.[ANNOTATION_STATUS] !== undefined);
    });
    const meshed = await stage.caller(NS);
    const answer = await meshed.until('an answer through the new mesh', ECHO, ({ grpcStatus }) => grpcStatus === 0);
    expect(answer.seen['x-forwarded-client-cert']?.join()).to.contain(`ns/${NS}/sa/default`);
    await install(stage.objects);
  });

  function rootsOf(): Promise<string> {
    return eventually('the roots', async () => {
      const bundle = await stage.objects.get<Item & { data?: Record<string, string> }>('configmap', TRUST_CONFIG_MAP, SYSTEM_NAMESPACE);
      return bundle?.data?.[TRUST_KEY];
    });
  }

  /** How many replicas of the control plane show a certificate of these roots. */
  async function replicasTrustedBy(roots: string): Promise<number> {
    const script = `const ca = Buffer.from('${Buffer.from(roots).toString('base64')}', 'base64');
      const to = { host: '127.0.0.1', port: ${CONTROL_PLANE_GRPC_PORT}, ca, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
      require('node:tls').connect(to, () => process.exit(0)).on('error', () => process.exit(1));`;
    const pods = await stage.objects.list<PodItem>('pods', SYSTEM_NAMESPACE, 'app.kubernetes.io/component=control-plane');
    const codes = pods.map(async ({ metadata }) => {
      const { code } = await stage.objects.run(['exec', metadata.name, '-n', SYSTEM_NAMESPACE, '--', 'node', '-e', script]);
      return code;
    });
    return (await Promise.all(codes)).filter((code) => code === 0).length;
  }
});
