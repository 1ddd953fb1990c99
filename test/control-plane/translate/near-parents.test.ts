// parentRefs that attach to nothing of the mesh: which are likely mistakes, and what is likely right.
import { expect } from 'chai';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { nearParentProblems, nearParents } from '#control-plane/translate/routes/near-parents.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { GRPCRoute } from '#objects/grpc-route.ts';
import type { ParentReference } from '#objects/references.ts';
import type { RouteStatus } from '#objects/route.ts';

const service = (namespace: string, name: string) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace, name },
  spec: { ports: [{ port: 8080 }] },
});

describe('control-plane/translate: parentRefs that nearly name a Service', () => {
  const store = new ObjectStore();
  store.replaceAll([service('shop', 'payment'), service('shop', 'checkout'), service('data', 'ledger')]);

  const routeTo = (ref: unknown, status?: RouteStatus): GRPCRoute => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { namespace: 'shop', name: 'payment' },
    spec: { parentRefs: [ref as ParentReference], rules: [] },
    ...(status && { status }),
  });
  const messages = (ref: unknown, status?: RouteStatus) => nearParents(routeTo(ref, status), store).map(({ message }) => message);
  const RIGHT = '{group: "", kind: Service, name: payment}';

  for (const [what, ref] of [
    ['without a group', { kind: 'Service', name: 'payment' }],
    ['with a group that is null', { group: null, kind: 'Service', name: 'payment' }],
    ['in the Gateway API’s own group', { group: 'gateway.networking.k8s.io', kind: 'Service', name: 'payment' }],
    ['in that group, mistyped', { group: 'gateway.networking.k8s', kind: 'Service', name: 'payment' }],
    ['with an apiVersion for a group', { group: 'v1', kind: 'Service', name: 'payment' }],
    ['in the group "Core"', { group: 'Core', kind: 'Service', name: 'payment' }],
    ['in lower case', { group: '', kind: 'service', name: 'payment' }],
    ['in upper case', { group: '', kind: 'SERVICE', name: 'payment' }],
    ['in the plural', { group: '', kind: 'Services', name: 'payment' }],
    ['by its short name', { group: '', kind: 'svc', name: 'payment' }],
    ['with a typing mistake', { group: '', kind: 'Servcie', name: 'payment' }],
    ['in the plural and without a group', { kind: 'services', name: 'payment' }],
    ['in another case, with the namespace in another, too', { kind: 'Service', namespace: 'Shop', name: 'Payment' }],
    ['with a typing mistake in the name, too', { kind: 'service', name: 'paymnet' }],
  ] as const) {
    it(`a Service ${what} is named with what is right`, () => {
      const [message, ...more] = messages(ref);
      expect(more).to.deep.equal([]);
      expect(message)
        .to.match(/^parentRefs\[0\], "\w+" "\w+" of group /)
        .and.include(`is no parent in the mesh: did you mean ${RIGHT}?`);
    });
  }

  it('keeps port, section and another namespace in the correction', () => {
    const ref = { kind: 'Service', namespace: 'data', name: 'ledger', port: 8080, sectionName: 'grpc' };
    expect(messages(ref)[0]).to.include('{group: "", kind: Service, name: ledger, namespace: data, sectionName: grpc, port: 8080}');
    expect(messages({ kind: 'Service', name: 'ledger' })[0]).to.include('{group: "", kind: Service, name: ledger, namespace: data}');
  });

  it('says when there is no such Service either', () => {
    expect(messages({ kind: 'Service', name: 'warehouse' })[0]).to.match(
      /name: warehouse\}\?; but there is no Service "shop\/warehouse" either$/,
    );
  });

  it('another kind of the name of a Service is named with the condition', () => {
    expect(messages({ name: 'payment' })).to.deep.equal([
      `parentRefs[0], "Gateway" "payment" of group "gateway.networking.k8s.io" (its group is left out), is no parent in the mesh: if Service "shop/payment" is meant, write ${RIGHT}`,
    ]);
    for (const [group, kind] of [
      ['gateway.networking.k8s.io', 'Gateway'],
      ['', 'Pod'],
      ['apps', 'Deployment'],
      ['multicluster.x-k8s.io', 'ServiceImport'],
    ])
      expect(messages({ group, kind, name: 'payment' })[0]).to.include(`if Service "shop/payment" is meant, write ${RIGHT}`);
  });

  it('nothing is said of what is right, of what names no Service, and of other APIs', () => {
    expect(messages({ group: '', kind: 'Service', name: 'payment' })).to.deep.equal([]);
    expect(messages({ group: 'core', kind: 'Service', name: 'payment' })).to.deep.equal([]);
    // It has a status, which says so.
    expect(messages({ group: '', kind: 'Service', name: 'paymnet' })).to.deep.equal([]);
    expect(messages({ name: 'public' })).to.deep.equal([]);
    expect(messages({ name: 'payment', namespace: 'edge' })).to.deep.equal([]);
    expect(messages({ group: 'serving.knative.dev', kind: 'Service', name: 'hello' })).to.deep.equal([]);
    expect(messages({ group: 'multicluster.x-k8s.io', kind: 'ServiceImport', name: 'remote' })).to.deep.equal([]);
  });

  it('nothing is said where another controller has taken the parent', () => {
    const ref = { name: 'payment' };
    const entry = {
      controllerName: 'example.com/gateways',
      parentRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'payment' },
    };
    expect(messages(ref, { parents: [entry] })).to.deep.equal([]);
    expect(messages(ref, { parents: [{ ...entry, parentRef: { name: 'other' } }] })).to.have.length(1);
    expect(messages(ref, { parents: [{ ...entry, controllerName: 'weft.dev/mesh-controller' }] })).to.have.length(1);
  });

  it('none of it becomes a status', () => {
    const own = new ObjectStore();
    own.replaceAll([service('shop', 'payment'), routeTo({ kind: 'Service', name: 'payment' })]);
    expect(translateService(own, 'shop/payment', { trustDomain: 'td' }).statuses).to.deep.equal([]);
  });

  it('never throws, whatever stands in the object', () => {
    const odd = [
      null,
      5,
      'x',
      [],
      {},
      { name: 7 },
      { kind: 7, name: 'payment' },
      { group: {}, kind: 'Service', name: 'payment' },
      { name: '' },
    ];
    for (const ref of odd) expect(() => messages(ref)).to.not.throw();
    for (const spec of [undefined, null, { parentRefs: 'x' }, { parentRefs: { a: 1 } }])
      expect(nearParents({ spec, status: { parents: 'x' } } as unknown as GRPCRoute, store)).to.deep.equal([]);
    const steering = messages({ kind: 'service', name: '\u001b[2Jpayment\u202e' });
    expect(steering.join()).to.not.match(/[\u001b\u202e]/);
  });

  it('of many routes the first are named', () => {
    const many = Array.from({ length: 30 }, (_, i) => ({
      ...routeTo({ name: 'payment' }),
      metadata: { namespace: 'shop', name: `r${i}` },
    }));
    const problems = nearParentProblems(many, store);
    expect(problems).to.have.length(21);
    expect(problems[0]).to.match(/^GRPCRoute shop\/r0: parentRefs\[0\], /);
    expect(problems[20]).to.equal('more routes have a parentRef that is likely a mistake');
  });
});
