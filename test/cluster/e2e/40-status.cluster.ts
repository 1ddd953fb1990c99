// What the API server says of routes: conditions by table, manners towards other controllers, no writes for nothing,
// and the XMesh.
import { expect } from 'chai';
import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { install } from '../support/install.ts';
import { type Condition, eventually, type Item } from '../support/objects.ts';
import { scene } from '../support/scene.ts';
import { answerHeader, backend, echo, grpcRoute, INJECT, service } from '../support/workloads.ts';

const NS = 'e2e-status';
const ELSEWHERE = 'e2e-status-elsewhere';
/** A status that nothing changes must stay as it is over some resyncs of its writer. */
const QUIET_MS = 20_000;

interface Parent {
  parentRef: Record<string, unknown>;
  controllerName: string;
  conditions: Condition[];
}

interface Route extends Item {
  status?: { parents?: Parent[] };
}

const SET_AND_REMOVE = {
  type: 'RequestHeaderModifier',
  requestHeaderModifier: { set: [{ name: 'x-a', value: '1' }], remove: ['x-a'] },
};
const EXTENSION = { type: 'ExtensionRef', extensionRef: { group: 'example.com', kind: 'Plugin', name: 'x' } };

/** Rules of a route on Service `echo` (or the parent given), and the conditions it must have. */
const TABLE: readonly {
  name: string;
  parent?: Record<string, unknown>;
  rules: Parameters<typeof grpcRoute>[3];
  expected: Record<string, [status: string, reason: string]>;
  says?: string;
}[] = [
  {
    name: 'good',
    rules: [{ backendRefs: [backend('echo')] }],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['True', 'ResolvedRefs'] },
  },
  {
    name: 'missing-parent',
    parent: { name: 'nowhere', port: 7070 },
    rules: [{ backendRefs: [backend('echo')] }],
    expected: { Accepted: ['False', 'NoMatchingParent'] },
    says: 'nowhere',
  },
  {
    name: 'wrong-port',
    parent: { name: 'echo', port: 7071 },
    rules: [{ backendRefs: [backend('echo')] }],
    expected: { Accepted: ['False', 'NoMatchingParent'] },
    says: '7071',
  },
  {
    name: 'headless-parent',
    parent: { name: 'headless', port: 7070 },
    rules: [{ backendRefs: [backend('echo')] }],
    expected: { Accepted: ['False', 'NoMatchingParent'] },
  },
  {
    name: 'missing-backend',
    rules: [{ backendRefs: [backend('echo', 1), backend('nowhere', 0)] }],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['False', 'BackendNotFound'] },
    says: 'nowhere',
  },
  {
    name: 'unknown-kind',
    rules: [{ backendRefs: [{ group: 'example.com', kind: 'Bucket', name: 'echo', port: 7070 }] }],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['False', 'InvalidKind'] },
    says: 'Bucket',
  },
  {
    name: 'without-grant', // a mesh route gives its clients nothing that they could not reach themselves
    rules: [{ backendRefs: [backend('echo', undefined, { namespace: ELSEWHERE })] }],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['True', 'ResolvedRefs'] },
  },
  {
    name: 'missing-elsewhere',
    rules: [{ backendRefs: [backend('nowhere', undefined, { namespace: ELSEWHERE })] }],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['False', 'BackendNotFound'] },
    says: ELSEWHERE,
  },
  {
    name: 'two-actions',
    rules: [{ filters: [SET_AND_REMOVE], backendRefs: [backend('echo')] }],
    expected: { Accepted: ['False', 'UnsupportedValue'] },
    says: 'x-a',
  },
  {
    name: 'partly-invalid',
    rules: [
      { matches: [{ method: { service: 'a.B' } }], backendRefs: [backend('echo')] },
      { matches: [{ method: { service: 'a.C' } }], filters: [EXTENSION], backendRefs: [backend('echo')] },
    ],
    expected: { Accepted: ['True', 'Accepted'], ResolvedRefs: ['True', 'ResolvedRefs'], PartiallyInvalid: ['True', 'UnsupportedValue'] },
    says: 'Dropped Rule',
  },
];

