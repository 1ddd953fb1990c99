// Header edits on their whole way: what the application receives and what the caller gets back, octet for octet.
import { expect } from 'chai';
import type { KubeObject } from '#kube/object.ts';
import { type RawApp, type RawCaller, valuesOf } from '../support/raw-app.ts';
import { type RawMesh, startRawMesh } from '../support/raw-mesh.ts';
import { grpcRoute, to } from '../support/routes.ts';

interface Modifier {
  set?: { name: string; value: string }[];
  add?: { name: string; value: string }[];
  remove?: string[];
}

const onRequest = (requestHeaderModifier: Modifier) => ({ type: 'RequestHeaderModifier', requestHeaderModifier });
const onResponse = (responseHeaderModifier: Modifier) => ({ type: 'ResponseHeaderModifier', responseHeaderModifier });

/** The same filters on the rule and on its backendRef must do the same. */
const PLACES: Record<string, (...filters: object[]) => KubeObject> = {
  'on the rule': (...filters) => grpcRoute([{ filters, backendRefs: [to('v1')] }]),
  'on the backendRef': (...filters) => grpcRoute([{ backendRefs: [to('v1', 1, filters)] }]),
};

describe('header modifiers', () => {
  let raw: RawMesh;
  let app: RawApp;
  let caller: RawCaller;
  before(async () => {
    raw = await startRawMesh();
    ({ app, caller } = raw);
  });
  after(() => raw.close());

  const use = (route: KubeObject) => raw.use(route);
  const received = (name: string) => valuesOf(app.request, name);

  for (const [place, routeWith] of Object.entries(PLACES)) {
    describe(place, () => {
      it('with set make a header, or replace one and all its repetitions, and leave others alone', async () => {
        await use(routeWith(onRequest({ set: [{ name: 'X-Header-Set', value: 'set-overwrites-values' }] })));
        await caller.call({ 'some-other-header': 'val' });
        expect(received('x-header-set')).to.deep.equal(['set-overwrites-values']);
        expect(received('some-other-header')).to.deep.equal(['val']);
        await caller.call({ 'x-header-set': 'some-other-value' });
        expect(received('x-header-set')).to.deep.equal(['set-overwrites-values']);
        await caller.call({ 'x-header-set': ['one', 'two'] });
        expect(received('x-header-set')).to.deep.equal(['set-overwrites-values']);
      });

      it('with add make a header, or join its value with a comma and no space', async () => {
        await use(routeWith(onRequest({ add: [{ name: 'X-Header-Add', value: 'add-appends-values' }] })));
        await caller.call({});
        expect(received('x-header-add')).to.deep.equal(['add-appends-values']);
        await caller.call({ 'x-header-add': 'some-other-value' });
        expect(received('x-header-add').join(',')).to.equal('some-other-value,add-appends-values');
        await caller.call({ 'x-header-add': ['one', 'two'] });
        expect(received('x-header-add').join(',')).to.equal('one,two,add-appends-values');
      });

      it('with remove take a header away, in every spelling and every place', async () => {
        await use(routeWith(onRequest({ remove: ['X-Header-Remove'] })));
        await caller.call({ 'x-header-remove': 'val', 'x-kept': 'yes' });
        expect(received('x-header-remove')).to.deep.equal([]);
        expect(received('x-kept')).to.deep.equal(['yes']);
        await caller.call({ 'x-header-remove': ['a', 'b'] });
        expect(received('x-header-remove')).to.deep.equal([]);
      });

      it('do all of this together', async () => {
        await use(
          routeWith(
            onRequest({
              set: [
                { name: 'X-Header-Set-1', value: 'header-set-1' },
                { name: 'X-Header-Set-2', value: 'header-set-2' },
              ],
              add: [
                { name: 'X-Header-Add-1', value: 'header-add-1' },
                { name: 'X-Header-Add-2', value: 'header-add-2' },
              ],
              remove: ['X-Header-Remove-1', 'x-header-remove-2'],
            }),
          ),
        );
        await caller.call({
          'x-header-set-1': 'some-other-value',
          'x-header-add-2': 'add-val-2',
          'x-header-remove-1': 'val',
          'x-header-remove-2': 'val',
          'another-header': 'another-header-val',
        });
        expect(received('x-header-set-1')).to.deep.equal(['header-set-1']);
        expect(received('x-header-set-2')).to.deep.equal(['header-set-2']);
        expect(received('x-header-add-1')).to.deep.equal(['header-add-1']);
        expect(received('x-header-add-2').join(',')).to.equal('add-val-2,header-add-2');
        expect(received('x-header-remove-1').concat(received('x-header-remove-2'))).to.deep.equal([]);
        expect(received('another-header')).to.deep.equal(['another-header-val']);
      });

      it('set, add and remove headers of the response, too', async () => {
        await use(
          routeWith(
            onResponse({
              set: [{ name: 'X-Set', value: 'by-the-route' }],
              add: [{ name: 'X-Add', value: 'b' }],
              remove: ['X-Secret'],
            }),
          ),
        );
        app.answer = { 'x-set': 'by-the-app', 'x-add': 'a', 'x-secret': '1', 'x-own': 'stays' };
        const { response, grpcStatus } = await caller.call({});
        app.answer = {};
        expect(grpcStatus).to.equal('0');
        expect(valuesOf(response, 'x-set')).to.deep.equal(['by-the-route']);
        expect(valuesOf(response, 'x-add').join(',')).to.equal('a,b');
        expect(valuesOf(response, 'x-secret')).to.deep.equal([]);
        expect(valuesOf(response, 'x-own')).to.deep.equal(['stays']);
      });
    });
  }

  it('on rule and backendRef at once begin with the rule on requests, with the backendRef on responses', async () => {
    const add = (value: string): Modifier => ({ add: [{ name: 'x-way', value }] });
    const filters = [onRequest(add('rule')), onResponse(add('rule'))];
    await use(grpcRoute([{ filters, backendRefs: [to('v1', 1, [onRequest(add('backend')), onResponse(add('backend'))])] }]));
    app.answer = { 'x-way': 'app' };
    const { response } = await caller.call({ 'x-way': 'client' });
    app.answer = {};
    expect(received('x-way').join(',')).to.equal('client,rule,backend');
    expect(valuesOf(response, 'x-way').join(',')).to.equal('app,backend,rule');
  });

  it('leave odd values alone: lists, empty ones, octets above 127, long ones, binary ones', async () => {
    await use(grpcRoute([{ backendRefs: [to('v1')] }]));
    const odd = { 'x-list': 'a, b,c', 'x-empty': '', 'x-octets': 'caf\u00e9', 'x-long': 'v'.repeat(7000), 'data-bin': 'AAEC/w' };
    await caller.call(odd);
    for (const [name, value] of Object.entries(odd)) expect(received(name), name).to.deep.equal([value]);
    await caller.call({ 'x-many': ['1', '2', '3'], 'x-last': 'z' });
    expect(received('x-many').join('|')).to.equal('1|2|3');
  });
});
