// The index of the object store: translating only what a change touches gives what translating everything would give.
import { expect } from 'chai';
import fc from 'fast-check';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { KubeObject } from '#kube/object.ts';
import { object, spoiltObject } from '../translate/random-objects.ts';
import { render } from '../translate/render.ts';

type Change =
  | { readonly kind: 'apply'; readonly object: KubeObject }
  /** One field of an object of the same kind becomes the donor's. */
  | { readonly kind: 'tweak'; readonly which: number; readonly donor: KubeObject }
  | { readonly kind: 'remove'; readonly which: number }
  | { readonly kind: 'replaceAll'; readonly objects: readonly KubeObject[] };

const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 8, arbitrary: fc.oneof({ weight: 5, arbitrary: object }, spoiltObject).map((object): Change => ({ kind: 'apply', object })) },
  { weight: 6, arbitrary: fc.tuple(fc.nat(), object).map(([which, donor]): Change => ({ kind: 'tweak', which, donor })) },
  { weight: 4, arbitrary: fc.nat().map((which): Change => ({ kind: 'remove', which })) },
  { weight: 1, arbitrary: fc.array(object, { maxLength: 10 }).map((objects): Change => ({ kind: 'replaceAll', objects })) },
);

const NOTHING = { service: undefined, endpoints: undefined, statuses: [] };

describe('control-plane/store: translating only what a change touches', () => {
  for (const strictReferenceGrants of [false, true]) {
    it(`equals translating everything, ${strictReferenceGrants ? 'with' : 'without'} strict ReferenceGrants`, () => {
      const options = { trustDomain: 'cluster.local', strictReferenceGrants };
      let compared = 0;
      fc.assert(
        fc.property(fc.array(change, { minLength: 1, maxLength: 25 }), (changes) => {
          const store = new ObjectStore();
          const known = new Map<string, KubeObject>();
          const translated = new Map<string, unknown>();
          for (const one of changes) {
            for (const key of perform(one, store, known)) translated.set(key, render(translateService(store, key, options)));
            const fresh = new ObjectStore();
            fresh.replaceAll(known.values());
            expect(store.allKeys()).to.deep.equal(fresh.allKeys());
            for (const key of new Set([...translated.keys(), ...fresh.allKeys()])) {
              expect(translated.get(key) ?? NOTHING, `${key} after ${JSON.stringify(one.kind)}`).to.deep.equal(
                render(translateService(fresh, key, options)),
              );
              compared++;
            }
          }
        }),
        { numRuns: 400 },
      );
      expect(compared).to.be.greaterThan(1000);
    });
  }
});

/** Does a change to the store, and to a plain list of what it should hold. */
function perform(change: Change, store: ObjectStore, known: Map<string, KubeObject>): ReadonlySet<string> {
  switch (change.kind) {
    case 'apply':
      known.set(identity(change.object), change.object);
      return store.apply(change.object).services;
    case 'tweak': {
      const same = [...known.values()].filter(({ kind }) => kind === change.donor.kind);
      if (same.length === 0) return new Set();
      const tweaked = tweak(same[change.which % same.length], change.donor, change.which);
      known.set(identity(tweaked), tweaked);
      return store.apply(tweaked).services;
    }
    case 'replaceAll':
      known.clear();
      for (const object of change.objects) known.set(identity(object), object);
      return store.replaceAll(change.objects).services;
    case 'remove': {
      const identities = [...known.keys()];
      if (identities.length === 0) return new Set();
      const chosen = identities[change.which % identities.length];
      const { kind, metadata } = known.get(chosen)!;
      // A spoilt one has no name that it could be removed by.
      if (typeof metadata?.name !== 'string' || typeof metadata.namespace !== 'string') return new Set();
      known.delete(chosen);
      return store.remove(kind!, metadata.namespace, metadata.name).services;
    }
  }
}

function tweak(object: KubeObject, donor: KubeObject, which: number): KubeObject {
  const tweaked = structuredClone(object) as Record<string, unknown>;
  const fields = Object.entries(donor).flatMap(([part, value]) =>
    typeof value === 'object' && !Array.isArray(value) ? Object.keys(value as object).map((field) => [part, field]) : [[part, '']],
  );
  const changeable = fields.filter(([part, field]) => !['kind', 'apiVersion'].includes(part) && !['name', 'namespace'].includes(field));
  if (changeable.length === 0) return object;
  const [part, field] = changeable[which % changeable.length];
  const given = (donor as Record<string, unknown>)[part];
  const own = tweaked[part];
  if (field === '') tweaked[part] = given;
  else if (typeof own === 'object' && own !== null) (own as Record<string, unknown>)[field] = (given as Record<string, unknown>)[field];
  return tweaked;
}

function identity({ kind, metadata }: KubeObject): string {
  const namespace: unknown = metadata?.namespace;
  return JSON.stringify([kind, namespace === undefined || namespace === null || namespace === '' ? 'default' : namespace, metadata?.name]);
}
