// XTelemetryPolicies → what pods are told, and the verdicts on the policies.
import { expect } from 'chai';
import fc from 'fast-check';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { judgePolicies, PoliciesOfPods } from '#control-plane/translate/policies/telemetry.ts';
import { workloadOfPod } from '#control-plane/translate/workload.ts';
import type { KubeObject } from '#kube/object.ts';
import { Touched } from '#objects/touched.ts';

const make = (apiVersion: string, kind: string, namespace: string, name: string, rest: object = {}, meta: object = {}) =>
  ({ apiVersion, kind, metadata: { namespace, name, ...meta }, ...rest }) as KubeObject;
const service = (namespace: string, name: string, spec: object = { clusterIP: '10.0.0.1', ports: [{ name: 'otlp', port: 4318 }] }) =>
  make('v1', 'Service', namespace, name, { spec });
const behind = (name: string, ...pods: string[]) =>
  make(
    'discovery.k8s.io/v1',
    'EndpointSlice',
    'shop',
    `${name}-1`,
    { endpoints: pods.map((pod) => ({ addresses: ['10.1.0.1'], conditions: { ready: false }, targetRef: { kind: 'Pod', name: pod } })) },
    { labels: { 'kubernetes.io/service-name': name } },
  );
const grant = (from: object) =>
  make('gateway.networking.k8s.io/v1beta1', 'ReferenceGrant', 'obs', 'g', { spec: { from: [from], to: [{ group: '', kind: 'Service' }] } });
const GRANT = grant({ group: 'gateway.networking.x-k8s.io', kind: 'XTelemetryPolicy', namespace: 'shop' });
const target = (kind: string, name: string, group = '') => ({ group, kind, name });
const JAEGER = { backendRef: { name: 'jaeger', namespace: 'obs', port: 4318 } };
const policy = (name: string, targetRefs: unknown, tracing: unknown, created = '2026-01-01T00:00:00Z') =>
  make(
    'gateway.networking.x-k8s.io/v1alpha1',
    'XTelemetryPolicy',
    'shop',
    name,
    { spec: { targetRefs, tracing } },
    {
      generation: 3,
      creationTimestamp: created,
    },
  );
const rate = (numerator: number, denominator?: number) => ({ mode: 'Enabled', provider: JAEGER, samplingRate: { numerator, denominator } });

const AROUND = [service('shop', 'payment'), service('shop', 'checkout'), service('obs', 'jaeger'), behind('payment', 'pay-1'), GRANT];

function storeOf(...objects: KubeObject[]): ObjectStore {
  const store = new ObjectStore();
  store.replaceAll([...AROUND, ...objects]);
  return store;
}

const policyOfPod = (pod: string, store: ObjectStore, defaultSampling: number) => new PoliciesOfPods(store, defaultSampling).of(pod);
const shareOf = (store: ObjectStore, pod: string) => policyOfPod(`shop/${pod}`, store, 0.01)?.traceSampling;

/** "Accepted=True Accepted" of each target. */
function verdicts(store: ObjectStore): Record<string, string[]> {
  const { verdicts } = judgePolicies('shop', store, 0.01);
  return Object.fromEntries(
    verdicts.map(({ policy, ancestors }) => [
      policy.metadata!.name!,
      ancestors.map(({ ref, conditions }) => `${ref.kind} ${ref.name}: ${conditions.map((c) => `${c.status} ${c.reason}`).join(', ')}`),
    ]),
  );
}

