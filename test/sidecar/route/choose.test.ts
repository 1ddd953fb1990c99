// Splits by weight and mirror shares: how far from exact they may be, and that they do not hang together.
import { expect } from 'chai';
import fc from 'fast-check';
import { chooseBackend, firstTurn, shouldMirror } from '#sidecar/route/choose.ts';
import type { MirrorRecord, RuleRecord } from '#sidecar/route/records.ts';
import { backend, rule } from '../../support/proxy.ts';

const ref = { namespace: 'ns', name: 'b', port: 80, key: 'ns/b:80' };

function ruleOf(weights: readonly number[], turn: number): RuleRecord {
  return rule(
    weights.map((weight) => backend('b', { weight })),
    { turn },
  );
}

function mirrorOf(fraction: number, turn: number): MirrorRecord {
  return { backend: ref, fraction, turn };
}

function sharesOf(rule: RuleRecord, calls: number): number[] {
  const counts = rule.backends.map(() => 0);
  for (let i = 0; i < calls; i++) counts[chooseBackend(rule)]++;
  return counts.map((count) => count / calls);
}

const turn = fc.double({ min: 0, max: 0.999999, noNaN: true });

describe('chooseBackend', () => {
  it('is within half a point of the weights after 1,000 calls, wherever it starts', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1_000_000 }), { minLength: 1, maxLength: 16 }), turn, (weights, start) => {
        const rule = ruleOf(weights, start);
        for (const [i, share] of sharesOf(rule, 1_000).entries()) expect(share).to.be.closeTo(weights[i] / rule.totalWeight, 0.005);
      }),
      { numRuns: 200 },
    );
  });

  it('gives a canary of one percent a call among any 200, unlike dice', () => {
    const rule = ruleOf([99, 1], 0.3);
    for (let round = 0; round < 50; round++) expect(sharesOf(rule, 200)[1]).to.be.above(0);
  });

  it('splits evenly also for a caller whose every second call goes elsewhere', () => {
    for (const stride of [2, 3, 5, 8]) {
      const rule = ruleOf([50, 50], 0.1);
      let first = 0;
      for (let i = 0; i < 1_000 * stride; i++) if (chooseBackend(rule) === 0 && i % stride === 0) first++;
      expect(first / 1_000, `stride ${stride}`).to.be.closeTo(0.5, 0.02);
    }
  });

  it('has no choice where there is none', () => {
    expect(chooseBackend(ruleOf([], 0.5))).to.equal(-1);
    expect(chooseBackend(ruleOf([1], 0.999))).to.equal(0);
  });
});

describe('shouldMirror', () => {
  it('copies the share it should, all and none included', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 0.01, 1 / 3, 0.5, 0.99, 1), turn, (fraction, start) => {
        const mirror = mirrorOf(fraction, start);
        let copied = 0;
        for (let i = 0; i < 1_000; i++) if (shouldMirror(mirror)) copied++;
        if (fraction === 0 || fraction === 1) expect(copied).to.equal(fraction * 1_000);
        else expect(copied / 1_000).to.be.closeTo(fraction, 0.005);
      }),
    );
  });

  it('copies from all backends alike: it does not hang together with the split', () => {
    const rule = ruleOf([50, 50], 0);
    const mirror = mirrorOf(0.5, 0);
    const copied = [0, 0];
    for (let i = 0; i < 2_000; i++) {
      const backend = chooseBackend(rule);
      if (shouldMirror(mirror)) copied[backend]++;
    }
    expect(copied[0] / 2_000).to.be.closeTo(0.25, 0.02);
    expect(copied[1] / 2_000).to.be.closeTo(0.25, 0.02);
  });
});

describe('firstTurn', () => {
  it('is the same for the same key and seed, in range, and well spread over keys', () => {
    const tenths = new Array(10).fill(0);
    for (let i = 0; i < 2_000; i++) {
      const start = firstTurn(`ns/svc:80 GRPCRoute ns/r rule ${i}`, 0.7);
      expect(start).to.equal(firstTurn(`ns/svc:80 GRPCRoute ns/r rule ${i}`, 0.7));
      expect(start).to.be.within(0, 1 - Number.EPSILON);
      tenths[Math.floor(start * 10)]++;
    }
    for (const count of tenths) expect(count).to.be.within(120, 280);
  });

  it('moves with the seed', () => {
    expect(firstTurn('k', 0.25)).not.to.equal(firstTurn('k', 0.5));
  });
});
