// Which other replicas there are, read from EndpointSlices as the cluster writes them.
import { expect } from 'chai';
import { otherReplicas } from '#control-plane/replicas/roster.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import type { KubeObject } from '#kube/object.ts';
import type { SliceEndpoint } from '#objects/endpoint-slice.ts';

const SERVICE = 'weft-system/weft-control-plane';

const endpoint = (pod: string, address: string, conditions: SliceEndpoint['conditions'] = { ready: true }): SliceEndpoint => ({
  addresses: [address],
  conditions,
  targetRef: { kind: 'Pod', namespace: 'weft-system', name: pod },
});

function slice(name: string, endpoints: unknown[], more: object = {}): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'weft-system', labels: { 'kubernetes.io/service-name': 'weft-control-plane' } },
    addressType: 'IPv4',
    endpoints,
    ports: [
      { name: 'view', port: 15014 },
      { name: 'grpc', port: 15012 },
    ],
    ...more,
  } as KubeObject;
}

function others(...slices: KubeObject[]) {
  const store = new ObjectStore();
  for (const one of slices) store.apply(one);
  return otherReplicas(store, SERVICE, 'self');
}

describe('control-plane/replicas: roster', () => {
  it('names all but this one, ready or not, each once', () => {
    const found = others(
      slice('a', [
        endpoint('c', '10.0.0.3', { ready: false }),
        endpoint('self', '10.0.0.1'),
        endpoint('b', '10.0.0.2'),
        endpoint('d', '10.0.0.4', { ready: false, serving: true, terminating: true }),
      ]),
      slice('a-6', [endpoint('b', 'fd00::2')], { addressType: 'IPv6' }),
    );
    expect(found).to.deep.equal([
      { name: 'b', address: '10.0.0.2', port: 15012, serving: true },
      { name: 'c', address: '10.0.0.3', port: 15012, serving: false },
      { name: 'd', address: '10.0.0.4', port: 15012, serving: true },
    ]);
  });

  it('passes over what is no replica: names, pods elsewhere, endpoints without a pod, slices without the port', () => {
    const elsewhere = { ...endpoint('x', '10.0.0.7'), targetRef: { kind: 'Pod', namespace: 'shop', name: 'x' } };
    expect(
      others(slice('a', [elsewhere, { addresses: ['10.0.0.9'] }, null, { addresses: [] }, { targetRef: { kind: 'Pod' } }])),
    ).to.deep.equal([]);
    expect(others(slice('a', [endpoint('b', 'b.example')], { addressType: 'FQDN' }))).to.deep.equal([]);
    expect(others(slice('a', [endpoint('b', '10.0.0.2')], { ports: [{ name: 'view', port: 15014 }] }))).to.deep.equal([]);
  });
});
