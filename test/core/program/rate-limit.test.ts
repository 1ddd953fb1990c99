// How often each of many may do something.
import { expect } from 'chai';
import { RateLimit } from '#core/program/rate-limit.ts';

describe('core/program: rate-limit', () => {
  it('gives the burst, then so many a minute, to each by itself', () => {
    let nowMs = 0;
    const limit = new RateLimit(60, 2, () => nowMs);
    expect([limit.take('a'), limit.take('a'), limit.take('a'), limit.take('b')]).to.deep.equal([true, true, false, true]);
    nowMs += 999;
    expect(limit.take('a')).to.equal(false);
    nowMs += 1;
    expect(limit.take('a')).to.equal(true);
    nowMs += 3600_000;
    expect([limit.take('a'), limit.take('a'), limit.take('a')], 'no more than the burst is saved up').to.deep.equal([true, true, false]);
  });

  it('forgets those that have not asked for long when there are too many', () => {
    const limit = new RateLimit(1, 1, () => 0);
    limit.take('first');
    for (let i = 0; i < 19_999; i++) limit.take(`pod-${i}`);
    expect(limit.take('first'), 'still known').to.equal(false);
    limit.take('one more');
    expect(limit.take('pod-0'), 'forgotten').to.equal(true);
    expect(limit.take('first'), 'asked lately').to.equal(false);
  });

  it('a clock that goes back gives nothing away', () => {
    let nowMs = 1_000_000;
    const limit = new RateLimit(60, 1, () => nowMs);
    limit.take('a');
    nowMs = 0;
    expect(limit.take('a')).to.equal(false);
  });
});
