// The condition that counts sidecars: what it says, and when it is worth a write.
import { expect } from 'chai';
import { APPLIED_EVERY_MS, AppliedPace, appliedCondition, COUNTS_EVERY_MS, SETTLED_AFTER_MS } from '#control-plane/lead/applied.ts';
import { type MeshApplied, UNKNOWN_AFTER_MS } from '#control-plane/replicas/mesh-counts.ts';
import type { Condition, StoredCondition } from '#objects/condition.ts';

const stored = (condition: Condition): StoredCondition => ({ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' });

function textOf(on: MeshApplied): string | null {
  const condition = appliedCondition(on, 4);
  return condition && `${condition.status} ${condition.reason} ${condition.observedGeneration} ${condition.message}`;
}

describe('control-plane/lead: applied', () => {
  it('says on how many of how many, and which refuse', () => {
    const says = (want: number, applied: number, ...pods: string[]) => {
      const refusals = pods.map((pod) => ({ pod, reason: 'bad\nregex' }));
      return textOf({ want, applied, rejected: pods.length, refusals, unknown: '' });
    };
    expect(says(0, 0)).to.equal(null);
    expect(says(1, 1)).to.equal('True AllSidecars 4 applied on 1 of 1 sidecar');
    expect(says(40, 37)).to.equal('False Pending 4 applied on 37 of 40 sidecars');
    expect(says(40, 39, 'shop/a')).to.equal('False Rejected 4 applied on 39 of 40 sidecars; rejected by shop/a: bad\\u000aregex');
    expect(says(9, 0, 'a/1', 'a/2', 'a/3', 'a/4', 'a/5')).to.match(/a\/3: [^;]+; and 2 more$/);
  });

  it('is never true while nothing is known of a replica: what is known for certain is said, and what is not', () => {
    const says = (want: number, applied: number, rejected = 0) =>
      textOf({ want, applied, rejected, refusals: rejected === 0 ? [] : [{ pod: 'shop/a', reason: 'no' }], unknown: 'weft-1' });
    expect(says(0, 0)).to.equal('Unknown ReplicaUnknown 4 applied on 0 of 0 sidecars; the sidecars of weft-1 are not known');
    expect(says(2, 2)).to.equal('Unknown ReplicaUnknown 4 applied on 2 of 2 sidecars; the sidecars of weft-1 are not known');
    expect(says(2, 1)).to.equal('False Pending 4 applied on 1 of 2 sidecars; the sidecars of weft-1 are not known');
    expect(says(2, 1, 1)).to.equal(
      'False Rejected 4 applied on 1 of 2 sidecars; the sidecars of weft-1 are not known; rejected by shop/a: no',
    );
  });

  const some = (applied: number, generation = 1, unknown = '') =>
    appliedCondition({ want: 2, applied, rejected: 0, refusals: [], unknown }, generation);
  const decide = (pace: AppliedPace, now: number, on: StoredCondition | undefined, wanted: Condition | null, verdict = 'v') =>
    pace.decide('shop/canary shop/payment', verdict, on, wanted, now);

  it('waits until a route has settled', () => {
    const pace = new AppliedPace();
    expect(decide(pace, 100_000, undefined, some(1))).to.deep.equal({ write: false, lookAgainMs: 100_000 + SETTLED_AFTER_MS });
    expect(decide(pace, 100_500, undefined, some(1), 'another verdict')).to.deep.equal({
      write: false,
      lookAgainMs: 100_500 + SETTLED_AFTER_MS,
    });
    expect(decide(pace, 101_500, undefined, some(2), 'another verdict')).to.deep.equal({ write: true, condition: some(2), paced: true });
  });

  it('leaves what is right, and what is absent and to be absent', () => {
    const pace = new AppliedPace();
    expect(decide(pace, 0, stored(some(2)!), some(2))).to.deep.equal({ write: false, lookAgainMs: Infinity });
    expect(decide(pace, 0, undefined, null)).to.deep.equal({ write: false, lookAgainMs: Infinity });
  });

  it('goes along at once with the write of a new generation, which does not count', () => {
    const pace = new AppliedPace();
    decide(pace, 0, stored(some(2)!), some(2));
    expect(decide(pace, 10, stored(some(2)!), some(0, 2), 'g2')).to.deep.equal({ write: true, condition: some(0, 2), paced: false });
    expect(decide(pace, 20_000, stored(some(0, 2)!), some(2, 2), 'g2')).to.deep.equal({ write: true, condition: some(2, 2), paced: true });
  });

  it('is written seldom, and more seldom where only numbers differ', () => {
    const pace = new AppliedPace();
    decide(pace, 0, undefined, some(1));
    pace.wrote('shop/canary shop/payment', 2000);
    expect(decide(pace, 3000, stored(some(1)!), some(2))).to.deep.equal({ write: false, lookAgainMs: 2000 + APPLIED_EVERY_MS });
    expect(decide(pace, 3000, stored(some(1)!), some(0))).to.deep.equal({ write: false, lookAgainMs: 2000 + COUNTS_EVERY_MS });
    expect(decide(pace, 3000, stored(some(1)!), null)).to.deep.equal({ write: false, lookAgainMs: 2000 + APPLIED_EVERY_MS });
  });

  it('gives the sidecars of an earlier leader time to come over', () => {
    expect(decide(new AppliedPace(), 50_000, stored(some(2)!), null)).to.deep.equal({
      write: false,
      lookAgainMs: 50_000 + APPLIED_EVERY_MS,
    });
  });

  it('waits a while before it says that nothing is known, and says so at once of a new generation', () => {
    const pace = new AppliedPace();
    decide(pace, 0, stored(some(2)!), some(2));
    expect(decide(pace, 60_000, stored(some(2)!), some(2, 1, 'weft-1'))).to.deep.equal({
      write: false,
      lookAgainMs: 60_000 + UNKNOWN_AFTER_MS,
    });
    // It was back for a moment: the time begins anew.
    decide(pace, 65_000, stored(some(2)!), some(2));
    expect(decide(pace, 66_000, stored(some(2)!), some(2, 1, 'weft-1'))).to.include({ lookAgainMs: 66_000 + UNKNOWN_AFTER_MS });
    const unknown = some(2, 1, 'weft-1');
    expect(decide(pace, 66_000 + UNKNOWN_AFTER_MS, stored(some(2)!), unknown)).to.deep.equal({
      write: true,
      condition: unknown,
      paced: true,
    });
    const ofNext = some(2, 2, 'weft-1');
    expect(decide(pace, 90_000, stored(some(2)!), ofNext, 'g2')).to.deep.equal({ write: true, condition: ofNext, paced: false });
  });
});
