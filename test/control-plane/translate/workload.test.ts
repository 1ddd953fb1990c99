// A Pod object → what its sidecar is told of itself.
import { expect } from 'chai';
import fc from 'fast-check';
import { workloadOfPod } from '#control-plane/translate/workload.ts';
import { MtlsMode } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Pod } from '#objects/pod.ts';

const pod = (name: string, labels: Record<string, string> = {}, spec: Pod['spec'] = {}): Pod => ({
  metadata: { name, namespace: 'shop', labels },
  spec,
});
const namespace = (mtls: string): Namespace => ({ metadata: { name: 'shop', labels: { 'weft.dev/mtls': mtls } } });

describe('control-plane: the workload of a pod', () => {
  it('has the identity of the ServiceAccount', () => {
    const workload = workloadOfPod(pod('a', {}, { serviceAccountName: 'payment' }), undefined, 'test.local');
    expect(workload).to.include({
      namespace: 'shop',
      pod: 'a',
      serviceAccount: 'payment',
      identity: 'spiffe://test.local/ns/shop/sa/payment',
    });
    expect(workloadOfPod(pod('a'), undefined, 'test.local')!.serviceAccount).to.equal('default');
    expect(workloadOfPod(undefined, undefined, 'test.local')).to.equal(undefined);
  });

  it('is named as its Deployment or StatefulSet', () => {
    const nameOf = (name: string, labels?: Record<string, string>) => workloadOfPod(pod(name, labels), undefined, 't')!.name;
    expect(nameOf('payment-v1-6c9f4-x2k8q', { 'pod-template-hash': '6c9f4' })).to.equal('payment-v1');
    expect(nameOf('db-12', { 'statefulset.kubernetes.io/pod-name': 'db-12' })).to.equal('db');
    expect(nameOf('plain')).to.equal('plain');
  });

  it('takes its mTLS mode from itself, then from its namespace, then PERMISSIVE', () => {
    const modeOf = (own: string | undefined, around: string | undefined) =>
      workloadOfPod(pod('a', own === undefined ? {} : { 'weft.dev/mtls': own }), around === undefined ? undefined : namespace(around), 't')!
        .mtls;
    expect(modeOf('permissive', 'strict')).to.equal(MtlsMode.PERMISSIVE);
    expect(modeOf(undefined, 'strict')).to.equal(MtlsMode.STRICT);
    expect(modeOf(undefined, undefined)).to.equal(MtlsMode.PERMISSIVE);
    expect(modeOf('sometimes', undefined)).to.equal(MtlsMode.PERMISSIVE);
  });

  it('never throws, whatever stands in the object', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), fc.anything(), (name, ns, labels, account) => {
        workloadOfPod(
          { metadata: { name, namespace: ns, labels }, spec: { serviceAccountName: account } } as unknown as Pod,
          undefined,
          'test.local',
        );
      }),
    );
  });
});
