// Pods that have a sidecar and were changed: the second review, and a manifest that is applied again.
import { expect } from 'chai';
import { ControlPlaneAddress, needsAddress } from '#injector/control-plane-address.ts';
import { inject } from '#injector/inject.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import type { Container, InjectablePod } from '#injector/pod.ts';
import { keepRewritten, reinject } from '#injector/reinject.ts';
import { ManualTimers } from '../support/manual-timers.ts';
import { SETTINGS } from './golden-case.ts';

const FACTS = { hookToken: 'TOKEN', limits: NO_LIMITS };
const SHOP = { name: 'shop', labels: {}, annotations: {} };
const pod = (app: Omit<Container, 'name'>): InjectablePod => ({ metadata: { name: 'a' }, spec: { containers: [{ name: 'app', ...app }] } });
const injected = (own: InjectablePod): InjectablePod => structuredClone(inject(own, SHOP, SETTINGS, FACTS).pod);

describe('reinject', () => {
  it('repairs what another webhook did, and then has nothing more to do', () => {
    const changed = injected(pod({ readinessProbe: { httpGet: { port: 80 } } }));
    changed.spec!.initContainers!.unshift({ name: 'vault-agent-init' });
    changed.spec!.containers!.push({ name: 'daprd', livenessProbe: { grpc: { port: 50_001 } } });
    const second = reinject(changed, SETTINGS, FACTS).pod;
    expect(second.spec!.initContainers!.map(({ name }) => name)).to.deep.equal(['weft-proxy', 'vault-agent-init']);
    expect(second.spec!.containers![1]!.livenessProbe).to.deep.equal({ httpGet: { port: 15_020, path: '/probe/daprd/liveness' } });
    expect(reinject(second, SETTINGS, FACTS).pod).to.equal(second);
  });

  it('leaves what another webhook added to our container', () => {
    const changed = injected(pod({}));
    changed.spec!.initContainers![0]!.env!.push({ name: 'OTHER', value: '1' });
    changed.spec!.containers!.push({ name: 'late', livenessProbe: { tcpSocket: { port: 1 } } });
    const names = reinject(changed, SETTINGS, FACTS).pod.spec!.initContainers![0]!.env!.map(({ name }) => name);
    expect(names).to.include.members(['OTHER', 'WEFT_PROBES']);
  });
});

describe('keepRewritten', () => {
  const probes: [what: string, manifest: Omit<Container, 'name'>, merged: Omit<Container, 'name'>][] = [
    [
      'http',
      { readinessProbe: { httpGet: { port: 80, path: '/a', scheme: 'HTTP' } } },
      { readinessProbe: { httpGet: { port: 80, path: '/a', scheme: 'HTTP' } } },
    ],
    [
      'http without a path',
      { readinessProbe: { httpGet: { port: 80, path: '/', scheme: 'HTTP' } } },
      { readinessProbe: { httpGet: { port: 80, path: '/probe/app/readiness', scheme: 'HTTP' } } },
    ],
    [
      'a named port',
      { ports: [{ name: 'web', containerPort: 80 }], livenessProbe: { httpGet: { port: 'web', path: '/a' } } },
      { ports: [{ name: 'web', containerPort: 80 }], livenessProbe: { httpGet: { port: 'web', path: '/a' } } },
    ],
    [
      'tcp, beside ours',
      { readinessProbe: { tcpSocket: { port: 80 } } },
      { readinessProbe: { tcpSocket: { port: 80 }, httpGet: { port: 15_020, path: '/probe/app/readiness', scheme: 'HTTP' } } },
    ],
    [
      'grpc, beside ours',
      { readinessProbe: { grpc: { port: 80, service: '' } } },
      { readinessProbe: { grpc: { port: 80, service: '' }, httpGet: { port: 15_020, path: '/probe/app/readiness', scheme: 'HTTP' } } },
    ],
    [
      'a hook without a path',
      { lifecycle: { preStop: { httpGet: { port: 80, path: '/' } } } },
      { lifecycle: { preStop: { httpGet: { port: 80, path: '/probe/app/preStop?TOKEN' } } } },
    ],
  ];
  for (const [what, manifest, merged] of probes) {
    it(`makes nothing of a manifest that is applied again: ${what}`, () => {
      const before = injected(pod(manifest));
      const after = structuredClone(before);
      Object.assign(after.spec!.containers![0]!, merged);
      expect(keepRewritten(before, after)).to.deep.equal(before);
    });
  }

  it('leaves a change to the API server, and a pod that nobody applied', () => {
    const before = injected(pod({ readinessProbe: { httpGet: { port: 80, path: '/a' } } }));
    for (const httpGet of [
      { port: 81, path: '/a' },
      { port: 80, path: '/b' },
      { port: 80, path: '/a', host: '192.0.2.1' },
    ]) {
      const after = structuredClone(before);
      after.spec!.containers![0]!.readinessProbe = { httpGet };
      expect(keepRewritten(before, after)).to.equal(after);
    }
    const image = structuredClone(before);
    image.spec!.containers![0]!.image = 'app:2';
    expect(keepRewritten(before, image)).to.equal(image);
    expect(keepRewritten(pod({}), image)).to.equal(image);
  });
});

describe('ControlPlaneAddress', () => {
  it('is needed where the pod does not ask the DNS of the cluster', () => {
    const of = (dnsPolicy?: string) => needsAddress({ spec: { containers: [], ...(dnsPolicy && { dnsPolicy }) } });
    expect(['Default', 'None', 'ClusterFirst', 'ClusterFirstWithHostNet', undefined].map(of)).to.deep.equal([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('is asked for again after a while, and the last one serves while there is no answer', async () => {
    const timers = new ManualTimers();
    const answers = ['10.96.0.7', 'fd00::7'];
    let asked = 0;
    const address = new ControlPlaneAddress(
      'weft-control-plane.weft-system.svc:15012',
      async () => {
        asked++;
        const answer = answers.shift();
        if (answer === undefined) throw new Error('ENOTFOUND');
        return answer;
      },
      timers,
    );
    expect(await address.get()).to.equal('10.96.0.7:15012');
    expect(await address.get()).to.equal('10.96.0.7:15012');
    expect(asked).to.equal(1);
    timers.advance(30_000);
    expect(await address.get()).to.equal('[fd00::7]:15012');
    timers.advance(30_000);
    expect(await address.get()).to.equal('[fd00::7]:15012');
    const never = new ControlPlaneAddress('x:1', () => Promise.reject(new Error('ENOTFOUND')), timers);
    expect(await never.get().catch(String)).to.contain('ENOTFOUND');
  });
});
