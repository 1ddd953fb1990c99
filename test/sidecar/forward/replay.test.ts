// The replay ring against a plain model.
import { expect } from 'chai';
import fc from 'fast-check';
import { MAX_REPLAY_OCTETS, ReplayRing } from '#sidecar/forward/replay.ts';

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

  it('keeps every body that is not freed, while they are half of its bound and young, in any order of ends', () => {
    const step = fc.record({
      octets: fc.integer({ min: 1, max: 16_384 }),
      ends: fc.array(fc.nat(), { maxLength: 3 }),
      ticks: fc.nat({ max: 99 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 600 }), (steps) => {
        const ring = new ReplayRing();
        const kept: { position: number; octets: number; mark: number }[] = [];
        let live = 0;
        steps.forEach(({ octets, ends, ticks }, mark) => {
          kept.push({ position: ring.put(Buffer.alloc(octets, mark & 0xff), 0, octets), octets, mark });
          live += octets;
          for (const at of live > MAX_REPLAY_OCTETS / 2 ? [0, ...ends] : ends) {
            if (kept.length === 0) break;
            const [ended] = kept.splice(at % kept.length, 1);
            ring.free(ended.position);
            live -= ended.octets;
          }
          if (ticks === 0) ring.tick();
          for (const at of [0, kept.length >> 1, kept.length - 1]) {
            if (at < 0 || at >= kept.length) continue;
            expect(ring.get(kept[at].position, kept[at].octets)?.equals(Buffer.alloc(kept[at].octets, kept[at].mark & 0xff))).equal(true);
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  it('grows with the bodies under way up to its bound, overwrites the oldest, and comes back', () => {
    const ring = new ReplayRing();
    const body = Buffer.alloc(16_384);
    for (let call = 0; call < 100; call++) ring.free(ring.put(body, 0, body.length));
    expect(ring.size, 'one call after the other').equal(64 * 1024);
    const positions = Array.from({ length: 1000 }, () => ring.put(body, 0, body.length));
    expect(ring.size).equal(MAX_REPLAY_OCTETS);
    expect(ring.get(positions[0], body.length), 'the first is gone').equal(null);
    expect(positions.slice(-500).every((position) => ring.get(position, body.length) !== null)).equal(true);
    for (const position of positions) ring.free(position);
    for (let second = 0; second < 10; second++) ring.tick();
    expect(ring.size).most(5 * 64 * 1024);
  });

  it('lets go of bodies of calls that are not answered for long: they pin no memory', () => {
    const ring = new ReplayRing();
    const body = Buffer.alloc(16_384);
    const unanswered = Array.from({ length: 200 }, () => {
      const position = ring.put(body, 0, 100);
      for (let call = 0; call < 4; call++) ring.free(ring.put(body, 0, body.length));
      return position;
    });
    for (let second = 0; second < 45; second++) ring.tick();
    expect(ring.size).most(6 * 64 * 1024);
    for (const position of unanswered) ring.free(position);
    const last = ring.put(body, 0, 100);
    expect(ring.get(last, 100)).not.equal(null);
  });
});
