// The leader's word on parentRefs that nearly name a Service: once, late enough for other controllers, never a status.
import { expect } from 'chai';
import { LOOK_AFTER_MS, ParentHints } from '#control-plane/lead/parent-hints.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { silentLogger } from '#core/program/log.ts';
import type { GRPCRoute } from '#objects/grpc-route.ts';
import { ManualTimers } from '../../support/manual-timers.ts';

describe('control-plane/lead: parent-hints', () => {
  const store = new ObjectStore();
  let timers: ManualTimers;
  let said: string[];
  let hints: ParentHints;

  beforeEach(() => {
    store.replaceAll([{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name: 'payment' } }]);
    timers = new ManualTimers(0);
    said = [];
    hints = new ParentHints({
      routes: () => store.every('GRPCRoute'),
      services: store,
      timers,
      log: silentLogger,
      onHint: ({ metadata }, message) => said.push(`${metadata!.name}: ${message}`),
    });
  });

  function put(name: string, ref: object, more: object = {}): void {
    store.apply({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata: { namespace: 'shop', name, uid: `uid-${name}` },
      spec: { parentRefs: [ref] },
      ...more,
    } as GRPCRoute);
    hints.touch();
  }

  it('is said once by the leader, and again where it is another', () => {
    put('stray', { kind: 'Service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    expect(said, 'another replica leads').to.deep.equal([]);
    hints.lead(true);
    timers.advance(LOOK_AFTER_MS);
    expect(said).to.have.length(1);
    expect(said[0]).to.match(/^stray: parentRefs\[0\], "Service" "payment" .* did you mean/);
    put('fine', { group: '', kind: 'Service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    expect(said).to.have.length(1);
    put('stray', { group: '', kind: 'service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    expect(said).to.have.length(2);
    put('stray', { group: '', kind: 'Service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    put('stray', { group: '', kind: 'service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    expect(said, 'the mistake is back').to.have.length(3);
  });

  it('waits for the controller of the parent, which says so in the status', () => {
    hints.lead(true);
    put('public', { name: 'payment' });
    timers.advance(LOOK_AFTER_MS - 1);
    put(
      'public',
      { name: 'payment' },
      { status: { parents: [{ controllerName: 'example.com/gateways', parentRef: { name: 'payment' } }] } },
    );
    timers.advance(2 * LOOK_AFTER_MS);
    expect(said).to.deep.equal([]);
  });

  it('reports a hundred routes at most', () => {
    hints.lead(true);
    for (let i = 0; i < 150; i++) put(`r${i}`, { kind: 'Service', name: 'payment' });
    timers.advance(LOOK_AFTER_MS);
    expect(said).to.have.length(100);
  });
});
