// Where Services are, as a sidecar takes it from the control plane.
import { expect } from 'chai';
import { PLACE_FLAGS, PlaceSet } from '#core/contract/places.ts';
import { KnownPlaces } from '#sidecar/outbound/known-places.ts';

const message = (places: Record<string, number>, base = '') => PlaceSet.from(new Map(Object.entries(places))).message(base);

describe('sidecar: known places', () => {
  const { clusterIp, elsewhere, concerns } = PLACE_FLAGS;
  let places: KnownPlaces;
  beforeEach(() => {
    places = new KnownPlaces();
    places.take(message({ '10.96.0.1': clusterIp | concerns, '192.0.2.1': elsewhere, 'fd00::1': clusterIp }), 'v1');
  });

  it('are told apart by what is there', () => {
    expect(['10.96.0.1', 'fd00::1', '192.0.2.1', '10.0.0.1'].map((address) => places.isClusterIp(address))).to.deep.equal([
      true,
      true,
      false,
      false,
    ]);
    expect(['10.96.0.1', '192.0.2.1'].map((address) => places.isElsewhere(address))).to.deep.equal([false, true]);
    expect(['10.96.0.1', 'fd00::1'].map((address) => places.concerns(address))).to.deep.equal([true, false]);
  });

  it('take changes of the version that is here', () => {
    places.take(message({ '10.96.0.1': 0, '10.96.0.2': clusterIp }, 'v1'), 'v2');
    expect(['10.96.0.1', '10.96.0.2', 'fd00::1'].map((address) => places.isClusterIp(address))).to.deep.equal([false, true, true]);
    places.take(message({ 'fd00::1': 0 }, 'v2'), 'v3');
    expect(places.isClusterIp('fd00::1')).to.equal(false);
  });

  it('stay as they are where a change is of another version, or cannot be read', () => {
    expect(() => places.take(message({ '10.96.0.1': 0 }, 'v0'), 'v2')).to.throw('it changes version v0, here is v1');
    expect(() => places.take({ ...message({}), ipv4: Uint8Array.of(1) }, 'v2')).to.throw('are no records');
    expect(places.isClusterIp('10.96.0.1')).to.equal(true);
    expect(places.dump()).to.deep.equal({ version: 'v1', octets: 27 });
  });

  it('are replaced as a whole, and forgotten', () => {
    places.take(message({ '10.96.0.2': clusterIp }), 'v2');
    expect(places.isClusterIp('10.96.0.1')).to.equal(false);
    places.clear();
    expect(places.isClusterIp('10.96.0.2')).to.equal(false);
    expect(() => places.take(message({ '10.96.0.2': 1 }, 'v2'), 'v3')).to.throw('here is none');
  });
});
