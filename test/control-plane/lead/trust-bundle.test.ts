// The roots as ConfigMaps: where they are wanted, repaired, and written by the leader alone.
import { expect } from 'chai';
import { namespacesWithPods, TrustBundle } from '#control-plane/lead/trust-bundle.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { ANNOTATION_STATUS, TRUST_CONFIG_MAP, TRUST_KEY } from '#core/contract/names.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KINDS, KubeError } from '#kube/api.ts';
import { FakeApi } from '../../support/fake-api.ts';
import { ManualTimers } from '../../support/manual-timers.ts';
import { until } from '../../support/until.ts';

const HASTY: Timers = { now: Date.now, after: (ms, then) => systemTimers.after(Math.min(ms, 3), then) };
const mapIn = (namespace: string) => ({ kind: KINDS.ConfigMap, namespace, name: TRUST_CONFIG_MAP });

function namespace(name: string, inject?: string, more: object = {}) {
  const labels = inject === undefined ? undefined : { 'weft.dev/inject': inject };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, ...more } };
}

describe('control-plane/lead: trust-bundle', () => {
  let api: FakeApi;
  let store: ObjectStore;
  let bundle: TrustBundle;
  let leading: boolean;
  let roots: string;

  beforeEach(() => {
    api = new FakeApi();
    store = new ObjectStore();
    leading = true;
    roots = 'ROOTS';
    bundle = bundleWith(HASTY);
  });

  function bundleWith(timers: Timers): TrustBundle {
    return new TrustBundle({
      client: api,
      store,
      systemNamespace: 'weft-system',
      roots: () => roots,
      stillLeading: () => leading,
      timers,
      random: () => 0.5,
      log: silentLogger,
    });
  }

  afterEach(() => bundle.stop());

  const held = (where: string) => (api.get(mapIn(where))?.data as Record<string, string> | undefined)?.[TRUST_KEY];

  it('is wanted where pods are injected or were', () => {
    for (const one of [namespace('shop', 'enabled'), namespace('off', 'disabled'), namespace('plain'), namespace('odd', 'true')])
      store.apply(one);
    store.apply(namespace('leaving', 'enabled', { deletionTimestamp: '2026-01-01T00:00:00Z' }));
    store.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'plain', annotations: { [ANNOTATION_STATUS]: '{}' } },
    } as never);
    store.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b', namespace: 'odd' } });
    expect([...namespacesWithPods(store, 'weft-system')].sort()).to.deep.equal(['plain', 'shop', 'weft-system']);
  });

  it('is put in place, repaired when edited or deleted, and left when the label goes', async () => {
    store.apply(namespace('shop', 'enabled'));
    bundle.start();
    bundle.lead(true);
    await until(() => held('shop') === 'ROOTS' && held('weft-system') === 'ROOTS', 'the roots are in place');
    api.put(mapIn('shop'), { data: { [TRUST_KEY]: 'forged' } });
    await until(() => held('shop') === 'ROOTS', 'an edit is taken back');
    api.drop(mapIn('shop'));
    await until(() => held('shop') === 'ROOTS', 'it is made again');
    store.apply(namespace('shop'));
    bundle.touch();
    roots = 'NEW';
    bundle.touch();
    await until(() => held('weft-system') === 'NEW', 'new roots are written');
    expect(held('shop')).to.equal('ROOTS');
  });

  it('is written by the leader alone', async () => {
    bundle.start();
    bundle.touch();
    await until(() => bundle.status().synced, 'the list is there');
    leading = false;
    bundle.lead(true);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(api.writes).to.have.length(0);
  });

  it('does not let one namespace that refuses hold up the others', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) store.apply(namespace(name, 'enabled'));
    api.intercept = ({ method, path }) => {
      if (method === 'POST' && path.includes('/a/')) throw new KubeError('403 the namespace is being terminated', 403, 'Forbidden');
      return undefined;
    };
    bundle.start();
    bundle.lead(true);
    await until(() => ['b', 'c', 'd', 'e', 'f'].every((name) => held(name) === 'ROOTS'), 'the others have theirs');
    expect(held('a')).to.equal(undefined);
  });

  it('does not make a new namespace wait for the next try of one that refuses', async () => {
    const timers = new ManualTimers();
    const subject = bundleWith(timers);
    const settle = async (): Promise<void> => {
      for (let i = 0; i < 50; i++) await Promise.resolve();
    };
    store.apply(namespace('a', 'enabled'));
    api.intercept = ({ method, path }) => {
      if (method === 'POST' && path.includes('/a/')) throw new KubeError('403 the namespace is being terminated', 403, 'Forbidden');
      return undefined;
    };
    subject.start();
    subject.lead(true);
    for (let i = 0; i < 200; i++) {
      timers.advance(250);
      await settle();
    }
    expect(timers.nextInMs()).to.be.above(2000);
    store.apply(namespace('b', 'enabled'));
    subject.touch();
    timers.advance(500);
    await settle();
    expect(held('b')).to.equal('ROOTS');
    subject.stop();
  });
});
