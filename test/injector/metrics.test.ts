// The injector's own families on the metrics page.
import { expect } from 'chai';
import { Exposition } from '#core/program/exposition.ts';
import { InjectorMetrics } from '#injector/metrics.ts';
import { named, parseExposition } from '#test/support/exposition.ts';

describe('injector metrics', () => {
  it('never fall, also when the clock is set back during a review', () => {
    const metrics = new InjectorMetrics();
    for (const ms of [2, 6000, -90_000]) metrics.took(ms);
    const out = new Exposition('openmetrics');
    metrics.write(out);
    const { samples } = parseExposition(out.toString(), 'openmetrics');
    const values = (suffix: string): number[] =>
      named(samples, `weft_injector_review_duration_seconds_${suffix}`).map(({ value }) => value);
    expect(values('bucket')).to.deep.equal([1, 2, 2, 2, 2, 2, 2, 3]);
    expect(values('count')).to.deep.equal([3]);
    expect(values('sum')).to.deep.equal([6.002]);
  });
});
