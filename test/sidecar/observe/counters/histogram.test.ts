// The latency histogram against a plain list of what was recorded.
import { expect } from 'chai';
import fc from 'fast-check';
import { BOUNDS_MS, bucketUpTo, LatencyHistogram } from '#sidecar/observe/counters/histogram.ts';

describe('latency histogram', () => {
  it('covers 0.05 ms to 60 s in buckets at most 6 % wide', () => {
    expect(BOUNDS_MS[0]).to.be.closeTo(0.05, 0.0005);
    expect(BOUNDS_MS.at(-1)).to.be.closeTo(60_000, 3000);
    for (let i = 1; i < BOUNDS_MS.length; i++) expect(BOUNDS_MS[i] / BOUNDS_MS[i - 1]).to.be.within(1, 1.06);
  });

  it('puts each value into the bucket whose bounds hold it', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 59_000, noNaN: true }), (ms) => {
        const histogram = new LatencyHistogram();
        histogram.record(ms);
        const { boundsMs, counts } = histogram.filled();
        expect(counts).to.deep.equal([1]);
        const at = BOUNDS_MS.indexOf(boundsMs[0]);
        expect(ms).to.be.at.most(boundsMs[0] * (1 + 1e-12));
        if (at > 0) expect(ms).to.be.at.least(BOUNDS_MS[at - 1] * (1 - 1e-12));
      }),
    );
  });

  it('takes what lies outside into its first and last bucket', () => {
    const histogram = new LatencyHistogram();
    for (const ms of [0, 1e-9, 61_000, 1e12]) histogram.record(ms);
    expect(histogram.filled().counts).to.deep.equal([2, 2]);
    expect(histogram.count).to.equal(4);
  });

  it("counts up to Prometheus' bounds as a list would, to within half a percent of the bound", () => {
    const bounds = [1, 2.5, 5, 10, 25, 100, 2500];
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 5000, noNaN: true })), (values) => {
        const histogram = new LatencyHistogram();
        for (const ms of values) histogram.record(ms);
        const sums = histogram.cumulative(bounds.map(bucketUpTo));
        bounds.forEach((bound, i) => {
          expect(sums[i]).to.be.at.least(values.filter((ms) => ms <= bound * 0.995).length);
          expect(sums[i]).to.be.at.most(values.filter((ms) => ms <= bound * 1.005).length);
        });
        expect(histogram.sumMs).to.be.closeTo(
          values.reduce((sum, ms) => sum + ms, 0),
          1e-6,
        );
      }),
    );
  });
});
