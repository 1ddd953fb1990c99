// Where Services are, for a sidecar that asks when it needs it: all places in one packed set, addresses of what it uses.
import { create } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { RESPONSE_NAMES } from '#control-plane/publish/delivery.ts';
import { Places } from '#control-plane/publish/places.ts';
import { SLICE_MS } from '#control-plane/publish/turns.ts';
import { placesOf } from '#control-plane/scope.ts';
import type { Resource } from '#core/contract/gen/weft/v1/config_pb.ts';
import { EndpointsSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { KnownPlaces } from '#sidecar/outbound/known-places.ts';
import { type FakeSidecar, Shop, serviceOf } from './shop.ts';

const CART = '10.96.0.1';
const LEDGER = '10.96.0.2';
const SHARED = '192.0.2.1';

/** Takes what came as a sidecar does. */
function known(sidecar: FakeSidecar, into = new KnownPlaces()): KnownPlaces {
  for (const { resources } of sidecar.responses)
    for (const { body, version } of resources) if (body.case === 'places') into.take(body.value, version);
  return into;
}

function settle(sidecar: FakeSidecar): string[] {
  const news = sidecar.news();
  while (sidecar.subscriber.delivery.sentMs > 0) {
    sidecar.ack();
    news.push(...sidecar.news());
  }
  return news;
}

describe('control-plane/publish: places', () => {
  let shop: Shop;
  beforeEach(async () => {
    shop = new Shop();
    shop.services.set('cart', { addresses: [CART], sends: ['cart'] });
    shop.services.set('ledger', { addresses: [LEDGER], externalAddresses: [SHARED], nodePort: 30080 });
    shop.services.set('headless', { addresses: [], sends: ['cart'] });
    await shop.publisher.load(['shop/cart', 'shop/ledger', 'shop/headless']);
  });

  const asking = (pod = 'a', hello = {}): FakeSidecar => shop.connect(pod, { places: true, ...hello });

  it('are what a new sidecar gets of Services that it does not use', () => {
    const sidecar = asking();
    expect(settle(sidecar)).to.deep.equal(['trust', 'places']);
    const places = known(sidecar);
    expect([CART, LEDGER, SHARED, '10.96.0.3'].map((address) => places.isClusterIp(address))).to.deep.equal([true, true, false, false]);
    expect([CART, LEDGER, SHARED].map((address) => places.concerns(address))).to.deep.equal([true, false, false]);
    expect([SHARED, ':30080', ':80'].map((place) => places.isElsewhere(place))).to.deep.equal([true, true, false]);
  });

  it('are the same resource for all sidecars, whatever their namespace', () => {
    shop.set('cart', { addresses: [CART], consumer: { namespace: 'other', sends: ['ledger'] } });
    shop.clock.pass(1000);
    const [own, other] = [asking(), asking('a', { namespace: 'other' })].map((sidecar) => {
      expect(known(sidecar).concerns(CART)).to.equal(true);
      return sidecar.responses[0].resources.find(({ name }) => name === 'places');
    });
    expect(own).to.equal(other);
  });

  it('concern the mesh by a route, or by an endpoint with a sidecar', () => {
    const endpoints = (identity: string) =>
      create(EndpointsSchema, { ports: [{ port: 80, endpoints: [{ address: '10.1.0.1', identity }] }] });
    const flags = (spec: Parameters<typeof serviceOf>[1], identity: string) =>
      placesOf(serviceOf('x', { addresses: [CART], ...spec }), endpoints(identity)).get(CART);
    expect([flags({}, ''), flags({}, 'spiffe://a'), flags({ sends: ['x'] }, '')]).to.deep.equal([1, 5, 5]);
  });

  it('that are asked about are answered by the addresses of the Services there, and then by who is there', () => {
    const sidecar = asking();
    settle(sidecar);
    sidecar.ask([CART]);
    expect(settle(sidecar)).to.deep.equal(['address/shop/cart', `pod/${CART}`]);
    sidecar.ask([SHARED, ':30080', '10.1.2.3']);
    expect(settle(sidecar)).to.deep.equal(['address/shop/ledger', 'pod/10.1.2.3', `pod/${SHARED}`, 'pod/:30080']);
  });

  it('of a wanted Service come with its rules, and stay when the address is not asked about any more', () => {
    const sidecar = asking();
    settle(sidecar);
    sidecar.ask([CART, LEDGER]);
    settle(sidecar);
    sidecar.want('cart');
    expect(settle(sidecar)).to.deep.equal(['endpoints/shop/cart', 'service/shop/cart']);
    sidecar.ask([], [CART, LEDGER]);
    expect(settle(sidecar)).to.deep.equal(['-address/shop/ledger']);
    expect(settle(asking('b', { services: ['cart'] }))).to.deep.equal([
      'trust',
      'places',
      'endpoints/shop/cart',
      'service/shop/cart',
      'address/shop/cart',
    ]);
  });

  it('that move reach those that use the Service, those that ask about the old or the new one, and all as places', () => {
    const [user, asker, waiting, idle] = [asking('a', { services: ['cart'] }), asking('b'), asking('c'), asking('d')];
    asker.ask([CART]);
    waiting.ask(['10.96.0.9']);
    for (const sidecar of [user, asker, waiting, idle]) settle(sidecar);
    shop.set('cart', { addresses: ['10.96.0.9'], sends: ['cart'] });
    shop.clock.pass(1);
    expect(settle(user)).to.deep.equal(['places', 'service/shop/cart', 'address/shop/cart']);
    expect(settle(asker)).to.deep.equal(['places', '-address/shop/cart']);
    expect(settle(waiting)).to.deep.equal(['places', 'address/shop/cart']);
    expect(settle(idle)).to.deep.equal(['places']);
    expect([CART, '10.96.0.9'].map((address) => known(idle).isClusterIp(address))).to.deep.equal([false, true]);
    shop.set('cart', null);
    shop.clock.pass(1000);
    expect(settle(waiting)).to.deep.equal(['places', '-address/shop/cart']);
    expect(known(idle).isClusterIp('10.96.0.9')).to.equal(false);
  });

  it('that change are sent as changes: a new Service costs a record', () => {
    for (let i = 0; i < 1000; i++) shop.set(`s${i}`, { addresses: [`10.97.${i >> 8}.${i & 255}`] });
    shop.clock.pass(1000);
    const sidecar = asking();
    settle(sidecar);
    shop.set('new', { addresses: ['10.98.0.1'] });
    shop.clock.pass(1000);
    const [{ body }] = sidecar.responses.at(-1)!.resources;
    expect(body.case === 'places' && body.value.ipv4.length).to.equal(5);
    expect(known(sidecar).isClusterIp('10.98.0.1')).to.equal(true);
    expect(known(sidecar).isClusterIp('10.97.3.231')).to.equal(true);
  });

  it('are sent whole to a sidecar that cannot use a change', () => {
    for (let i = 0; i < 100; i++) shop.set(`s${i}`, { addresses: [`10.97.0.${i}`] });
    shop.clock.pass(1000);
    const sidecar = asking();
    settle(sidecar);
    shop.set('new', { addresses: ['10.98.0.1'] });
    shop.clock.pass(1000);
    const last = (): Resource => sidecar.responses.at(-1)!.resources[0];
    expect(last().body.case === 'places' && last().body.value)
      .to.have.property('base')
      .that.is.not.equal('');
    sidecar.ack({ places: 'it changes another version' });
    expect(last().body.case === 'places' && last().body.value).to.have.property('base', '');
    sidecar.ack();
    expect(sidecar.subscriber.delivery.rejected()).to.deep.equal([]);
  });

  it('are not sent to a sidecar that comes back with them, also from another replica', async () => {
    const sidecar = asking('a', { services: ['cart'], addresses: [LEDGER] });
    settle(sidecar);
    const other = new Shop();
    for (const [name, spec] of shop.services) other.services.set(name, spec);
    await other.publisher.load(['shop/headless', 'shop/ledger', 'shop/cart']);
    for (const { publisher } of [shop, other]) {
      expect(publisher.catalogue.places.resource().resource.version).to.equal(sidecar.inForce.get('places')!.version);
    }
    expect(settle(other.connect('a', { places: true, services: ['cart'], addresses: [LEDGER], held: sidecar.held() }))).to.deep.equal([]);
  });

  it('take the place of all addresses in a sidecar that comes from an older control plane, and the other way round', () => {
    const old = shop.connect('a');
    settle(old);
    const addresses = ['-address/shop/cart', '-address/shop/headless', '-address/shop/ledger'];
    const upgraded = asking('a', { held: old.held() });
    expect(settle(upgraded)).to.deep.equal(['places', ...addresses]);
    const { version } = upgraded.inForce.get('places')!;
    const back = shop.connect('a', { held: [{ name: 'places', version }] });
    expect(settle(back)).to.deep.equal(['trust', ...addresses.map((name) => name.slice(1)), '-places']);
  });

  it('make no sidecar hold more where there are more Services', () => {
    const held = (): number => {
      const sidecar = asking('a', { services: ['cart'] });
      settle(sidecar);
      return sidecar.subscriber.delivery.counts.inForce;
    };
    const few = held();
    for (let i = 0; i < 500; i++) shop.set(`s${i}`, { addresses: [`10.97.${i >> 8}.${i & 255}`], sends: ['cart'] });
    shop.clock.pass(1000);
    expect(held()).to.equal(few);
  });

  describe('of a hello with thousands of names', () => {
    const MANY = 3 * RESPONSE_NAMES;

    it('are answered in parts, each after the ACK of the one before, removals last', () => {
      shop.stepMs = 1;
      const held = Array.from({ length: MANY }, (_, i) => ({ name: `address/shop/gone${i}`, version: 'v' }));
      const sidecar = asking('a', { services: ['cart'], held });
      shop.clock.pass(1000);
      const parts: number[] = [];
      for (; sidecar.subscriber.delivery.sentMs > 0; shop.clock.pass(1000)) {
        parts.push(sidecar.responses.at(-1)!.removed.length);
        sidecar.ack();
      }
      expect(parts, 'what is new comes first').to.deep.equal([0, RESPONSE_NAMES, RESPONSE_NAMES, RESPONSE_NAMES]);
      expect(sidecar.responses[0].resources.map(({ name }) => name)).to.include('service/shop/cart');
      expect(sidecar.subscriber.delivery.counts).to.deep.equal({ inForce: 5, pending: 0 });
    });

    it('do not come when its stream has ended meanwhile, and it is counted nowhere', () => {
      shop.stepMs = 1;
      // Read, and some of them looked at, in the first slice.
      const services = Array.from({ length: SLICE_MS - 5 }, (_, i) => `gone${i}`);
      const sidecar = asking('a', { services });
      expect(sidecar.subscriber.wants.size).to.be.greaterThan(0).and.lessThan(services.length);
      shop.publisher.servicesChanged(['shop/gone1']);
      sidecar.subscriber.detach();
      shop.clock.pass(1000);
      expect(sidecar.responses).to.deep.equal([]);
      expect(shop.publisher.standings().size).to.equal(0);
      expect(shop.publisher.sidecars()).to.deep.equal([]);
    });
  });

  it('are those of all Services after any changes, in one step or in many', () => {
    const address = fc.constantFrom(...Array.from({ length: 6 }, (_, i) => `10.96.0.${i}`));
    const change = fc.tuple(
      fc.constantFrom('a', 'b', 'c'),
      fc.option(fc.dictionary(address, fc.constantFrom(1, 2, 5, 6)), { nil: undefined }),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(change, fc.boolean()), { maxLength: 20 }), (steps) => {
        const places = new Places();
        const services = new Map<string, Map<string, number>>();
        const follower = new KnownPlaces();
        let has = '';
        const follow = (): void => {
          const newest = places.resource();
          const { resource } = places.since(has) ?? newest;
          if (resource.body.case === 'places') follower.take(resource.body.value, resource.version);
          has = resource.version;
        };
        for (const [[key, claims], isFollowed] of steps) {
          const its = new Map(Object.entries(claims ?? {}));
          places.put(key, claims === undefined ? undefined : its);
          services.set(key, its);
          if (isFollowed) follow();
        }
        follow();
        for (let i = 0; i < 6; i++) {
          const at = `10.96.0.${i}`;
          const flags = [...services.values()].reduce((all, its) => all | (its.get(at) ?? 0), 0);
          const found = (follower.isClusterIp(at) ? 1 : 0) | (follower.isElsewhere(at) ? 2 : 0) | (follower.concerns(at) ? 4 : 0);
          expect(found, at).to.equal(flags);
          expect([...places.keysAt(at)].sort()).to.deep.equal([...services].flatMap(([key, its]) => (its.has(at) ? [key] : [])).sort());
        }
      }),
    );
  });
});
