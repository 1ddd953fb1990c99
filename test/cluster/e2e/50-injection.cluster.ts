// Which pods get a sidecar and which do not, what people learn of it, and what happens without the webhook.
import { expect } from 'chai';
import { ANNOTATION_STATUS, INJECTOR_NAME, SIDECAR_CONTAINER, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { ECHO_IMAGE } from '../image-list.ts';
import { type EventItem, eventually, type Item, type PodItem } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { echo, echoContainer, INJECT, service } from '../support/workloads.ts';

const ON = 'e2e-inject-on';
const OFF = 'e2e-inject-off';
const WRONG = 'e2e-inject-wrong';

interface WebhookConfiguration extends Item {
  webhooks: { name: string; failurePolicy: string; clientConfig: { caBundle?: string } }[];
}

describe('Injection', () => {
  const stage = scene({ [ON]: INJECT, [OFF]: {}, [WRONG]: { 'weft.dev/inject': 'true' } });

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(echo({ namespace: ON, name: 'strict', labels: { 'weft.dev/mtls': 'strict' } }), service(ON, 'strict'));
    await stage.objects.rolledOut(ON, 'strict');
  });

  it('adds a native sidecar, first of all, in a namespace that is labelled', async () => {
    const [created] = await stage.objects.list<PodItem>('pods', ON, 'version=strict');
    const names = created!.spec.initContainers!.map(({ name }) => name);
    expect(names).to.have.members([SIDECAR_CONTAINER]);
    expect(created!.status.initContainerStatuses!.find(({ name }) => name === SIDECAR_CONTAINER)!.ready).to.equal(true);
    const status = JSON.parse(created!.metadata.annotations![ANNOTATION_STATUS]!) as { containers: string[] };
    expect(status.containers).to.deep.equal([SIDECAR_CONTAINER]);
  });

  it('goes by the pod’s own label first', async () => {
    await stage.objects.apply(pod(ON, 'opted-out', { 'weft.dev/inject': 'disabled' }), pod(OFF, 'plain'), pod(OFF, 'opted-in', INJECT));
    expect(await isInjected(ON, 'opted-out')).to.equal(false);
    expect(await isInjected(OFF, 'plain')).to.equal(false);
    expect(await isInjected(OFF, 'opted-in')).to.equal(true);
  });

  it('says in an Event what a namespace’s label should have been', async () => {
    await stage.objects.apply(pod(WRONG, 'misled'));
    expect(await isInjected(WRONG, 'misled')).to.equal(false);
    const event = await eventually('an Event about the label', async () =>
      (await stage.objects.list<EventItem>('events')).find(
        ({ involvedObject, message }) =>
          (involvedObject.namespace === WRONG || involvedObject.name === WRONG) &&
          message.includes('weft.dev/inject') &&
          message.includes('enabled'),
      ),
    );
    expect(event.type).to.equal('Warning');
    expect(event.message).to.contain('true');
  });

  it('leaves pods on the host’s network alone and says why', async () => {
    await stage.objects.apply(pod(ON, 'on-host', {}, { hostNetwork: true, containers: [idle()] }));
    expect(await isInjected(ON, 'on-host')).to.equal(false);
    const event = await eventually('an Event about hostNetwork', async () =>
      (await events(ON)).find(({ message }) => message.includes('hostNetwork')),
    );
    expect(event.type).to.equal('Warning');
  });

  it('lets a Job end', async () => {
    const container = { ...echoContainer(), command: ['client', 'grpc://strict:7070'], args: [] };
    await stage.objects.apply({
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'once', namespace: ON },
      spec: { backoffLimit: 2, template: { spec: { restartPolicy: 'Never', containers: [container] } } },
    });
    await stage.objects.must(['wait', '--for=condition=Complete', 'job/once', '-n', ON, '--timeout=120s']);
    const [made] = await stage.objects.list<PodItem>('pods', ON, 'job-name=once');
    expect(made!.metadata.annotations).to.have.property(ANNOTATION_STATUS);
    expect(made!.status.phase).to.equal('Succeeded');
  });

  it('meshes the user’s own init containers: they reach a STRICT Service', async () => {
    const first = { ...echoContainer(), name: 'first', command: ['client', 'grpc://strict:7070'], args: [] };
    await stage.objects.apply(pod(ON, 'with-init', {}, { initContainers: [first], containers: [echoContainer()] }));
    await stage.objects.must(['wait', '--for=condition=Ready', 'pod/with-init', '-n', ON, '--timeout=120s']);
    const made = (await stage.objects.get<PodItem>('pod', 'with-init', ON))!;
    expect(made.spec.initContainers!.map(({ name }) => name).at(-1)).to.equal('first');
  });

  it('shows the whole pod in a dry run and leaves no trace', async () => {
    const about = async () => (await events(ON)).filter(({ message }) => message.includes('hostNetwork')).length;
    const input = (name: string, spec = {}) => JSON.stringify(pod(ON, name, {}, { containers: [idle()], ...spec }));
    const before = await about();
    const shown = JSON.parse(await stage.objects.must(['apply', '--dry-run=server', '-o', 'json', '-f', '-'], input('dry'))) as PodItem;
    expect(shown.spec.initContainers?.map(({ name }) => name)).to.include(SIDECAR_CONTAINER);
    await stage.objects.must(['apply', '--dry-run=server', '-f', '-'], input('dry-host', { hostNetwork: true }));
    expect(await stage.objects.get('pod', 'dry', ON)).to.equal(undefined);
    expect(await about()).to.equal(before);
  });

  it('never touches weft-system and kube-system, whatever a pod’s label says', async () => {
    for (const namespace of [SYSTEM_NAMESPACE, 'kube-system']) {
      const shown = await stage.objects.must(
        ['apply', '--dry-run=server', '-o', 'json', '-f', '-'],
        JSON.stringify(pod(namespace, 'e2e-labelled', INJECT, RESTRICTED)),
      );
      expect(JSON.parse(shown).metadata.annotations ?? {}, namespace).not.to.have.property(ANNOTATION_STATUS);
    }
  });

  it('refuses a pod that runs as the sidecar’s user, and says which field', async () => {
    const container = { ...idle(), securityContext: { runAsUser: 2102 } };
    const said = await stage.objects.refused(pod(ON, 'impostor', {}, { containers: [container] }));
    expect(said).to.contain('runAsUser').and.to.contain('2102');
  });

  it('puts back a caBundle that was edited', async () => {
    const before = await webhook();
    const bundles = before.webhooks.map(({ clientConfig }) => clientConfig.caBundle);
    expect(bundles.every((bundle) => bundle !== undefined && bundle !== '')).to.equal(true);
    const edits = before.webhooks.map((_, index) => ({
      op: 'replace',
      path: `/webhooks/${index}/clientConfig/caBundle`,
      value: 'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K',
    }));
    const { code } = await stage.objects.run([
      'patch',
      'mutatingwebhookconfiguration',
      INJECTOR_NAME,
      '--type=json',
      '-p',
      JSON.stringify(edits),
    ]);
    // The API server refuses a bundle that is no certificate; an empty one it takes.
    if (code !== 0) {
      const emptied = before.webhooks.map((_, index) => ({ op: 'remove', path: `/webhooks/${index}/clientConfig/caBundle` }));
      await stage.objects.patch('mutatingwebhookconfiguration', INJECTOR_NAME, undefined, emptied, 'json');
    }
    await eventually('the caBundle', async () => {
      const now = (await webhook()).webhooks.map(({ clientConfig }) => clientConfig.caBundle);
      return JSON.stringify(now) === JSON.stringify(bundles);
    });
    await stage.objects.apply(pod(ON, 'after-repair'));
    expect(await isInjected(ON, 'after-repair')).to.equal(true);
  });

  describe('without a webhook that answers', () => {
    before(async function () {
      this.timeout(180_000);
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 0);
      await eventually('the injector to be gone', async () => (await injectors()).length === 0);
    });

    after(async function () {
      this.timeout(180_000);
      await setFailurePolicy('Ignore');
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 1);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, INJECTOR_NAME);
    });

    it('starts pods without a sidecar where failurePolicy is Ignore', async () => {
      await setFailurePolicy('Ignore');
      await stage.objects.apply(pod(ON, 'ignored'));
      expect(await isInjected(ON, 'ignored')).to.equal(false);
    });

    it('refuses pods where it is Fail, naming the webhook, but not in its own namespace', async () => {
      await setFailurePolicy('Fail');
      const said = await eventually('a refusal', async () => {
        const { code, stderr } = await stage.objects.run(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod(ON, 'refused')));
        return code !== 0 && stderr;
      });
      expect(said).to.contain('weft');
      for (const namespace of [SYSTEM_NAMESPACE, 'kube-system', OFF]) {
        await stage.objects.must(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod(namespace, 'e2e-allowed', {}, RESTRICTED)));
      }
    });

    it('recovers by itself when the injector is back', async () => {
      await stage.objects.scale(INJECTOR_NAME, SYSTEM_NAMESPACE, 1);
      await stage.objects.rolledOut(SYSTEM_NAMESPACE, INJECTOR_NAME);
      await eventually('an injected pod', async () => {
        const { code } = await stage.objects.run(['apply', '-f', '-'], JSON.stringify(pod(ON, 'recovered')));
        return code === 0;
      });
      expect(await isInjected(ON, 'recovered')).to.equal(true);
    });
  });

  async function isInjected(namespace: string, name: string): Promise<boolean> {
    const item = (await stage.objects.get<PodItem>('pod', name, namespace))!;
    return (item.spec.initContainers ?? []).some((container) => container.name === SIDECAR_CONTAINER);
  }

  function events(namespace: string): Promise<EventItem[]> {
    return stage.objects.list<EventItem>('events', namespace);
  }

  async function webhook(): Promise<WebhookConfiguration> {
    return (await stage.objects.get<WebhookConfiguration>('mutatingwebhookconfiguration', INJECTOR_NAME))!;
  }

  function injectors(): Promise<PodItem[]> {
    return stage.objects.list<PodItem>('pods', SYSTEM_NAMESPACE, 'app.kubernetes.io/component=injector');
  }

  async function setFailurePolicy(failurePolicy: 'Ignore' | 'Fail'): Promise<void> {
    const { webhooks } = await webhook();
    const edits = webhooks.map((_, index) => ({ op: 'replace', path: `/webhooks/${index}/failurePolicy`, value: failurePolicy }));
    await stage.objects.patch('mutatingwebhookconfiguration', INJECTOR_NAME, undefined, edits, 'json');
  }
});

function idle(): Record<string, unknown> {
  return { name: 'echo', image: ECHO_IMAGE, imagePullPolicy: 'IfNotPresent' };
}

/** What weft-system's own Pod Security asks of a pod. */
const RESTRICTED = {
  containers: [{ ...idle(), securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
};

function pod(namespace: string, name: string, labels: Record<string, string> = {}, spec: Record<string, unknown> = {}): Item {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, ...labels } },
    spec: { terminationGracePeriodSeconds: 1, containers: [idle()], ...spec },
  };
}
