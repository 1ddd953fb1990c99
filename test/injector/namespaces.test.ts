// What the injector knows of namespaces: by the watch, else by one question, however many ask.
import { expect } from 'chai';
import { NamespaceCache, projectNamespace } from '#injector/namespaces.ts';
import { KubeError } from '#kube/api.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { MemoryApi } from './memory-api.ts';

const raw = (name: string, labels: object) => ({
  metadata: { name, labels, annotations: { 'weft.dev/log-level': 'debug', other: 'x', odd: 7 }, managedFields: [] },
});

describe('NamespaceCache', () => {
  let api: MemoryApi;
  let cache: NamespaceCache;

  beforeEach(() => {
    api = new MemoryApi();
    cache = new NamespaceCache(api);
  });

  it('answers from the watch, without a question', async () => {
    cache.handler.synced([projectNamespace(raw('shop', { a: 'b' }))]);
    expect(await cache.lookup('shop')).to.deep.equal({ name: 'shop', labels: { a: 'b' }, annotations: { 'weft.dev/log-level': 'debug' } });
    cache.handler.applied(projectNamespace(raw('shop', { a: 'c' })));
    expect((await cache.lookup('shop'))?.labels).to.deep.equal({ a: 'c' });
    expect(api.requests).to.deep.equal([]);
    cache.handler.removed(projectNamespace(raw('shop', {})));
    expect(await cache.lookup('shop')).to.equal(undefined);
    cache.handler.applied(projectNamespace(raw('old', {})));
    cache.handler.synced([]);
    expect(await cache.lookup('old')).to.equal(undefined);
  });

  it('asks once for many, and again when it must be fresh', async () => {
    api.put({ kind: namespaceKind, name: 'new' }, raw('new', { x: '1' }));
    const found = await Promise.all(Array.from({ length: 50 }, () => cache.lookup('new')));
    expect(new Set(found.map((facts) => facts?.labels.x))).to.deep.equal(new Set(['1']));
    expect(api.requests).to.have.length(1);
    cache.handler.applied(projectNamespace(raw('new', { x: 'old' })));
    expect((await cache.lookup('new', true))?.labels.x).to.equal('1');
    expect((await cache.lookup('new'))?.labels.x).to.equal('old');
  });

  it('does not take a failure for an absence, nor remember it', async () => {
    api.failure = new KubeError('forbidden', 403, 'Forbidden');
    const failed = await cache.lookup('shop').catch((error: Error) => error);
    expect(failed).to.equal(api.failure);
    api.failure = undefined;
    expect(await cache.lookup('shop')).to.equal(undefined);
  });
});
