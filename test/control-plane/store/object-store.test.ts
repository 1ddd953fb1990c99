// Which Services a change touches, and no more.
import { expect } from 'chai';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import type { KubeObject } from '#kube/object.ts';
import type { Touched } from '#objects/touched.ts';

const service = (key: string, spec: object = { clusterIP: '10.0.0.1', ports: [{ port: 80 }] }) => make('v1', 'Service', key, { spec });
const route = (key: string, parents: string[], backends: string[], more: object = {}) =>
  make('gateway.networking.k8s.io/v1', 'GRPCRoute', key, {
    spec: {
      parentRefs: parents.map((parent) => ({ group: '', kind: 'Service', ...named(parent) })),
      rules: [{ backendRefs: backends.map((backend) => ({ ...named(backend), port: 80 })) }],
    },
    ...more,
  });
const slice = (key: string, serviceName: string, endpoints: object[]) => {
  const made = make('discovery.k8s.io/v1', 'EndpointSlice', key, { addressType: 'IPv4', endpoints, ports: [{ port: 8080 }] });
  made.metadata!.labels = { 'kubernetes.io/service-name': serviceName };
  return made;
};
const pod = (key: string, ip: string, annotations: Record<string, string> = {}, status: object = {}) => {
  const made = make('v1', 'Pod', key, { spec: {}, status: { podIP: ip, ...status } });
  made.metadata!.annotations = annotations;
  return made;
};

function named(key: string): { namespace: string; name: string } {
  const [namespace, name] = key.split('/');
  return { namespace, name };
}

function make(apiVersion: string, kind: string, key: string, rest: object): KubeObject {
  return { apiVersion, kind, metadata: named(key), ...rest };
}

function storeOf(...objects: KubeObject[]): ObjectStore {
  const store = new ObjectStore();
  store.replaceAll(objects);
  return store;
}

const sorted = ({ services }: Touched) => [...services].sort();

/** What is touched, without what is empty. */
function parts({ policyInputs, ...sets }: Touched): object {
  const filled = Object.entries(sets).filter(([, set]: [string, ReadonlySet<string>]) => set.size > 0);
  return {
    ...Object.fromEntries(filled.map(([name, set]: [string, ReadonlySet<string>]) => [name, [...set].sort()])),
    ...(policyInputs && { policyInputs }),
  };
}

