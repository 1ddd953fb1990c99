// What is kept of an object is all that Weft reads of it, and not more.
import { expect } from 'chai';
import { workloadOfPod } from '#control-plane/translate/workload.ts';
import { ANNOTATION_STATUS, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { followedKind, identify, kept, type StoredKind, sameForUs } from '#objects/kinds.ts';
import type { Pod } from '#objects/pod.ts';

const project = (kind: StoredKind, raw: Record<string, unknown>) => kept(followedKind(kind)!, raw);

const META = { name: 'a', namespace: 'shop', uid: 'u', resourceVersion: '7', managedFields: [{}], ownerReferences: [{}] };
const TELEMETRY = { 'weft.dev/trace-sampling': '5%', 'weft.dev/access-log': 'errors' };
const RAW: Readonly<Record<StoredKind, Record<string, unknown>>> = {
  Service: {
    apiVersion: 'v1',
    metadata: META,
    spec: { type: 'ClusterIP', clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ipFamilies: ['IPv4'], ports: [{ name: 'grpc', port: 80 }] },
    status: { loadBalancer: {} },
  },
  EndpointSlice: {
    apiVersion: 'discovery.k8s.io/v1',
    metadata: { ...META, labels: { 'kubernetes.io/service-name': 'payment' } },
    addressType: 'IPv4',
    ports: [{ name: 'grpc', port: 8080, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['10.1.0.1'], conditions: { ready: true }, targetRef: { kind: 'Pod', namespace: 'shop', name: 'p' }, zone: 'z' },
    ],
  },
  Pod: {
    apiVersion: 'v1',
    metadata: {
      ...META,
      labels: { 'weft.dev/mtls': 'strict', 'pod-template-hash': 'x' },
      annotations: { [ANNOTATION_STATUS]: '{}', ...TELEMETRY },
    },
    spec: { serviceAccountName: 'checkout', hostNetwork: false, initContainers: [{ name: SIDECAR_CONTAINER }] },
    status: { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }] },
  },
  Namespace: {
    apiVersion: 'v1',
    metadata: { name: 'shop', labels: { 'weft.dev/inject': 'enabled' }, annotations: { ...TELEMETRY, other: 'x' } },
  },
  Node: {
    apiVersion: 'v1',
    metadata: { name: 'a', labels: { 'kubernetes.io/hostname': 'a' } },
    spec: { podCIDR: '10.1.0.0/24' },
    status: {
      addresses: [
        { type: 'InternalIP', address: '192.168.0.1' },
        { type: 'Hostname', address: 'a' },
      ],
      images: [{ names: ['x'] }],
    },
  },
  GRPCRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    metadata: { ...META, generation: 3, creationTimestamp: '2026-01-01T00:00:00Z', annotations: { 'weft.dev/trace-sampling': '5%' } },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'payment' }], rules: [] },
    status: { parents: [{ controllerName: 'x/y', parentRef: { name: 'z' } }] },
  },
  HTTPRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    metadata: { ...META, generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { parentRefs: [{ group: '', kind: 'Service', name: 'payment' }], rules: [] },
  },
  ReferenceGrant: { apiVersion: 'gateway.networking.k8s.io/v1beta1', metadata: META, spec: { from: [], to: [] } },
  XTelemetryPolicy: {
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    metadata: { ...META, generation: 3, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { targetRefs: [{ group: '', kind: 'Namespace', name: 'shop' }], tracing: { mode: 'Disabled' } },
    status: { ancestors: [{ controllerName: 'x/y', ancestorRef: { name: 'z' } }] },
  },
};

describe('objects: what is kept of an object', () => {
  for (const [kind, raw] of Object.entries(RAW) as [StoredKind, Record<string, unknown>][]) {
    it(`is all that a translation reads of a ${kind}, with its kind, which lists leave out`, () => {
      const { apiVersion: _, ...asInLists } = raw;
      const object = project(kind, asInLists);
      expect(identify(object)).to.deep.equal({
        kind: followedKind(kind),
        key: kind === 'Namespace' ? 'shop' : kind === 'Node' ? 'a' : 'shop/a',
      });
      expect(sameForUs(followedKind(kind)!, object, { ...raw, kind })).to.equal(true);
      expect(JSON.stringify(object)).to.not.match(/managedFields|ownerReferences|loadBalancer/);
    });
  }

  it('is nothing that only other programs read of a pod', () => {
    const labels = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`app.example/${i}`, 'x'.repeat(60)]));
    const raw = RAW.Pod as unknown as Pod;
    const pod = project('Pod', {
      ...raw,
      metadata: { ...raw.metadata, labels: { ...labels, ...raw.metadata!.labels } },
      spec: { ...raw.spec, containers: [{}] },
    } as never) as Pod;
    expect(JSON.stringify(pod)).to.have.length.below(480);
    expect(pod.metadata!.uid).to.equal('u');
    expect(workloadOfPod(pod, undefined, 'test.local')).to.deep.equal(workloadOfPod(raw, undefined, 'test.local'));
    const namespace = project('Namespace', RAW.Namespace);
    expect(namespace.metadata!.annotations).to.deep.equal(TELEMETRY);
    const plain = { ...pod, metadata: { ...pod.metadata, annotations: {} } };
    expect(workloadOfPod(plain, namespace, 'test.local')!.telemetry).to.include({ accessLog: 'errors', traceSampling: 0.05 });
  });

  it('depends on the sidecar, not on the annotation, which may be a copy or taken away', () => {
    const raw = RAW.Pod as unknown as Pod;
    const has = (pod: object) => (project('Pod', pod as never) as Pod).metadata!.annotations?.[ANNOTATION_STATUS];
    expect(has({ ...raw, spec: { ...raw.spec, initContainers: [{ name: 'mine' }] } })).to.equal(undefined);
    expect(has({ ...raw, metadata: { ...raw.metadata, annotations: {} } })).to.equal('{}');
    expect(has({ ...raw, spec: { ...raw.spec, initContainers: 'x' } })).to.equal(undefined);
  });

  it('is every entry of a status, because they are written back as one list', () => {
    expect(project('GRPCRoute', RAW.GRPCRoute)).to.have.deep.property('status', RAW.GRPCRoute.status);
  });

  it('may be anything that stands there', () => {
    for (const kind of Object.keys(RAW) as StoredKind[]) {
      for (const raw of [
        {},
        { metadata: null, spec: 7, status: [], endpoints: 'x', ports: null },
        { metadata: { name: 'a', labels: 3, annotations: [] } },
      ])
        expect(() => project(kind, raw as never)).to.not.throw();
    }
  });
});
