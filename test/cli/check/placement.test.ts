// `weft check`: words of Weft where they have no effect, limits that leave no room, probes past the sidecar, and what the
// webhook's policy does while no injector answers.
import { expect } from 'chai';
import { evaluate } from '#cli/check/evaluate.ts';
import type { Facts, PodOwner } from '#cli/check/facts.ts';
import type { Namespace } from '#objects/namespace.ts';
import { facts, ok, shopPod } from './facts.ts';

const verdict = (change: Partial<Facts>, id: string) => evaluate(facts(change)).find((check) => check.id === id);
const namespaces = (metadata: NonNullable<Namespace['metadata']>) => ({
  namespaces: ok([
    { metadata: { name: 'weft-system' } },
    { metadata: { name: 'shop', labels: { 'weft.dev/inject': 'enabled' } } },
    { metadata },
  ]),
});
const workload = (change: Partial<PodOwner>) => ({
  workloads: ok([{ kind: 'Deployment', metadata: { namespace: 'shop', name: 'payment' }, ...change }]),
});

describe('weft check, words with no effect', () => {
  const label = { 'weft.dev/inject': 'enabled' };
  const cases: [what: string, change: Partial<Facts>, says: RegExp, hint: RegExp][] = [
    [
      'a label as an annotation of a namespace',
      namespaces({ name: 'two', annotations: label }),
      /namespace two: metadata\.annotations: weft\.dev\/inject does nothing: it is a label/,
      /^kubectl label --overwrite namespace two weft\.dev\/inject=enabled$/,
    ],
    [
      'an annotation as a label',
      namespaces({ name: 'two', labels: { 'weft.dev/log-level': 'debug' } }),
      /it is an annotation, not a label/,
      /^kubectl annotate --overwrite namespace two weft\.dev\/log-level=debug$/,
    ],
    [
      'a misspelt label',
      namespaces({ name: 'two', labels: { 'weft.dev/injct': 'enabled' } }),
      /did you mean the label "weft\.dev\/inject"/,
      /inject=enabled/,
    ],
    [
      'another domain',
      namespaces({ name: 'two', labels: { 'weft.io/mtls': 'strict' } }),
      /did you mean the label "weft\.dev\/mtls"/,
      /mtls=strict/,
    ],
    [
      'a misspelt annotation',
      namespaces({ name: 'two', annotations: { 'weft.dev/opaque-port': '25' } }),
      /the annotation "weft\.dev\/opaque-ports"/,
      /kubectl annotate/,
    ],
    ['an unknown word', namespaces({ name: 'two', labels: { 'weft.dev/zzzzzzzzzzzz': 'x' } }), /is no label of Weft/, /annotations\.md/],
    [
      "a label on a pod's owner",
      workload({ metadata: { namespace: 'shop', name: 'payment', labels: label } }),
      /deployment shop\/payment: metadata: weft\.dev\/inject is read on pods and namespaces only/,
      /spec\.template\.metadata\.labels/,
    ],
    [
      'a label as an annotation of a template',
      workload({ template: { annotations: label } }),
      /spec\.template: .*a label/,
      /metadata\.labels/,
    ],
  ];
  for (const [what, change, says, hint] of cases) {
    it(`names ${what}`, () => {
      const check = verdict(change, 'misplaced');
      expect(check?.state).to.equal('warning');
      expect(check?.details.join('\n')).to.match(says);
      expect(check?.hint).to.match(hint);
    });
  }

  it('says nothing of right words, nor of those of others', () => {
    const right = { name: 'two', labels: { ...label, 'istio.io/rev': 'x', app: 'inject' }, annotations: { 'weft.dev/log-level': 'info' } };
    expect(verdict(namespaces(right), 'misplaced')).to.equal(undefined);
    const both = { metadata: { namespace: 'shop', name: 'payment', labels: label }, template: { labels: label } };
    expect(verdict(workload(both), 'misplaced')).to.equal(undefined);
  });
});

describe('weft check, limits of a namespace', () => {
  const metadata = { namespace: 'shop', name: 'small' };
  const range = (max: Record<string, string>) => ({ limitRanges: ok([{ metadata, spec: { limits: [{ type: 'Container', max }] } }]) });
  const quota = (hard: string, used: string) => ({
    quotas: ok([{ metadata, status: { hard: { 'limits.memory': hard }, used: { 'limits.memory': used } } }]),
  });

  it('names a LimitRange and a quota that leave no room, with the field', () => {
    expect(verdict(range({ memory: '32Mi' }), 'limits')?.details.join()).to.match(
      /shop: LimitRange small: spec\.limits\[0\]\.max\.memory: 32Mi/,
    );
    expect(verdict(quota('1Gi', '1000Mi'), 'quotas')?.details.join()).to.match(
      /ResourceQuota small: spec\.hard\.limits\.memory: 1000Mi of 1Gi/,
    );
  });

  it('says nothing where there is room, nor of a namespace without the mesh', () => {
    expect(verdict(range({ memory: '1Gi', cpu: '2' }), 'limits')).to.equal(undefined);
    expect(verdict(quota('2Gi', '1Gi'), 'quotas')).to.equal(undefined);
    expect(
      verdict(
        { ...range({ memory: '32Mi' }), ...{ namespaces: ok([{ metadata: { name: 'weft-system' } }, { metadata: { name: 'shop' } }]) } },
        'limits',
      ),
    ).to.equal(undefined);
  });
});

describe('weft check, probes past the sidecar', () => {
  const podWithProbe = (port: number | string, ready: boolean) => {
    const made = shopPod('payment-7f6d-aaaaa');
    const ports = [{ name: 'http', containerPort: 8080 }];
    made.spec!.containers = [{ name: 'payment', ports, readinessProbe: { httpGet: { port } } }];
    made.status!.containerStatuses = [{ name: 'payment', ready }];
    return made;
  };
  const pod = (port: number, ready: boolean) => ({ pods: ok([podWithProbe(port, ready)]) });

  it('names the pod, the container and the field', () => {
    expect(verdict(pod(8080, false), 'probes')?.details).to.deep.equal(['shop/payment-7f6d-aaaaa: container payment: readinessProbe']);
  });

  it('says nothing of a container that is ready, nor of a probe at the sidecar', () => {
    expect(verdict(pod(8080, true), 'probes')).to.equal(undefined);
    expect(verdict(pod(15020, false), 'probes')).to.equal(undefined);
  });

  it('says nothing of probes that injection leaves alone, because the sidecar does not see their port or the container does not declare it', () => {
    const left = (port: number | string, skipInboundPorts: string) => {
      const made = podWithProbe(port, false);
      made.metadata!.annotations = { ...made.metadata!.annotations, 'weft.dev/status': JSON.stringify({ skipInboundPorts }) };
      return verdict({ pods: ok([made]) }, 'probes')?.details.length ?? 0;
    };
    expect([left(8080, '8080'), left('http', '8000-8100'), left(8080, '9090'), left('http', '9090'), left('htp', '9090')]).to.deep.equal([
      0, 0, 1, 1, 0,
    ]);
  });
});

describe('weft check, no injector', () => {
  for (const [failurePolicy, says] of [
    ['Fail', /Fail refuses every new pod/],
    ['Ignore', /Ignore lets new pods start without a sidecar/],
  ] as const) {
    it(`says what ${failurePolicy} does`, () => {
      const change = { injectorEndpoints: ok([]), webhook: ok({ webhooks: [{ name: 'a', failurePolicy }] }) };
      expect(verdict(change, 'webhook-endpoints')?.text).to.match(says);
    });
  }
});
