// weft check, status, install and uninstall against a real cluster; what check says of things that are broken.
import { expect } from 'chai';
import { CONTROL_PLANE_NAME, INJECTOR_NAME, LABEL_INJECT, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { install, weft } from '../support/install.ts';
import { eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-cli';
const GRPC_ROUTES = 'grpcroutes.gateway.networking.k8s.io';
const BUNDLE = 'gateway.networking.k8s.io/bundle-version';

interface Check {
  id: string;
  state: 'ok' | 'warning' | 'failed' | 'skipped';
  text: string;
  details: string[];
  hint: string;
}

describe('weft against a cluster', () => {
  const stage = scene({ [NS]: INJECT });

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'echo' }),
      service(NS, 'echo'),
      grpcRoute(NS, 'echo', 'echo', [{ backendRefs: [backend('echo')] }]),
    );
    await stage.objects.rolledOut(NS, 'echo');
    const caller = await stage.caller(NS);
    await caller.until('an answer', { to: 'echo:7070' }, ({ grpcStatus }) => grpcStatus === 0);
  });

  it('passes its own check', async () => {
    const { code, checks } = await eventually('checks without failures', async () => {
      const result = await check();
      return result.code === 0 && result;
    });
    expect(code).to.equal(0);
    expect(checks.filter(({ state }) => state === 'failed')).to.deep.equal([]);
    const ids = checks.filter(({ state }) => state === 'ok').map(({ id }) => id);
    for (const id of [
      'api-server',
      'gateway-api',
      'authority',
      'webhook',
      'webhook-certificate',
      'injected',
      'ready',
      'connected',
      'routes',
    ])
      expect(ids).to.include(id);
  });

  it('shows, by weft status, the route on its sidecars, and each sidecar', async () => {
    const routes = await eventually('the route on all of its sidecars', async () => {
      const { stdout } = await weft(stage.objects, ['status', 'routes', '-n', NS]);
      return /\becho\b.*\b([1-9]\d*)\/\1\b/.test(stdout) && stdout;
    });
    expect(routes).to.contain('APPLIED');
    const sidecars = await weft(stage.objects, ['status', 'sidecars', '-n', NS]);
    expect(sidecars.code, sidecars.stderr).to.equal(0);
    expect(sidecars.stdout)
      .to.contain('caller')
      .and.to.match(/echo-[a-z0-9]+-[a-z0-9]+/);
  });

  it('changes nothing when it installs twice', async () => {
    await install(stage.objects);
    const said = await install(stage.objects);
    expect(
      said
        .trim()
        .split('\n')
        .filter((line) => !line.endsWith(' unchanged')),
    ).to.deep.equal([]);
  });

  it('refuses to uninstall while pods have a sidecar, and names them', async () => {
    const { code, stdout, stderr } = await weft(stage.objects, ['uninstall']);
    expect(code).to.equal(1);
    expect(stdout).to.equal('');
    expect(stderr).to.contain(NS).and.to.contain('caller').and.to.contain('--force');
    const forced = await weft(stage.objects, ['uninstall', '--force']);
    expect(forced.code, forced.stderr).to.equal(0);
    expect(forced.stdout).to.contain(CONTROL_PLANE_NAME).and.to.contain('MutatingWebhookConfiguration');
  });

  it('refuses values that do not exist, and names the nearest', async () => {
    const { code, stderr, stdout } = await weft(stage.objects, ['install', '--set', 'controlPlane.replica=2']);
    expect([code, stdout]).to.deep.equal([2, '']);
    expect(stderr).to.contain('controlPlane.replicas');
  });

  describe('finds by weft check what is broken, and says what to do:', () => {
    it('the webhook is gone', async () => {
      await stage.objects.delete('mutatingwebhookconfiguration', INJECTOR_NAME);
      try {
        const broken = await failing('webhook');
        expect(broken.hint).to.contain('weft install');
      } finally {
        await install(stage.objects);
      }
      await mended();
    });

    it('the caBundle is empty', async () => {
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 0);
      try {
        await eventually('the injector to be gone', async () => (await pods('injector')) === 0);
        const configuration = (await stage.objects.get<Item & { webhooks: unknown[] }>('mutatingwebhookconfiguration', INJECTOR_NAME))!;
        const edits = configuration.webhooks.map((_, index) => ({ op: 'remove', path: `/webhooks/${index}/clientConfig/caBundle` }));
        await stage.objects.patch('mutatingwebhookconfiguration', INJECTOR_NAME, undefined, edits, 'json');
        expect((await failing('webhook-certificate')).hint).to.contain('injector');
        expect((await failing('webhook-endpoints')).hint).to.contain(SYSTEM_NAMESPACE);
      } finally {
        await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 1);
        await stage.objects.rolledOut(SYSTEM_NAMESPACE, INJECTOR_NAME);
      }
      await mended();
    });

    it('the control plane is scaled to 0', async () => {
      await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 0);
      try {
        await eventually('the control plane to be gone', async () => (await pods('control-plane')) === 0);
        expect((await failing('control-plane')).hint).to.contain('scale deployment weft-control-plane');
      } finally {
        await stage.objects.scale(CONTROL_PLANE_NAME, SYSTEM_NAMESPACE, 1);
        await stage.objects.rolledOut(SYSTEM_NAMESPACE, CONTROL_PLANE_NAME);
      }
      await mended();
    });

    it('the CRDs are too old', async () => {
      const crd = (await stage.objects.get('crd', GRPC_ROUTES))!;
      const annotate = (version: string) =>
        stage.objects.patch('crd', GRPC_ROUTES, undefined, { metadata: { annotations: { [BUNDLE]: version } } });
      await withoutUpgradePolicy(async () => {
        try {
          await eventually('the policy to be out of force', async () => {
            await annotate('v0.8.1');
            return true;
          });
          const broken = await failing('gateway-api');
          expect(broken.text).to.contain('v0.8.1');
          expect(broken.hint).to.contain('kubectl apply');
        } finally {
          await annotate(crd.metadata.annotations![BUNDLE]!);
        }
      });
      await mended();
    });

    it('a pod has no sidecar in a namespace that is labelled', async () => {
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 0);
      await eventually('the injector to be gone', async () => (await pods('injector')) === 0);
      await stage.objects.apply(echo({ namespace: NS, name: 'bare' }));
      await stage.objects.rolledOut(NS, 'bare');
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 1);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, INJECTOR_NAME);
      const broken = await failing('injected');
      expect(broken.details.join()).to.contain(`${NS}/bare-`);
      expect(broken.hint).to.contain(`kubectl -n ${NS} rollout restart deployment/bare`);
      // A Ready injector is reached through its Service only when the node's rules know it; until then pods start
      // without.
      await eventually('a restart that is injected', async () => {
        await stage.objects.must(['rollout', 'restart', 'deployment/bare', '-n', NS]);
        await stage.objects.rolledOut(NS, 'bare');
        const { checks } = await check();
        return checks.some(({ id, state }) => id === 'injected' && state === 'ok');
      });
      await mended();
    });

    it('a namespace’s label means nothing', async () => {
      await stage.objects.must(['label', 'namespace', NS, `${LABEL_INJECT}=enable`, '--overwrite']);
      try {
        expect((await failing('labels')).hint).to.equal(`kubectl label --overwrite namespace ${NS} ${LABEL_INJECT}=enabled`);
      } finally {
        await stage.objects.must(['label', 'namespace', NS, `${LABEL_INJECT}=enabled`, '--overwrite']);
      }
      await mended();
    });
  });

  async function check(): Promise<{ code: number; checks: Check[] }> {
    const { code, stdout, stderr } = await weft(stage.objects, ['check', '-o', 'json']);
    if (stdout === '') throw new Error(`weft check: ${stderr}`);
    return { code, checks: (JSON.parse(stdout) as { checks: Check[] }).checks };
  }

  /** The failed check of this name; weft check has to end with 1. */
  function failing(id: string): Promise<Check> {
    return eventually(`weft check to see that ${id} is broken`, async () => {
      const { code, checks } = await check();
      return code === 1 && checks.find((one) => one.id === id && one.state === 'failed');
    });
  }

  async function mended(): Promise<void> {
    let last: Check[] = [];
    try {
      await eventually('weft check to pass again', async () => {
        const { code, checks } = await check();
        last = checks.filter(({ state }) => state === 'failed');
        return code === 0;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(last)}`);
    }
  }

  async function pods(component: string): Promise<number> {
    return (await stage.objects.list('pods', SYSTEM_NAMESPACE, `app.kubernetes.io/component=${component}`)).length;
  }

  /** The Gateway API's own policy forbids to go back to old CRDs, which is what a test of old CRDs does. */
  async function withoutUpgradePolicy(work: () => Promise<void>): Promise<void> {
    const kind = 'validatingadmissionpolicybinding';
    const [name] = (await stage.objects.list(kind))
      .map(({ metadata }) => metadata.name)
      .filter((one) => one.includes('gateway.networking.k8s.io'));
    const binding = name === undefined ? undefined : await stage.objects.get(kind, name);
    if (binding !== undefined) await stage.objects.delete(kind, name!);
    try {
      await work();
    } finally {
      if (binding !== undefined) {
        const { labels, annotations } = binding.metadata;
        await stage.objects.must(['create', '-f', '-'], JSON.stringify({ ...binding, metadata: { name, labels, annotations } }));
      }
    }
  }
});