describe('Status', () => {
  const stage = scene({ [NS]: INJECT, [ELSEWHERE]: INJECT });

  before(async function () {
    this.timeout(300_000);
    await stage.objects.apply(
      echo({ namespace: NS, name: 'echo' }),
      service(NS, 'echo'),
      service(NS, 'headless', {}, { clusterIP: 'None' }),
      service(ELSEWHERE, 'echo'),
    );
    await stage.objects.apply(...TABLE.map(({ name, parent, rules }) => grpcRoute(NS, name, parent ?? 'echo', rules)));
  });

  for (const { name, expected, says } of TABLE) {
    const summary = Object.entries(expected).map(([type, [status, reason]]) => `${type}=${status}/${reason}`);
    it(`says ${summary.join(', ')} of a route that is ${name}`, async () => {
      const parent = await eventually('our entry', async () => ours(await read(name)));
      const conditions = Object.fromEntries(parent.conditions.map(({ type, status, reason }) => [type, [status, reason]]));
      for (const [type, wanted] of Object.entries(expected))
        expect(conditions[type], JSON.stringify(parent.conditions)).to.deep.equal(wanted);
      if (expected.PartiallyInvalid === undefined) expect(conditions).not.to.have.property('PartiallyInvalid');
      expect(JSON.stringify(parent.conditions)).to.contain(says ?? '');
      expect(parent.conditions.every(({ observedGeneration }) => observedGeneration === 1)).to.equal(true);
    });
  }

  it('copies the parentRef and follows what changes', async () => {
    const parent = ours(await read('good'))!;
    expect(parent.parentRef).to.deep.equal({ group: '', kind: 'Service', name: 'echo', port: 7070 });
    await stage.objects.apply(grpcRoute(NS, 'good', 'echo', [{ backendRefs: [backend('nowhere')] }]));
    await conditionBecomes('good', 'ResolvedRefs', 'False', 2);
    await stage.objects.apply(service(NS, 'nowhere'));
    await conditionBecomes('good', 'ResolvedRefs', 'True', 2);
    await conditionBecomes('missing-backend', 'ResolvedRefs', 'True', 1);
    await conditionBecomes('missing-parent', 'Accepted', 'True', 1);
    await stage.objects.delete('service', 'nowhere', NS);
    await conditionBecomes('missing-parent', 'Accepted', 'False', 1);
  });

  it('follows a Service of another namespace that comes and goes', async () => {
    await stage.objects.apply(service(ELSEWHERE, 'nowhere'));
    await conditionBecomes('missing-elsewhere', 'ResolvedRefs', 'True', 1);
    await stage.objects.delete('service', 'nowhere', ELSEWHERE);
    await conditionBecomes('missing-elsewhere', 'ResolvedRefs', 'False', 1);
  });

  it('asks for a ReferenceGrant where the installation does, and follows one that comes and goes', async function () {
    this.timeout(300_000);
    const grant: Item = {
      apiVersion: 'gateway.networking.k8s.io/v1beta1',
      kind: 'ReferenceGrant',
      metadata: { name: 'routes', namespace: ELSEWHERE },
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'GRPCRoute', namespace: NS }],
        to: [{ group: '', kind: 'Service' }],
      },
    } as Item;
    await install(stage.objects, 'controlPlane.strictReferenceGrants=true');
    try {
      await conditionBecomes('without-grant', 'ResolvedRefs', 'False', 1);
      await stage.objects.apply(grant);
      await conditionBecomes('without-grant', 'ResolvedRefs', 'True', 1);
      await stage.objects.delete('referencegrant', 'routes', ELSEWHERE);
      await conditionBecomes('without-grant', 'ResolvedRefs', 'False', 1);
    } finally {
      await install(stage.objects);
    }
    await conditionBecomes('without-grant', 'ResolvedRefs', 'True', 1);
  });

  it('leaves the entry of another controller alone, and takes its own away with the parentRef', async () => {
    const rules = [{ filters: [answerHeader('x-a', '1')], backendRefs: [backend('echo')] }];
    await stage.objects.apply(grpcRoute(NS, 'shared', 'echo', rules));
    const own = await eventually('our entry', async () => ours(await read('shared')));
    const foreign: Parent = {
      parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge' },
      controllerName: 'example.com/gateway',
      conditions: [
        {
          type: 'Accepted',
          status: 'True',
          reason: 'Accepted',
          message: 'theirs',
          observedGeneration: 1,
          lastTransitionTime: '2026-01-01T00:00:00Z',
        } as Condition,
      ],
    };
    await stage.objects.patch('grpcroute', 'shared', NS, { status: { parents: [foreign, own] } }, 'merge', ['--subresource=status']);
    const both = grpcRoute(NS, 'shared', 'echo', [{ ...rules[0], name: 'renamed' }]);
    await stage.objects.apply(both);
    await conditionBecomes('shared', 'Accepted', 'True', 2);
    expect(theirs(await read('shared'))).to.deep.equal(foreign);

    const elsewhere = { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'edge', port: undefined };
    await stage.objects.patch('grpcroute', 'shared', NS, { spec: { parentRefs: [{ ...elsewhere }] } });
    await eventually('our entry to go', async () => ours(await read('shared')) === undefined);
    expect(theirs(await read('shared'))).to.deep.equal(foreign);
  });

  it('writes nothing while nothing changes', async function () {
    this.timeout(QUIET_MS + 60_000);
    const versions = async () =>
      Object.fromEntries((await stage.objects.list('grpcroutes', NS)).map(({ metadata }) => [metadata.name, metadata.resourceVersion]));
    const before = await versions();
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(await versions()).to.deep.equal(before);
  });

  it('shows what the mesh supports in an XMesh, sorted, and never its spec changed', async function () {
    if ((await stage.objects.run(['get', 'xmeshes'])).code !== 0) this.skip();
    const mesh = await eventually('an accepted XMesh', async () => {
      const item = await stage.objects.get<
        Item & { spec: Record<string, unknown>; status?: { conditions?: Condition[]; supportedFeatures?: { name: string }[] } }
      >('xmesh', 'weft');
      return item?.status?.conditions?.some(({ type, status }) => type === 'Accepted' && status === 'True') && item;
    });
    expect(mesh.spec.controllerName).to.equal(CONTROLLER_NAME);
    const features = mesh.status!.supportedFeatures!.map(({ name }) => name);
    expect(features).to.include.members(['GRPCRoute', 'Mesh']);
    expect(features).to.deep.equal([...features].sort());
    expect(mesh.metadata.generation).to.equal(1);
  });

  function read(name: string): Promise<Route | undefined> {
    return stage.objects.get<Route>('grpcroute', name, NS);
  }

  async function conditionBecomes(route: string, type: string, status: string, generation: number): Promise<void> {
    let last: Condition | undefined;
    try {
      await eventually(`${route}: ${type}=${status} at generation ${generation}`, async () => {
        last = ours(await read(route))?.conditions.find((condition) => condition.type === type);
        return last?.status === status && last.observedGeneration === generation;
      });
    } catch (error) {
      throw new Error(`${(error as Error).message}; last: ${JSON.stringify(last)}`);
    }
  }
});

function ours(route: Route | undefined): Parent | undefined {
  return route?.status?.parents?.find(({ controllerName }) => controllerName === CONTROLLER_NAME);
}

function theirs(route: Route | undefined): Parent | undefined {
  return route?.status?.parents?.find(({ controllerName }) => controllerName !== CONTROLLER_NAME);
}
