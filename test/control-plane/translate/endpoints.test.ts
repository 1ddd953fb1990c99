// Who is at an IP address, as sidecars are told of pods that are called directly.
import { expect } from 'chai';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { podAddress } from '#control-plane/translate/endpoints.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import type { KubeObject } from '#kube/object.ts';

function pod(name: string, podIP: string, status: string | undefined, more: { phase?: string; hostNetwork?: boolean } = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', ...(status === undefined ? {} : { annotations: { [ANNOTATION_STATUS]: status } }) },
    spec: { serviceAccountName: name, hostNetwork: more.hostNetwork },
    status: { phase: more.phase ?? 'Running', podIP },
  } as KubeObject;
}

describe('podAddress', () => {
  const store = new ObjectStore();
  store.replaceAll([
    pod('meshed', '10.0.0.1', '{}'),
    pod('skips', '10.0.0.2', '{"skipInboundPorts":"9999,20000-20100"}'),
    pod('bare', '10.0.0.3', undefined),
    pod('finished', '10.0.0.4', '{}', { phase: 'Failed' }),
    pod('heir', '10.0.0.4', '{}'),
    pod('on-host', '192.168.0.1', '{}', { hostNetwork: true }),
    pod('says-opaque', '10.0.0.7', '{"opaquePorts":"7000-7010"}'),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'db', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.7', ports: [{ name: 'db', port: 80, targetPort: 9000, appProtocol: 'tcp' }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'db-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'db' } },
      addressType: 'IPv4',
      ports: [{ name: 'db', port: 9000 }],
      endpoints: [{ addresses: ['10.0.0.7'], targetRef: { kind: 'Pod', name: 'says-opaque', namespace: 'shop' } }],
    },
    { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] } },
  ] as KubeObject[]);
  const at = (address: string) => {
    const { identity, pod: name, bypassed } = podAddress(address, store, 'cluster.local');
    return [identity.slice(identity.lastIndexOf('/') + 1), name, bypassed.map(({ from, to }) => [from, to])];
  };

  it('names the identity of a pod with a sidecar, and the ports that the sidecar does not see', () => {
    expect(at('10.0.0.1')).to.deep.equal(['meshed', 'shop/meshed', [[15020, 15020]]]);
    expect(at('10.0.0.2')).to.deep.equal([
      'skips',
      'shop/skips',
      [
        [15020, 15020],
        [9999, 9999],
        [20000, 20100],
      ],
    ]);
  });

  it('has none for a pod without a sidecar, on the host, or not there', () => {
    expect(at('10.0.0.3')).to.deep.equal(['', 'shop/bare', []]);
    expect(at('192.168.0.1')).to.deep.equal(['', '', []]);
    expect(at('10.0.0.9')).to.deep.equal(['', '', []]);
  });

  it('says which addresses are those of nodes, also where pods are on the host', () => {
    const isNode = (address: string) => podAddress(address, store, 'cluster.local').node;
    expect(['192.168.0.1', '10.0.0.1', '10.0.0.9'].map(isNode)).to.deep.equal([true, false, false]);
  });

  it('says which ports carry octets, by the pod and by a Service in front of it', () => {
    const { opaque } = podAddress('10.0.0.7', store, 'cluster.local');
    expect(opaque.map(({ from, to }) => [from, to])).to.deep.equal([
      [7000, 7010],
      [9000, 9000],
    ]);
  });

  it('finds the pod that has the address of one that is finished', () => {
    expect(at('10.0.0.4').slice(0, 2)).to.deep.equal(['heir', 'shop/heir']);
  });
});
