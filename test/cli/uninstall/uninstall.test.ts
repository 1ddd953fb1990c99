// `weft uninstall`: what it finds, what it refuses, in which order things go.
import { expect } from 'chai';
import { install } from '#cli/installation/objects.ts';
import { planRemoval, refusalText } from '#cli/uninstall/command.ts';
import { type RemovalTarget, removalOrder, toIdentity } from '#cli/uninstall/removal.ts';
import { Failure } from '#core/program/failure.ts';
import { type KubeClient, KubeError, pathOf, type ResourcePath } from '#kube/api.ts';

interface Stored {
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  [field: string]: unknown;
}

/**
 * An API server's answers from a list of objects; a path under which nothing can be is 404, as for kinds that are not
 * served.
 */
function clusterWith(objects: Readonly<Record<string, readonly Stored[]>>, fault?: (path: string) => KubeError | undefined): KubeClient {
  const answer = (where: ResourcePath | string, query: Readonly<Record<string, string>>): unknown => {
    if (typeof where === 'string') throw new Error('not expected');
    const error = fault?.(pathOf(where));
    if (error !== undefined) throw error;
    const all = objects[where.kind.plural];
    const one = all?.find(({ metadata }) => metadata.name === where.name && metadata.namespace === where.namespace);
    if (where.name !== undefined && one !== undefined) return one;
    if (where.name !== undefined || all === undefined) throw new KubeError(`${pathOf(where)}: not found`, 404, 'NotFound');
    const name = /^metadata\.name=(.*)$/.exec(query.fieldSelector ?? '')?.[1];
    const items = all.filter(({ metadata }) => name === undefined || metadata.name === name);
    return { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: '1' }, items };
  };
  return {
    server: 'https://cluster.test',
    request: async (_method, where, options) => answer(where, options?.query ?? {}) as never,
    watch: async () => {
      throw new Error('not expected');
    },
  };
}

const PLURAL: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  ServiceAccount: 'serviceaccounts',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: 'roles',
  RoleBinding: 'rolebindings',
  PodDisruptionBudget: 'poddisruptionbudgets',
  Service: 'services',
  Deployment: 'deployments',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
};

function installed(more: Readonly<Record<string, readonly Stored[]>> = {}): Record<string, Stored[]> {
  const objects: Record<string, Stored[]> = { pods: [], configmaps: [], secrets: [], leases: [] };
  for (const one of install({ ha: false, files: [], set: [] })) (objects[PLURAL[one.kind]] ??= []).push(one as Stored);
  for (const [plural, list] of Object.entries(more)) objects[plural] = [...(objects[plural] ?? []), ...list];
  return objects;
}

function pod(namespace: string, name: string, injected: boolean, phase = 'Running'): Stored {
  const sidecar = { name: 'weft-proxy', restartPolicy: 'Always' };
  return { metadata: { namespace, name }, spec: { initContainers: injected ? [sidecar] : [] }, status: { phase } };
}

const named = ({ kind, namespace, name }: RemovalTarget): string => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;

async function run(client: KubeClient, force = false): Promise<{ targets: readonly RemovalTarget[]; said: string[] }> {
  const said: string[] = [];
  const targets = await planRemoval(
    async () => client,
    force,
    (text) => void said.push(text),
  );
  return { targets, said };
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    expect(error).to.be.instanceOf(Failure);
    return (error as Failure).message;
  }
  throw new Error('it did not fail');
}