describe('control-plane/store: object store', () => {
  it('a node touches its addresses, those it had and those it has', () => {
    const node = (...ips: string[]) =>
      ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'n' },
        status: { addresses: ips.map((address) => ({ address })) },
      }) as KubeObject;
    const store = storeOf(node('192.168.0.1', 'n.example'));
    expect(parts(store.apply(node('192.168.0.2', 'fd00::2', 'n.example')))).to.deep.equal({
      addresses: ['192.168.0.1', '192.168.0.2', 'fd00::2'],
    });
    expect(['192.168.0.1', '192.168.0.2', 'fd00::2', 'n.example'].map((address) => store.isNode(address))).to.deep.equal([
      false,
      true,
      true,
      false,
    ]);
    expect(parts(store.apply(node('192.168.0.2', 'fd00::2')))).to.deep.equal({});
  });

  it('a node touches its pods when it comes, moves to another zone, or goes', () => {
    const node = (zone: string) =>
      ({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n', labels: { 'topology.kubernetes.io/zone': zone } } }) as KubeObject;
    const on = (key: string, nodeName: string) => make('v1', 'Pod', key, { spec: { nodeName } });
    const store = storeOf(on('a/p', 'n'), on('b/q', 'n'), on('a/other', 'm'), on('a/moved', 'n'));
    store.apply(on('a/moved', 'm'));
    const pods = ['a/p', 'b/q'];
    expect(parts(store.apply(node('one')))).to.deep.equal({ pods });
    expect(parts(store.apply(node('one')))).to.deep.equal({});
    expect(parts(store.apply(node('two')))).to.deep.equal({ pods });
    expect(store.zoneOfNode('n')).to.equal('two');
    expect(parts(store.remove('Node', undefined, 'n'))).to.deep.equal({ pods });
  });

  it('a Service touches itself and the Services with routes that send to it', () => {
    const store = storeOf(service('a/x'), service('a/y'), service('a/z'), route('a/r', ['a/x'], ['a/y']));
    expect(sorted(store.apply(service('a/y', { ports: [{ port: 81 }] })))).to.deep.equal(['a/x', 'a/y']);
    expect(sorted(store.apply(service('a/x', { ports: [{ port: 81 }] })))).to.deep.equal(['a/x']);
    expect(sorted(store.remove('Service', 'a', 'z'))).to.deep.equal(['a/z']);
  });

  it('a Service that a mirror of a backend names counts too', () => {
    const mirror = { type: 'RequestMirror', requestMirror: { backendRef: { name: 'm', port: 80 } } };
    const mirrored = make('gateway.networking.k8s.io/v1', 'GRPCRoute', 'a/r', {
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'x' }],
        rules: [{ backendRefs: [{ name: 'x', port: 80, filters: [mirror] }] }],
      },
    });
    const store = storeOf(service('a/x'), service('a/m'), mirrored);
    expect(sorted(store.apply(service('a/m', { ports: [] })))).to.deep.equal(['a/m', 'a/x']);
  });

  it('a route touches its old and its new parents, existing or not', () => {
    const store = storeOf(service('a/x'), service('a/y'), route('a/r', ['a/x', 'b/gone'], ['a/y']));
    expect(sorted(store.apply(route('a/r', ['a/y', 'b/gone'], ['a/y'])))).to.deep.equal(['a/x', 'a/y', 'b/gone']);
    expect(sorted(store.remove('GRPCRoute', 'a', 'r'))).to.deep.equal(['a/y', 'b/gone']);
    expect(store.allKeys()).to.deep.equal(['a/x', 'a/y']);
  });

  it('of the annotations of a route the one that is read touches its parents', () => {
    const store = storeOf(service('a/x'), route('a/r', ['a/x'], ['a/x']));
    const annotated = (annotations: Record<string, string>) =>
      route('a/r', ['a/x'], ['a/x'], { metadata: { ...named('a/r'), annotations } });
    expect(sorted(store.apply(annotated({ 'example.dev/note': 'x' })))).to.deep.equal([]);
    expect(sorted(store.apply(annotated({ 'weft.dev/trace-sampling': '5%' })))).to.deep.equal(['a/x']);
  });

  it('an EndpointSlice touches its Service, and the old one when its label moves', () => {
    const store = storeOf(service('a/x'), service('a/y'), slice('a/s', 'x', []));
    expect(sorted(store.apply(slice('a/s', 'x', [{ addresses: ['10.0.0.1'] }])))).to.deep.equal(['a/x']);
    expect(sorted(store.apply(slice('a/s', 'y', [])))).to.deep.equal(['a/x', 'a/y']);
  });

  it('a Pod touches the Services whose slices name it or its address', () => {
    const store = storeOf(
      service('a/x'),
      service('a/y'),
      service('a/z'),
      slice('a/by-name', 'x', [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Pod', name: 'p' } }]),
      slice('a/by-address', 'y', [{ addresses: ['10.0.0.1'] }]),
      slice('a/other', 'z', [{ addresses: ['10.0.0.2'] }]),
    );
    expect(sorted(store.apply(pod('a/p', '10.0.0.1')))).to.deep.equal(['a/x', 'a/y']);
    expect(sorted(store.apply(pod('a/p', '10.0.0.9')))).to.deep.equal(['a/x', 'a/y']);
    expect(sorted(store.remove('Pod', 'a', 'p'))).to.deep.equal(['a/x']);
  });

  it('what no translation reads touches nothing', () => {
    const before = pod('a/p', '10.0.0.1', { 'weft.dev/status': '{}' });
    const store = storeOf(service('a/x'), slice('a/s', 'x', [{ addresses: ['10.0.0.1'] }]), before, route('a/r', ['a/x'], []));
    expect(sorted(store.apply(pod('a/p', '10.0.0.1', { 'weft.dev/status': '{}' }, { conditions: [{ type: 'Ready' }] })))).to.deep.equal([]);
    expect(sorted(store.apply(route('a/r', ['a/x'], [], { status: { parents: [] } })))).to.deep.equal([]);
    expect(sorted(store.apply(make('v1', 'Namespace', 'x/a', {})))).to.deep.equal([]);
    expect(sorted(store.apply(make('apps/v1', 'Deployment', 'a/x', {})))).to.deep.equal([]);
    expect(sorted(store.apply(make('gateway.networking.k8s.io/v1', 'HTTPRoute', 'a/x', {})))).to.deep.equal([]);
    expect(sorted(store.remove('Service', 'a', 'nobody'))).to.deep.equal([]);
  });

  describe('what a translation reads touches', () => {
    const objects = {
      service: service('a/x'),
      slice: slice('a/s', 'x', [{ addresses: ['10.0.0.1'] }]),
      pod: pod('a/p', '10.0.0.1'),
      route: route('a/r', ['a/x'], []),
    };
    const cases: [keyof typeof objects, string, object][] = [
      ['service', 'spec', { spec: { type: 'ExternalName' } }],
      ['slice', 'addressType', { addressType: 'IPv6' }],
      ['slice', 'endpoints', { endpoints: [] }],
      ['slice', 'ports', { ports: [] }],
      ['pod', 'annotations', { metadata: { ...objects.pod.metadata, annotations: { 'weft.dev/status': '{}' } } }],
      ['pod', 'serviceAccountName', { spec: { serviceAccountName: 'payer' } }],
      ['pod', 'hostNetwork', { spec: { hostNetwork: true } }],
      ['pod', 'phase', { status: { podIP: '10.0.0.1', phase: 'Failed' } }],
      ['pod', 'podIPs', { status: { podIPs: [{ ip: '10.0.0.1' }] } }],
      ['route', 'creationTimestamp', { metadata: { ...objects.route.metadata, creationTimestamp: '2026-01-01T00:00:00Z' } }],
      ['route', 'generation', { metadata: { ...objects.route.metadata, generation: 2 } }],
    ];
    for (const [kind, field, change] of cases) {
      it(`${kind} ${field}`, () => {
        const store = storeOf(...Object.values(objects));
        expect(sorted(store.apply({ ...objects[kind], ...change }))).to.deep.equal(['a/x']);
      });
    }
  });

  it('a ReferenceGrant touches the parents of routes that send into its namespace', () => {
    const store = storeOf(
      service('a/x'),
      service('b/y'),
      route('a/r', ['a/x'], ['b/y']),
      route('a/q', ['a/z'], ['b/gone']),
      route('a/p', ['a/o'], ['c/y']),
    );
    const grant = make('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', 'b/g', { spec: { from: [], to: [] } });
    expect(sorted(store.apply(grant))).to.deep.equal(['a/x', 'a/z']);
    expect(sorted(store.remove('ReferenceGrant', 'b', 'g'))).to.deep.equal(['a/x', 'a/z']);
  });

  it('a Service that comes or goes changes what the statuses of others suggest', () => {
    const store = storeOf(route('a/r', ['a/paymnt'], ['a/ledgr']), route('c/s', ['c/payment'], []), route('d/t', ['d/other'], []));
    expect(sorted(store.apply(service('a/payment')))).to.deep.equal(['a/payment', 'a/paymnt', 'c/payment']);
    expect(sorted(store.apply(service('a/payment', { ports: [{ port: 81 }] })))).to.deep.equal(['a/payment']);
  });

  it('an HTTPRoute touches its parents as a GRPCRoute does, and so do its backends', () => {
    const routed = (port: number) =>
      make('gateway.networking.k8s.io/v1', 'HTTPRoute', 'a/h', {
        spec: { parentRefs: [{ group: '', kind: 'Service', name: 'x' }], rules: [{ backendRefs: [{ name: 'y', port }] }] },
      });
    const store = storeOf(service('a/x'), routed(80));
    expect(sorted(store.apply(routed(81)))).to.deep.equal(['a/x']);
    expect(sorted(store.apply(service('a/y')))).to.deep.equal(['a/x', 'a/y']);
    expect(sorted(store.remove('HTTPRoute', 'a', 'h'))).to.deep.equal(['a/x']);
  });

  it('says what else a change touches: pods, addresses, namespaces, policies, statuses', () => {
    const namespace = (labels: Record<string, string>) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a', labels } });
    const policy = (status: object = {}) => make('gateway.networking.x-k8s.io/v1alpha1', 'XTelemetryPolicy', 'a/t', { spec: {}, status });
    const grant = make('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', 'b/g', { spec: {} });
    const store = storeOf(service('a/x'), slice('a/s', 'x', []), pod('a/p', '10.0.0.1'), namespace({}), route('a/r', ['a/x'], []));
    const cases: [KubeObject, object][] = [
      [pod('a/p', '10.0.0.2'), { pods: ['a/p'], addresses: ['10.0.0.1', '10.0.0.2'] }],
      [pod('a/p', '10.0.0.2', { 'weft.dev/mtls': 'strict' }), { pods: ['a/p'], addresses: ['10.0.0.2'] }],
      [pod('a/p', '10.0.0.2', { 'weft.dev/mtls': 'strict' }, { message: 'x' }), {}],
      [namespace({ 'weft.dev/mtls': 'strict' }), { namespaces: ['a'] }],
      [namespace({ 'weft.dev/mtls': 'strict' }), {}],
      [slice('a/s', 'x', [{ addresses: ['10.0.0.2'] }]), { services: ['a/x'], endpoints: ['a/x'], addresses: ['10.0.0.2'] }],
      [service('a/x', { ports: [] }), { services: ['a/x'], policyInputs: true, addresses: ['10.0.0.2'] }],
      [grant, { policyInputs: true }],
      [policy(), { policies: ['a'], statuses: ['policies'] }],
      [policy({ ancestors: [] }), { statuses: ['policies'] }],
      [route('a/r', ['a/x'], [], { status: { parents: [] } }), { statuses: ['routes'] }],
    ];
    for (const [object, expected] of cases) expect(parts(store.apply(object)), object.kind).to.deep.equal(expected);
    expect(parts(store.remove('Namespace', '', 'a'))).to.deep.equal({ namespaces: ['a'] });
    expect(parts(store.remove('Namespace', '', 'a'))).to.deep.equal({});
  });

  it('replaceAll touches what came, went or changed', () => {
    const store = storeOf(service('a/x'), service('a/y'), service('a/z'));
    const affected = store.replaceAll([service('a/x'), service('a/y', { ports: [] }), service('a/new')]);
    expect(sorted(affected)).to.deep.equal(['a/new', 'a/y', 'a/z']);
    expect(store.allKeys()).to.deep.equal(['a/new', 'a/x', 'a/y']);
  });

  it('tells objects apart by kind and group, whatever their version', () => {
    const store = storeOf(
      make('gateway.networking.k8s.io/v1', 'ReferenceGrant', 'a/new', {}),
      make('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', 'a/old', {}),
      make('example.com/v1', 'Service', 'a/foreign', {}),
      make('v1', 'Service', 'a/no/good', {}),
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'homeless' } },
      { apiVersion: 'v1', kind: 'Service', metadata: {} },
      {},
    );
    expect(store.grantsIn('a')).to.have.length(2);
    expect(store.allKeys()).to.deep.equal(['a/no', 'default/homeless']);
  });

  it('a change touches as little in a large store as in a small one', () => {
    const objects: KubeObject[] = [];
    for (let i = 0; i < 500; i++) objects.push(service(`a/s${i}`), route(`a/r${i}`, [`a/s${i}`], [`a/s${(i + 1) % 500}`]));
    const store = storeOf(...objects);
    expect(sorted(store.apply(service('a/s7', { ports: [] })))).to.deep.equal(['a/s6', 'a/s7']);
    expect(sorted(store.apply(route('a/r7', ['a/s7'], [])))).to.deep.equal(['a/s7']);
  });
});
