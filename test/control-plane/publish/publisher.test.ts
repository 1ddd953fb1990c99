// What each sidecar is sent and when: only what changed, only what it wants, the latest version once.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { MOST_WANTED } from '#control-plane/publish/wanted.ts';
import { WorkloadSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { Shop } from './shop.ts';

const ADDRESSES = ['address/shop/ledger', 'address/shop/payment', 'address/shop/payment-v1', 'address/shop/payment-v2'];

async function openShop(): Promise<Shop> {
  const shop = new Shop();
  shop.services.set('ledger', {});
  shop.services.set('payment', { sends: ['payment-v1:9', 'payment-v2:1'] });
  shop.services.set('payment-v1', { endpoints: ['10.1.0.1'] });
  shop.services.set('payment-v2', { endpoints: ['10.1.0.2'] });
  await shop.publisher.load(['shop/ledger', 'shop/payment', 'shop/payment-v1', 'shop/payment-v2']);
  return shop;
}

describe('control-plane/publish', () => {
  let shop: Shop;
  beforeEach(async () => {
    shop = await openShop();
  });

  describe('scope', () => {
    it('gives a new sidecar the trust bundle, its workload and all addresses, and no rules', () => {
      shop.workload('a', 'checkout');
      const sidecar = shop.connect('a');
      expect(sidecar.news()).to.deep.equal(['trust', 'workload', ...ADDRESSES]);
    });

    it('gives a wanted Service with the endpoints of its backends first', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      sidecar.news();
      sidecar.want('payment');
      expect(sidecar.news()).to.deep.equal([
        'endpoints/shop/payment',
        'endpoints/shop/payment-v1',
        'endpoints/shop/payment-v2',
        'service/shop/payment',
      ]);
    });

    it('reports absent Services, once, and brings them when they are created', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      sidecar.news();
      sidecar.want('nowhere');
      expect(sidecar.news()).to.deep.equal(['?shop/nowhere']);
      sidecar.ack();
      sidecar.want('nowhere');
      expect(sidecar.news()).to.deep.equal([]);
      shop.set('nowhere', {});
      shop.clock.pass(1);
      expect(sidecar.news()).to.deep.equal(['endpoints/shop/nowhere', 'service/shop/nowhere', 'address/shop/nowhere']);
      sidecar.ack();
      shop.set('nowhere', null);
      shop.clock.pass(1000);
      expect(sidecar.news()).to.deep.equal(['-address/shop/nowhere', '-endpoints/shop/nowhere', '-service/shop/nowhere', '?shop/nowhere']);
    });

    it('resolves consumer routes by the namespace of the certificate', () => {
      shop.set('payment', { sends: ['payment-v1'], consumer: { namespace: 'other', sends: ['payment-v2'] } });
      shop.clock.pass(1000);
      const own = shop.connect('a', { services: ['payment'] });
      const other = shop.connect('a', { services: ['payment'], namespace: 'other' });
      expect(own.news()).to.include('endpoints/shop/payment-v1').and.not.include('endpoints/shop/payment-v2');
      expect(other.news()).to.include('endpoints/shop/payment-v2').and.not.include('endpoints/shop/payment-v1');
    });

    it('starts a new pod with what its siblings use', () => {
      for (const pod of ['a', 'b', 'c']) shop.workload(pod, pod === 'c' ? 'other' : 'checkout');
      const first = shop.connect('a');
      first.ack();
      first.want('payment', 'nowhere');
      const sibling = shop.connect('b');
      expect(sibling.news()).to.include('service/shop/payment').and.not.include('?shop/nowhere');
      expect(shop.connect('c').news()).to.not.include('service/shop/payment');
    });
  });

  describe('a change', () => {
    it('sends only what changed, and only to the sidecars that it concerns', () => {
      const user = shop.connect('a', { services: ['payment'] });
      const other = shop.connect('b', { services: ['ledger'] });
      for (const sidecar of [user, other]) {
        sidecar.ack();
        sidecar.news();
      }
      const before = shop.translations;
      shop.set('payment-v2', { endpoints: ['10.1.0.2', '10.1.0.3'] });
      shop.clock.pass(1);
      expect(user.news()).to.deep.equal(['endpoints/shop/payment-v2']);
      expect(other.responses).to.have.length(1);
      expect(shop.translations - before).to.equal(1);
    });

    it('sends nothing when the outcome is the same', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      shop.set('payment', { sends: ['payment-v1:9', 'payment-v2:1'] });
      shop.clock.pass(1000);
      expect(sidecar.responses).to.have.length(1);
      expect(shop.publisher.counters.rounds).to.equal(0);
    });

    it('brings new backends before the route, and takes old ones away when it is in force', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      sidecar.news();
      shop.set('payment', { sends: ['payment-v3'] });
      shop.set('payment-v3', {});
      shop.clock.pass(1);
      expect(sidecar.news()).to.deep.equal(['endpoints/shop/payment-v3', 'service/shop/payment', 'address/shop/payment-v3']);
      sidecar.ack();
      expect(sidecar.news()).to.deep.equal(['-endpoints/shop/payment-v1', '-endpoints/shop/payment-v2']);
    });

    it('keeps the endpoints that another wanted Service still needs', () => {
      shop.set('ledger', { sends: ['payment-v1'] });
      shop.clock.pass(1000);
      const sidecar = shop.connect('a', { services: ['payment', 'ledger'] });
      sidecar.ack();
      sidecar.news();
      shop.set('payment', { sends: ['payment-v2'] });
      shop.clock.pass(1000);
      expect(sidecar.news()).to.deep.equal(['service/shop/payment']);
    });

    it('reaches a sidecar with the pod itself and with the roots', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      sidecar.news();
      shop.workload('a', 'checkout');
      expect(sidecar.news()).to.deep.equal(['workload']);
      sidecar.ack();
      shop.roots = 'root 2';
      shop.publisher.trustChanged();
      expect(sidecar.news()).to.deep.equal(['trust']);
    });

    it('looks only at the pod, or the namespace, that changed', () => {
      const [a, b] = [shop.connect('a'), shop.connect('b')];
      a.ack();
      b.ack();
      a.news();
      b.news();
      for (const pod of ['a', 'b']) {
        shop.workloads.set(`shop/${pod}`, create(WorkloadSchema, { namespace: 'shop', pod, name: 'checkout', serviceAccount: 'default' }));
      }
      shop.publisher.podChanged('shop', 'a');
      shop.publisher.podChanged('other', 'b');
      shop.publisher.namespaceChanged('other');
      expect([a.news(), b.news()]).to.deep.equal([['workload'], []]);
      shop.publisher.namespaceChanged('shop');
      expect([a.news(), b.news()]).to.deep.equal([[], ['workload']]);
      shop.workloads.set('shop/a', create(WorkloadSchema, { namespace: 'shop', pod: 'a', serviceAccount: 'another' }));
      shop.publisher.podChanged('shop', 'b');
      expect(a.endings).to.deep.equal([]);
      shop.publisher.podChanged('shop', 'a');
      expect(a.endings).to.have.length(1);
      shop.publisher.podChanged('shop', 'a');
    });

    it('is counted over all Services as for each', () => {
      const wants = [['payment', 'ledger'], ['payment'], []];
      const sidecars = wants.map((services, i) => shop.connect(`pod-${i}`, { services }));
      sidecars[0]!.ack({ 'service/shop/payment': 'bad pattern' });
      const all = shop.publisher.standings();
      expect([...all.keys()].sort()).to.deep.equal(['shop/ledger', 'shop/payment']);
      for (const [key, { applied, version }] of all) {
        expect(applied).to.deep.equal(shop.publisher.appliedOn(`service/${key}`));
        expect(version).to.equal(shop.publisher.catalogue.version(key)).and.not.equal('');
      }
      const { applied } = all.get('shop/payment')!;
      expect(applied).to.deep.include({ want: 2, applied: 0 });
      expect(applied.rejected).to.have.length(1);
    });

    it('is never that of an older version: a Service that is translated and not sent yet is pending', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      const { version, applied } = shop.publisher.standings().get('shop/payment')!;
      expect(applied).to.deep.include({ want: 1, applied: 1 });
      shop.services.set('payment', { sends: ['ledger'] });
      // As in the middle of a round that takes several slices.
      shop.publisher.catalogue.refresh('shop/payment');
      const next = shop.publisher.standings().get('shop/payment')!;
      expect(next.applied).to.deep.include({ want: 1, applied: 0 });
      expect(next.version).to.equal(shop.publisher.catalogue.version('shop/payment')).and.not.equal(version);
    });

    it('reports when a verdict on a route is another, though no sidecar sees a difference, and when a sidecar comes, answers and goes', () => {
      shop.progress.length = 0;
      const sidecar = shop.connect('a');
      sidecar.ack();
      shop.set('ledger', { endpoints: ['10.1.0.7'] });
      shop.clock.pass(1000);
      sidecar.ack();
      expect(shop.progress.splice(0)).to.deep.equal(['standing', 'standing', 'standing']);
      for (const judged of [true, true, false]) {
        shop.set('ledger', { endpoints: ['10.1.0.7'], judged });
        shop.clock.pass(1000);
      }
      expect(shop.progress.splice(0)).to.deep.equal(['verdicts', 'verdicts']);
      sidecar.subscriber.detach();
      expect(shop.progress).to.deep.equal(['standing']);
    });

    it('shows of a sidecar since when it is there, when it answered last, and until when it is certified', () => {
      const sidecar = shop.connect('a');
      const startMs = shop.clock.now();
      const { subscriber } = sidecar;
      expect(subscriber).to.include({ connectedSinceMs: startMs, certificateNotAfterMs: 0 });
      expect(subscriber.delivery).to.include({ lastAckMs: 0 });
      expect(subscriber.delivery.counts).to.deep.equal({ inForce: 0, pending: 1 + ADDRESSES.length });
      shop.clock.pass(50);
      sidecar.ack();
      shop.publisher.certified('shop', 'a', 7);
      shop.publisher.certified('shop', 'b', 9);
      shop.publisher.certified('shop', 'a', 5);
      expect(subscriber).to.include({ certificateNotAfterMs: 7 });
      expect(subscriber.delivery).to.include({ lastAckMs: startMs + 50 });
      expect(subscriber.delivery.counts).to.deep.equal({ inForce: 1 + ADDRESSES.length, pending: 0 });
    });

    it('leaves the others alone when one Service cannot be translated, and keeps its last good version', () => {
      const sidecar = shop.connect('a', { services: ['payment', 'ledger'] });
      sidecar.ack();
      sidecar.news();
      shop.set('payment', { broken: true });
      shop.set('ledger', { endpoints: ['10.1.0.9'] });
      shop.clock.pass(1);
      expect(sidecar.news()).to.deep.equal(['endpoints/shop/ledger']);
      expect(shop.publisher.catalogue.failures()).to.deep.equal([{ key: 'shop/payment', reason: 'cannot translate payment' }]);
      expect(shop.connect('b', { services: ['payment'] }).news()).to.include('service/shop/payment');
      sidecar.ack();
      shop.set('payment', { sends: ['payment-v1'] });
      shop.clock.pass(1000);
      expect(sidecar.news()).to.include('service/shop/payment');
      expect(shop.publisher.catalogue.failures()).to.deep.equal([]);
    });
  });

  describe('a burst', () => {
    it('goes out at once at first and in at most 25 parts for 1,000 changes in 2 s; the last state arrives within a second', () => {
      const sidecar = shop.connect('a', { services: ['payment-v1'] });
      sidecar.ack();
      for (let i = 0; i < 1000; i++) {
        shop.set('payment-v1', { endpoints: [`10.2.${i >> 8}.${i & 255}`] });
        shop.clock.pass(2);
        if (i === 0) expect(sidecar.responses).to.have.length(2);
        sidecar.ack();
      }
      shop.clock.pass(1000);
      sidecar.ack();
      expect(sidecar.responses.length - 1).to.be.within(2, 25);
      const body = sidecar.inForce.get('endpoints/shop/payment-v1')!.body;
      expect(body.case === 'endpoints' && body.value.ports[0]!.endpoints[0]!.address).to.equal('10.2.3.231');
    });

    it('does not make a wanted Service wait', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      for (let i = 0; i < 10; i++) shop.set('ledger', { endpoints: [`10.2.0.${i}`] });
      sidecar.news();
      sidecar.want('payment');
      expect(sidecar.news()).to.include('service/shop/payment');
    });
  });

  describe('a slow sidecar', () => {
    it('has one response under way and gets the latest version of each resource after its ACK; others do not wait', () => {
      const slow = shop.connect('slow', { services: ['payment-v1', 'ledger'] });
      const quick = shop.connect('quick', { services: ['payment-v1'] });
      quick.ack();
      for (let i = 0; i < 50; i++) {
        shop.set('payment-v1', { endpoints: [`10.2.0.${i}`] });
        shop.set('ledger', { endpoints: [`10.3.0.${i}`] });
        shop.clock.pass(100);
        quick.ack();
      }
      expect(quick.responses.length).to.be.above(40);
      expect(slow.responses).to.have.length(1);
      slow.ack();
      expect(slow.responses).to.have.length(2);
      expect(slow.responses[1]!.resources.map(({ name }) => name)).to.deep.equal(['endpoints/shop/ledger', 'endpoints/shop/payment-v1']);
      slow.ack();
      expect(slow.responses).to.have.length(2);
      expect(shop.publisher.appliedOn('endpoints/shop/payment-v1')).to.deep.equal({ want: 2, applied: 2, rejected: [] });
    });

    it('ignores answers to what is not under way', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      shop.set('ledger', {});
      sidecar.want('ledger');
      expect(sidecar.responses).to.have.length(2);
      sidecar.responses.push(sidecar.responses[0]!);
      sidecar.ack();
      expect(shop.publisher.appliedOn('service/shop/ledger').applied).to.equal(0);
    });
  });

  describe('a resource that the sidecar cannot use', () => {
    it('is named in the state, not sent again, holds nothing else up, and is replaced by the next version', () => {
      const poisoned = shop.connect('a', { services: ['payment', 'ledger'] });
      const other = shop.connect('b', { services: ['payment'] });
      poisoned.ack();
      other.ack();
      shop.set('payment', { sends: ['payment-v2'] });
      shop.clock.pass(1);
      const version = other.responses.at(-1)!.resources.find(({ name }) => name === 'service/shop/payment')!.version;
      poisoned.ack({ 'service/shop/payment': 'regex too large' });
      other.ack();
      poisoned.news();
      expect(shop.publisher.appliedOn('service/shop/payment')).to.deep.equal({
        want: 2,
        applied: 1,
        rejected: [{ pod: 'shop/a', version, reason: 'regex too large' }],
      });
      shop.set('ledger', { endpoints: ['10.9.0.1'] });
      shop.publisher.servicesChanged(['shop/payment']);
      shop.clock.pass(1000);
      expect(poisoned.news()).to.deep.equal(['endpoints/shop/ledger']);
      poisoned.ack();
      shop.set('payment', { sends: ['payment-v1', 'payment-v2'] });
      shop.clock.pass(1000);
      expect(poisoned.news()).to.include('service/shop/payment');
      poisoned.ack();
      expect(shop.publisher.appliedOn('service/shop/payment').rejected).to.deep.equal([]);
    });

    it('keeps what its last good version needs, up to date, until another is in force', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      shop.set('payment', { sends: ['payment-v2'] });
      shop.clock.pass(1000);
      sidecar.news();
      sidecar.ack({ 'service/shop/payment': 'no' });
      expect(sidecar.news()).to.deep.equal([]);
      shop.set('payment-v1', { endpoints: ['10.9.0.1'] });
      shop.clock.pass(1000);
      expect(sidecar.news()).to.include('endpoints/shop/payment-v1');
      sidecar.ack();
      shop.set('payment', { sends: ['payment-v2', 'ledger'] });
      shop.clock.pass(1000);
      expect(sidecar.news()).to.include.members(['endpoints/shop/ledger', 'service/shop/payment']);
      sidecar.ack();
      expect(sidecar.news()).to.deep.equal(['-endpoints/shop/payment-v1']);
    });

    it('keeps all endpoints of a sidecar that comes back with an unknown version, until the newest is in force', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      const held = sidecar.responses[0]!.resources.map(({ name, version }) => ({
        name,
        version: name.startsWith('service/') ? 'old' : version,
      }));
      held.push({ name: 'endpoints/shop/ledger', version: 'old' });
      sidecar.subscriber.detach();
      const back = shop.connect('a', { services: ['payment'], held });
      expect(back.news()).to.deep.equal(['endpoints/shop/ledger', 'service/shop/payment']);
      back.ack();
      expect(back.news()).to.deep.equal(['-endpoints/shop/ledger']);
    });

    it('is left at the last good version when the change is taken back', () => {
      const sidecar = shop.connect('a', { services: ['ledger'] });
      sidecar.ack();
      shop.set('ledger', { sends: ['payment-v1'] });
      shop.clock.pass(1);
      sidecar.ack({ 'service/shop/ledger': 'no' });
      sidecar.news();
      shop.set('ledger', {});
      shop.clock.pass(1000);
      expect(sidecar.news()).to.not.include('service/shop/ledger');
      sidecar.ack();
      expect(shop.publisher.appliedOn('service/shop/ledger')).to.deep.equal({ want: 1, applied: 1, rejected: [] });
    });
  });

  describe('a reconnect', () => {
    it('gets only what differs from what it holds, and an empty response when nothing does', () => {
      const first = shop.connect('a', { services: ['payment'] });
      first.ack();
      const again = shop.connect('a', { services: ['payment'], held: first.held() });
      expect(first.endings).to.deep.equal([{ reason: 'replaced' }]);
      expect(again.responses).to.have.length(1);
      expect(again.news()).to.deep.equal([]);
      again.ack();
      shop.set('payment-v1', { endpoints: ['10.1.0.7'] });
      shop.set('ledger', null);
      shop.clock.pass(1000);
      const third = shop.connect('a', { services: ['payment'], held: first.held() });
      expect(third.news()).to.deep.equal(['endpoints/shop/payment-v1', '-address/shop/ledger']);
    });

    it('goes on with the Services that it holds, whether it names them or not', () => {
      const first = shop.connect('a', { services: ['payment'] });
      first.ack();
      const again = shop.connect('b', { held: first.held() });
      expect(again.news()).to.deep.equal([]);
      again.ack();
      shop.set('payment', { sends: ['payment-v1'] });
      shop.clock.pass(1);
      expect(again.news()).to.include('service/shop/payment');
    });

    it('does not take the workload away from a sidecar whose pod is not known yet', () => {
      const sidecar = shop.connect('a', {
        held: [
          { name: 'workload', version: 'x' },
          { name: 'future/thing', version: 'y' },
        ],
      });
      expect(sidecar.news()).to.include('-future/thing').and.not.include('-workload');
    });

    it('has the same versions from another replica', async () => {
      const other = await openShop();
      const versions = (from: Shop) =>
        from.connect('a', { services: ['payment'] }).responses[0]!.resources.map(({ name, version }) => `${name} ${version}`);
      expect(versions(other)).to.deep.equal(versions(shop));
    });

    it('does not count streams that are over', () => {
      const sidecar = shop.connect('a', { services: ['payment'] });
      sidecar.ack();
      sidecar.subscriber.detach();
      expect(shop.publisher.appliedOn('service/shop/payment').want).to.equal(0);
      shop.set('payment', {});
      shop.clock.pass(1000);
      expect(sidecar.responses).to.have.length(1);
    });
  });

  describe('limits', () => {
    it('cuts a large response into parts, each after the ACK of the one before, endpoints still before the Service', async () => {
      const many = Array.from({ length: 30 }, (_, i) => `big-${String(i).padStart(2, '0')}`);
      for (const name of many) shop.set(name, { endpoints: Array.from({ length: 5000 }, (_, i) => `10.${i >> 8}.${i & 255}.1`) });
      shop.set('fan', { sends: many });
      await shop.publisher.load([...shop.services.keys()].map((name) => `shop/${name}`));
      const sidecar = shop.connect('a', { services: ['fan'] });
      let parts = 0;
      while (sidecar.responses.length > parts) {
        parts = sidecar.responses.length;
        sidecar.ack();
      }
      expect(parts).to.be.above(2);
      const names = sidecar.news();
      expect(new Set(names).size).to.equal(names.length);
      expect(names.filter((name) => name.startsWith('endpoints/'))).to.have.length(31);
      expect(names.indexOf('service/shop/fan')).to.be.above(names.findLastIndex((name) => name.startsWith('endpoints/')));
    });

    it('ends a sidecar that wants more than there may be', () => {
      const sidecar = shop.connect('a');
      sidecar.ack();
      sidecar.want(...Array.from({ length: MOST_WANTED }, (_, i) => `s${i}`));
      sidecar.want('s1', 's2');
      shop.clock.pass(1000);
      expect(sidecar.endings).to.deep.equal([]);
      sidecar.want('one-more');
      expect(sidecar.endings).to.deep.equal([{ reason: 'too many wants' }]);
    });

    it('ends a sidecar that turns out not to be of the pod that it says', () => {
      const sidecar = shop.connect('a');
      shop.workload('a', 'payment', 'payment-account');
      expect(sidecar.endings.map(({ reason }) => reason)).to.deep.equal(['not its pod']);
    });
  });
});