describe('weft uninstall', () => {
  const system = 'weft-system';
  const made = {
    configmaps: [{ metadata: { namespace: 'shop', name: 'weft-trust' } }, { metadata: { namespace: system, name: 'weft-trust' } }],
    secrets: [{ metadata: { namespace: system, name: 'weft-authority' } }],
    leases: [{ metadata: { namespace: system, name: 'weft-control-plane' } }],
    xmeshes: [
      { metadata: { name: 'weft' }, spec: { controllerName: 'weft.dev/mesh-controller' } },
      { metadata: { name: 'other' }, spec: { controllerName: 'example.dev/other' } },
    ],
  };

  it('removes what is there, the webhook first and the namespace last', async () => {
    const { targets, said } = await run(clusterWith(installed({ ...made, pods: [pod('shop', 'plain', false), pod(system, 'c', true)] })));
    const names = targets.map(named);
    expect(said).to.deep.equal([]);
    expect(names[0]).to.equal('MutatingWebhookConfiguration weft-injector');
    expect(names.at(-1)).to.equal('Namespace weft-system');
    expect(names).to.include.members([
      'ConfigMap shop/weft-trust',
      'ConfigMap weft-system/weft-trust',
      'Secret weft-system/weft-authority',
      'Lease weft-system/weft-control-plane',
      'XMesh weft',
    ]);
    expect(names).not.to.include.members(['XMesh other']);
    expect(names.filter((name) => name.startsWith('PodDisruptionBudget') || name.includes('weft-injector-tls'))).to.deep.equal([]);
    // A program that could make an object again has lost the right to before that object goes.
    const bindings = names.lastIndexOf('ClusterRoleBinding weft-control-plane');
    expect(bindings).to.be.lessThan(names.indexOf('ConfigMap shop/weft-trust'));
    expect(new Set(names).size).to.equal(names.length);
  });

  it('prints as much of an object as kubectl needs', () => {
    const [first] = removalOrder();
    expect(toIdentity(first)).to.deep.equal({
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'weft-injector' },
    });
  });

  it('refuses while pods have a sidecar, and names them', async () => {
    const pods = [pod('shop', 'd', true), pod('shop', 'a', true), pod('shop', 'b', true), pod('shop', 'c', true), pod('bank', 'x', true)];
    const cluster = clusterWith(installed({ pods: [...pods, pod('jobs', 'done', true, 'Succeeded'), pod('shop', 'e', false)] }));
    const message = await failureOf(run(cluster));
    expect(message.split('\n').slice(0, 3)).to.deep.equal([
      '5 pods still with a sidecar, which cannot go on for long without a control plane:',
      '  bank: 1 pod (x)',
      '  shop: 4 pods (a, b, c, …)',
    ]);
    expect(message).to.match(/kubectl label namespace bank weft\.dev\/inject-\n.*rollout restart deployment -n bank\nor use --force\.$/);
    const { targets, said } = await run(cluster, true);
    expect(targets.length).to.be.greaterThan(10);
    expect(said).to.deep.equal(['5 pods with a sidecar: they go on with their last configuration, until their certificates expire']);
    expect(refusalText(new Map([['a', ['p']]]))).to.match(/^1 pod still/);
  });

  it('goes by the container, not by an annotation that may be a copy', async () => {
    const copy = { metadata: { namespace: 'shop', name: 'copy', annotations: { 'weft.dev/status': '{}' } }, spec: {}, status: {} };
    expect((await run(clusterWith(installed({ pods: [copy] })))).targets).to.not.be.empty;
  });

  it('does not ask again, one by one, for what it has listed', async () => {
    const configmaps = Array.from({ length: 300 }, (_, i) => ({ metadata: { namespace: `n${i}`, name: 'weft-trust' } }));
    const asked: string[] = [];
    const cluster = clusterWith(installed({ configmaps }), (path) => void asked.push(path) as undefined);
    expect((await run(cluster)).targets.filter(({ kind }) => kind === 'ConfigMap')).to.have.length(300);
    expect(asked.length).to.be.below(50);
  });

  it('leaves a namespace that Weft has not made, and says that Helm keeps a record', async () => {
    const objects = installed();
    objects.namespaces = [{ metadata: { name: system } }];
    for (const { metadata } of objects.deployments) metadata.labels = { 'app.kubernetes.io/managed-by': 'Helm' };
    const { targets, said } = await run(clusterWith(objects));
    expect(targets.map(named)).not.to.include('Namespace weft-system');
    expect(said).to.deep.equal(['Helm has installed it, and keeps its own record: helm uninstall weft -n weft-system comes first']);
  });

  it('finds nothing where nothing is', async () => {
    expect((await run(clusterWith({ pods: [] }))).targets).to.deep.equal([]);
  });

  it('needs --force without a cluster, or without the right to look', async () => {
    const away = async (): Promise<KubeClient> => {
      throw new Error('no cluster is configured');
    };
    expect(await failureOf(planRemoval(away, false, () => {}))).to.match(/^no cluster is configured; so nobody knows .*--force/);
    const said: string[] = [];
    const targets = await planRemoval(away, true, (text) => void said.push(text));
    expect(targets.map(named)).to.deep.equal(removalOrder().map(named));
    expect(said[0]).to.include('ConfigMaps weft-trust');

    const forbidden = clusterWith(installed(), (path) =>
      path.endsWith('/pods') ? new KubeError('pods is forbidden', 403, 'Forbidden') : undefined,
    );
    expect(await failureOf(run(forbidden))).to.match(/^pods is forbidden; so nobody knows/);
  });
});
