// The replay ring against a plain model.
import { expect } from 'chai';
import fc from 'fast-check';
import { ReplayRing } from '#sidecar/forward/replay.ts';

describe('ReplayRing', () => {
  it('gives back what it kept, or null when that was overwritten, but never anything else', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 16_384 }), { minLength: 1, maxLength: 400 }), (sizes) => {
        const ring = new ReplayRing();
        const kept: { position: number; octets: number; mark: number }[] = [];
        sizes.forEach((octets, mark) => {
          const body = Buffer.alloc(octets + 2, mark & 0xff);
          kept.push({ position: ring.put(body, 1, octets + 1), octets, mark });
          for (const at of [kept.length - 1, 0, Math.floor(kept.length / 2)]) {
            const got = ring.get(kept[at].position, kept[at].octets);
            if (at === kept.length - 1) expect(got).not.equal(null);
            if (got !== null) expect(got.equals(Buffer.alloc(kept[at].octets, kept[at].mark & 0xff))).equal(true);
          }
        });
      }),
      { numRuns: 40 },
    );
  });
});
