// Where Services are, packed: the same as a Map from place to flags, whatever is put in, changed and sent.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { ServicePlacesSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { nodePortPlace, PlaceSet } from '#core/contract/places.ts';

/** Few of each family, so that changes meet what is there. */
const place = fc.oneof(
  fc.tuple(fc.constantFrom(0, 10, 255), fc.constantFrom(0, 1, 128, 255)).map(([a, b]) => `10.${a}.0.${b}`),
  fc.tuple(fc.constantFrom('0', '1', 'ffff'), fc.constantFrom('', '0:')).map(([last, more]) => `fd00:${more}:${last}`),
  fc.constantFrom(0, 1, 255, 256, 30_080, 65_535).map(nodePortPlace),
);
const flags = fc.integer({ min: 1, max: 7 });
const places = fc.dictionary(place, flags, { maxKeys: 20 }).map((entries) => new Map(Object.entries(entries)));
const changes = fc.dictionary(place, fc.integer({ min: 0, max: 7 }), { maxKeys: 10 }).map((entries) => new Map(Object.entries(entries)));

/** What a receiver makes of it. */
function sent(set: PlaceSet, base = ''): PlaceSet {
  return PlaceSet.of(fromBinary(ServicePlacesSchema, toBinary(ServicePlacesSchema, set.message(base))));
}

/** One way to write each address, as two texts may mean the same one. */
function canonical(entries: ReadonlyMap<string, number>): Map<string, number> {
  const of = (text: string): string => (/:.*:/.test(text) ? new URL(`http://[${text}]`).hostname.slice(1, -1) : text);
  return new Map([...entries].map(([text, its]) => [of(text), its]));
}

function expectSame(set: PlaceSet, expected: ReadonlyMap<string, number>, asked: Iterable<string>): void {
  for (const text of asked) expect(set.flagsAt(text), text).to.equal(expected.get(text) ?? 0);
}

describe('places of Services', () => {
  it('are found with their flags, and no others', () => {
    fc.assert(
      fc.property(places, fc.array(place), (given, others) => {
        const expected = canonical(given);
        const asked = [...expected.keys(), ...canonical(new Map(others.map((text) => [text, 0]))).keys()];
        expectSame(sent(PlaceSet.from(expected)), expected, asked);
      }),
    );
  });

  it('that change are those that a Map has after the same changes, and a receiver has the same octets', () => {
    fc.assert(
      fc.property(places, fc.array(changes, { maxLength: 5 }), (given, steps) => {
        const expected = canonical(given);
        let here = PlaceSet.from(expected);
        let there = sent(here);
        for (const step of steps.map(canonical)) {
          const packed = PlaceSet.from(step);
          here = here.with(packed);
          there = there.with(sent(packed, 'base'));
          for (const [text, its] of step) {
            if (its === 0) expected.delete(text);
            else expected.set(text, its);
          }
          expectSame(there, expected, [...expected.keys(), ...step.keys()]);
          expect(there.message()).to.deep.equal(here.message());
        }
        expect(here.message(), 'the way does not matter').to.deep.equal(PlaceSet.from(expected).message());
      }),
    );
  });

  it('take five octets for one of IPv4, and three for a node port', () => {
    const many = new Map(Array.from({ length: 10_000 }, (_, i) => [`10.96.${i >> 8}.${i & 255}`, 1]));
    expect(PlaceSet.from(many).size).to.equal(50_000);
    expect(PlaceSet.from(new Map([[nodePortPlace(30_080), 2]])).size).to.equal(3);
  });

  it('are not what is no address', () => {
    const set = PlaceSet.from(
      new Map([
        ['nonsense', 1],
        [':70000', 1],
        ['1.2.3', 1],
        ['10.0.0.1', 1],
      ]),
    );
    expect(set.size).to.equal(5);
    expect(set.flagsAt('nonsense')).to.equal(0);
  });

  it('are refused where records are cut, out of order or there twice', () => {
    const record = (last: number): number[] => [10, 0, 0, last, 1];
    for (const octets of [record(1).slice(1), [...record(2), ...record(1)], [...record(1), ...record(1)]])
      expect(() => PlaceSet.of(create(ServicePlacesSchema, { ipv4: Uint8Array.from(octets) }))).to.throw(/record/);
  });
});
