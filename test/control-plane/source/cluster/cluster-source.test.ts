// Objects of a cluster into the store: only what changed touches anything, also what vanished between two lists, and
// kinds that are not served (yet).
import { expect } from 'chai';
import { ClusterSource, MISSING_AFTER_MS } from '#control-plane/source/cluster/cluster-source.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { silentLogger } from '#core/program/log.ts';
import { systemTimers, type Timers } from '#core/program/timers.ts';
import { KubeError } from '#kube/api.ts';
import { grpcRouteKind } from '#objects/grpc-route.ts';
import { FOLLOWED_KINDS } from '#objects/kinds.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { serviceKind } from '#objects/service.ts';
import type { Touched } from '#objects/touched.ts';
import { FakeApi } from '../../../support/fake-api.ts';
import { until } from '../../../support/until.ts';

const service = (name: string) => ({ kind: serviceKind, namespace: 'shop', name });

describe('control-plane/source: cluster-source', () => {
  let api: FakeApi;
  let store: ObjectStore;
  let source: ClusterSource;
  let touched: string[];
  let nowMs: number;

  beforeEach(() => {
    api = new FakeApi();
    store = new ObjectStore();
    touched = [];
    nowMs = 1_000_000;
    const timers: Timers = { now: () => nowMs, after: (ms, then) => systemTimers.after(Math.min(ms, 2), then) };
    source = new ClusterSource({ client: api, store, timers, random: () => 0.5, log: silentLogger });
    const note = (one: Touched): Touched => {
      touched.push(...one.services);
      return one;
    };
    source.feed({
      apply: (object) => note(store.apply(object)),
      remove: (kind, namespace, name) => note(store.remove(kind, namespace, name)),
    });
  });

  afterEach(() => source.stop());

  const synced = () => until(() => source.waitingFor().length === 0, 'all kinds are known');
  const lists = (kind: string) => source.status().find((one) => one.kind === kind)!.status.lists;

  it('holds all there is, then what changes', async () => {
    api.put(service('payment'), { spec: { ports: [{ port: 80 }] } });
    api.put({ kind: namespaceKind, name: 'shop' }, {});
    source.start();
    await synced();
    expect([...store.keysOf('Service')]).to.deep.equal(['shop/payment']);
    expect([...store.keysOf('Namespace')]).to.deep.equal(['shop']);
    api.put(service('cart'), { spec: {} });
    api.drop(service('payment'));
    expect([...store.keysOf('Service')]).to.deep.equal(['shop/cart']);
  });

  it('after a new list touches only what is different, and removes what vanished meanwhile', async () => {
    for (const name of ['a', 'b', 'c']) api.put(service(name), { spec: { ports: [{ port: 80 }] } });
    api.put({ kind: namespaceKind, name: 'gone' }, {});
    source.start();
    await synced();
    touched.length = 0;
    // What happens while a watch is broken is not told by events.
    api.quietly(() => {
      api.drop(service('a'));
      api.put(service('b'), { spec: { ports: [{ port: 81 }] } });
      api.put(service('d'), { spec: {} });
      api.drop({ kind: namespaceKind, name: 'gone' });
    });
    api.breakWatches(new KubeError('410 too old', 410, 'Expired'));
    await until(() => lists('Service') === 2 && lists('Namespace') === 2, 'the kinds are listed again');
    await until(() => [...store.keysOf('Namespace')].length === 0, 'the namespace is gone');
    expect([...store.keysOf('Service')].sort()).to.deep.equal(['shop/b', 'shop/c', 'shop/d']);
    expect(touched.sort()).to.deep.equal(['shop/a', 'shop/b', 'shop/d']);
  });

  it('waits a while for a kind that is not served, then goes without it until it comes', async () => {
    let served = false;
    api.put({ kind: grpcRouteKind, namespace: 'shop', name: 'canary' }, { spec: {} });
    api.intercept = ({ path }) => {
      if (!served && path.endsWith('/grpcroutes')) throw new KubeError('404 page not found', 404, 'NotFound');
      return undefined;
    };
    source.start();
    await until(() => source.missingKinds().length > 0, 'the kind is known to be missing');
    await until(() => source.waitingFor().length === 1, 'only that is waited for');
    expect(source.waitingFor()[0]!.kind).to.equal('GRPCRoute');
    nowMs += MISSING_AFTER_MS;
    expect(source.waitingFor()).to.deep.equal([]);
    expect(source.missingKinds()).to.deep.equal(['GRPCRoute']);
    served = true;
    await until(() => store.routeOf('GRPCRoute', 'shop/canary') !== undefined, 'the route is known');
    await until(() => source.missingKinds().length === 0, 'nothing is missing');
  });

  for (const kind of FOLLOWED_KINDS.filter(({ optional }) => optional)) {
    it(`neither waits for ${kind.kind}, which is optional, nor misses it, and takes it when it comes`, async () => {
      let error: KubeError | undefined = new KubeError('404 page not found', 404, 'NotFound');
      const path = { kind, namespace: 'shop', name: 'p' };
      api.put(path, { spec: {} });
      api.intercept = ({ path }) => {
        if (error !== undefined && path.endsWith(`/${kind.plural}`)) throw error;
        return undefined;
      };
      source.start();
      await until(() => source.waitingFor().length === 0, 'all else is known');
      expect(source.missingKinds()).to.deep.equal([]);
      await until(() => source.status().every(({ status }) => status.synced), 'only what is there is reported');
      expect(source.status().map(({ kind }) => kind)).to.deep.equal(FOLLOWED_KINDS.filter((one) => one !== kind).map(({ kind }) => kind));
      error = new KubeError('forbidden', 403, 'Forbidden');
      await until(() => source.status().some(({ status }) => status.lastError === 'forbidden'), 'a missing right is reported');
      expect(source.waitingFor()).to.deep.equal([]);
      error = undefined;
      await until(() => [...store.keysOf(kind.kind)].length === 1, 'the object is known');
    });
  }

  it('keeps what it knows while the API server is away', async () => {
    api.put(service('payment'), { spec: {} });
    source.start();
    await synced();
    api.intercept = () => {
      throw new KubeError('nothing listens there', 0, 'ECONNREFUSED');
    };
    api.breakWatches(new KubeError('nothing listens there', 0, 'ECONNREFUSED'));
    await until(() => source.status().every(({ status }) => status.lastError !== ''), 'all kinds fail');
    expect([...store.keysOf('Service')]).to.deep.equal(['shop/payment']);
    expect(source.waitingFor()).to.deep.equal([]);
  });

  it('follows every kind that the store holds', () => {
    expect(source.status().map(({ kind }) => kind)).to.deep.equal(FOLLOWED_KINDS.map(({ kind }) => kind));
    expect(source.waitingFor()).to.have.length(FOLLOWED_KINDS.length);
  });
});