describe('control-plane/translate: XTelemetryPolicy', () => {
  it('says for the pods of a namespace where spans go, how many, and what stands on each', () => {
    const tracing = {
      ...rate(5),
      serviceName: 'the-shop',
      attributes: [
        { name: 'team', sourceType: 'Literal', literalValue: 'red' },
        { name: 'agent', sourceType: 'Header', headerName: 'user-agent' },
      ],
      spanName: 'x',
    };
    const store = storeOf(policy('p', [target('Namespace', 'shop')], tracing));
    expect(policyOfPod('shop/any', store, 0.01)).to.deep.equal({
      traceSampling: 0.05,
      otlpEndpoint: 'http://jaeger.obs.svc:4318',
      serviceName: 'the-shop',
      attributes: { team: 'red' },
    });
    expect(policyOfPod('other/any', store, 0.01)).to.equal(undefined);
    const [{ ancestors }] = judgePolicies('shop', store, 0.01).verdicts;
    expect(ancestors).to.have.length(1);
    expect(ancestors[0].ref).to.deep.equal({ group: '', kind: 'Namespace', name: 'shop' });
    expect(ancestors[0].conditions[0]).to.deep.equal({
      type: 'Accepted',
      status: 'True',
      reason: 'Accepted',
      message: 'in force; Weft does not do, and ignores: tracing.spanName, the attribute "agent", which is not Literal',
      observedGeneration: 3,
    });
  });

  it('goes from the annotation to the Service, the namespace and the installation', () => {
    const store = storeOf(
      policy('wide', [target('Namespace', 'shop')], rate(1)),
      policy('near', [target('Service', 'payment')], rate(2, 10)),
    );
    expect([shareOf(store, 'pay-1'), shareOf(store, 'other')]).to.deep.equal([0.2, 0.01]);
    const pod = make('v1', 'Pod', 'shop', 'pay-1', {}, { annotations: { 'weft.dev/trace-sampling': '1' } });
    const { telemetry } = workloadOfPod(pod, undefined, 't', policyOfPod('shop/pay-1', store, 0.01))!;
    expect(telemetry).to.include({ traceSampling: 1, otlpEndpoint: 'http://jaeger.obs.svc:4318' });
    store.remove('XTelemetryPolicy', 'shop', 'near');
    expect(shareOf(store, 'pay-1')).to.equal(0.01);
    store.remove('XTelemetryPolicy', 'shop', 'wide');
    expect(policyOfPod('shop/pay-1', store, 0.01)).to.equal(undefined);
  });

  it('follows which pods a Service has', () => {
    const store = storeOf(policy('near', [target('Service', 'payment')], rate(20)));
    expect(shareOf(store, 'pay-2')).to.equal(undefined);
    store.apply(behind('payment', 'pay-2'));
    expect([shareOf(store, 'pay-1'), shareOf(store, 'pay-2')]).to.deep.equal([undefined, 0.2]);
  });

  it('takes the share of the installation where none is given, switches off, and leaves things as they are', () => {
    const one = (tracing: unknown) => policyOfPod('shop/a', storeOf(policy('p', [target('Namespace', 'shop')], tracing)), 0.25)!;
    expect(one({ mode: 'Enabled', provider: JAEGER }).traceSampling).to.equal(0.25);
    expect(one({ mode: 'Disabled' })).to.include({ traceSampling: undefined, otlpEndpoint: 'off' });
    expect(one({ mode: 'ImplementationDefault' })).to.include({ traceSampling: undefined, otlpEndpoint: '' });
    expect(one({})).to.include({ traceSampling: undefined, otlpEndpoint: '' });
    expect(one({ mode: 'Enabled', provider: { backendRef: { name: 'jaeger', namespace: 'obs' } } }).otlpEndpoint).to.match(/:4318$/);
  });

  it('holds before a younger one with the same target, and of equally old ones the first by name does', () => {
    const store = storeOf(
      policy('young', [target('Namespace', 'shop'), target('Service', 'checkout')], rate(1), '2026-02-01T00:00:00Z'),
      policy('b', [target('Namespace', 'shop')], rate(2)),
      policy('a', [target('Namespace', 'shop')], rate(3)),
    );
    expect(shareOf(store, 'x')).to.equal(0.03);
    expect(verdicts(store)).to.deep.equal({
      a: ['Namespace shop: True Accepted, True ResolvedRefs'],
      b: ['Namespace shop: False Conflicted, True ResolvedRefs'],
      young: ['Namespace shop: False Conflicted, True ResolvedRefs', 'Service checkout: True Accepted, True ResolvedRefs'],
    });
  });

  it('leaves Gateways and other kinds to others, and names targets that are not there', () => {
    const targets = [
      target('Gateway', 'g', 'gateway.networking.k8s.io'),
      target('Service', 'x', 'example.dev'),
      target('Service', 'paymen'),
      target('Service', 'chekout'),
      target('Namespace', 'other'),
    ];
    const store = storeOf(policy('p', targets, rate(1)));
    expect(verdicts(store)).to.deep.equal({
      p: [
        'Service paymen: False TargetNotFound, True ResolvedRefs',
        'Service chekout: False TargetNotFound, True ResolvedRefs',
        'Namespace other: False TargetNotFound, True ResolvedRefs',
      ],
    });
    const [{ ancestors }] = judgePolicies('shop', store, 0.01).verdicts;
    expect(ancestors[0].conditions[0].message).to.equal('there is no Service "shop/paymen", did you mean "payment"?');
    expect(ancestors[1].conditions[0].message, 'the search is done once').to.equal('there is no Service "shop/chekout"');
    expect(judgePolicies('shop', store, 0.01).holding.size).to.equal(0);
  });

  it('changes nothing while its collector cannot be found, and says why', () => {
    const reason = (provider: object, ...objects: KubeObject[]) => {
      const store = new ObjectStore();
      store.replaceAll([...objects, policy('p', [target('Namespace', 'shop')], { mode: 'Enabled', provider })]);
      expect(policyOfPod('shop/a', store, 0.01)).to.equal(undefined);
      const { conditions } = judgePolicies('shop', store, 0.01).verdicts[0].ancestors[0];
      expect(conditions[0]).to.include({ status: 'True', message: 'not in force while its collector is not known' });
      return `${conditions[1].reason}: ${conditions[1].message}`;
    };
    expect(reason(JAEGER, service('obs', 'jaeger'))).to.equal(
      'RefNotPermitted: tracing.provider.backendRef: no ReferenceGrant in namespace "obs" allows XTelemetryPolicies of "shop"',
    );
    const forRoutes = grant({ group: 'gateway.networking.k8s.io', kind: 'GRPCRoute', namespace: 'shop' });
    expect(reason(JAEGER, service('obs', 'jaeger'), forRoutes)).to.match(/^RefNotPermitted/);
    expect(reason(JAEGER, service('obs', 'jager'), GRANT)).to.match(/^BackendNotFound: .*did you mean "jager"\?$/);
    expect(reason({ backendRef: { kind: 'XBackend', name: 'x' } })).to.match(/^InvalidKind/);
    expect(reason({}, service('shop', 'x'))).to.match(/^InvalidKind/);
    const ports = [{ port: 16686 }, { port: 4318, protocol: 'UDP' }];
    expect(reason(JAEGER, service('obs', 'jaeger', { clusterIP: '10.0.0.1', ports }), GRANT)).to.equal(
      'BackendNotFound: tracing.provider.backendRef: Service "obs/jaeger" has no port 4318: it has port 16686',
    );
    expect(reason(JAEGER, service('obs', 'jaeger', { type: 'ExternalName', externalName: 'example.com' }), GRANT)).to.match(/^InvalidKind/);
  });

  it('keeps what holds until an object that decides it changes', () => {
    const store = storeOf(policy('p', [target('Service', 'payment')], rate(20)));
    const policies = new PoliciesOfPods(store, 0.01);
    const share = () => policies.of('shop/pay-1')?.traceSampling;
    expect(share()).to.equal(0.2);
    const take = (touched: Touched) => [...policies.take(touched)];
    const takeEndpointsOf = (name: string) => {
      const touched = new Touched();
      touched.endpoints.add(`shop/${name}`);
      return take(touched);
    };
    expect(['payment', 'checkout'].map(takeEndpointsOf)).to.deep.equal([['shop'], []]);
    expect(policies.of('shop/pay-1'), 'nothing is judged again').to.equal(policies.of('shop/pay-1'));
    expect(take(store.apply(policy('p', [target('Service', 'payment')], rate(30))))).to.deep.equal(['shop']);
    expect(share()).to.equal(0.3);
    expect(take(store.apply(service('other', 'new'))), 'nothing asks for that one').to.deep.equal([]);
    expect(take(store.remove('ReferenceGrant', 'obs', 'g'))).to.deep.equal(['shop']);
    expect(share()).to.equal(undefined);
    expect(take(store.apply(GRANT))).to.deep.equal(['shop']);
    expect(take(store.apply(GRANT))).to.deep.equal([]);
    expect(share()).to.equal(0.3);
    expect(take(store.remove('Service', 'obs', 'jaeger'))).to.deep.equal(['shop']);
    expect(share()).to.equal(undefined);
    take(store.replaceAll(AROUND));
    expect(takeEndpointsOf('payment')).to.deep.equal([]);
  });

  it('refuses shares above one and unknown modes', () => {
    for (const tracing of [rate(101), rate(-1), rate(1, 0), { mode: 'enabled', provider: JAEGER }, { mode: { toString: 1 } }]) {
      const store = storeOf(policy('p', [target('Namespace', 'shop')], tracing));
      expect(verdicts(store).p).to.deep.equal(['Namespace shop: False Invalid, True ResolvedRefs']);
      expect(policyOfPod('shop/a', store, 0.01)).to.equal(undefined);
    }
  });

  it('never throws, and never gives a share outside of 0 to 1, whatever stands in the object', () => {
    const odd = fc.oneof(fc.anything(), fc.integer({ min: -5, max: 500 }));
    const tracings = fc.oneof(
      fc.anything(),
      fc.record({
        mode: fc.oneof(fc.constantFrom('Enabled', 'Disabled', { toString: 1 }), odd),
        provider: fc.oneof(fc.constant(JAEGER), fc.record({ backendRef: fc.record({ name: odd, port: odd }), headers: odd })),
        samplingRate: fc.oneof(odd, fc.record({ numerator: odd, denominator: odd })),
        parentBasedSampling: odd,
        serviceName: odd,
        attributes: fc.oneof(odd, fc.array(fc.record({ name: odd, sourceType: fc.constantFrom('Literal', 'Header'), literalValue: odd }))),
      }),
    );
    const targets = fc.oneof(fc.anything(), fc.array(fc.oneof(fc.constant(target('Namespace', 'shop')), fc.anything())));
    fc.assert(
      fc.property(targets, tracings, (targetRefs, tracing) => {
        const store = storeOf(policy('p', targetRefs, tracing));
        judgePolicies('shop', store, 0.01);
        const share = shareOf(store, 'a');
        if (share !== undefined) expect(share).to.be.within(0, 1);
        workloadOfPod(make('v1', 'Pod', 'shop', 'a'), undefined, 't', policyOfPod('shop/a', store, 0.01));
      }),
    );
  });
});
