// Metrics that write themselves: what stands on the page, to the octet, and that labels of whatever order are one
// series.
import { expect } from 'chai';
import fc from 'fast-check';
import { Exposition } from '#core/program/exposition.ts';
import { Counter, Gauge, Histogram, type Metric } from '#core/program/metrics.ts';

const pageOf = (metric: Metric): string[] => {
  const out = new Exposition('text');
  metric.write(out);
  return out.toString().trimEnd().split('\n').slice(1);
};

describe('a metric', () => {
  it('without labels is on the page from the beginning', () => {
    const counter = new Counter({ name: 'a_total', help: 'A.' });
    expect(pageOf(counter)).to.deep.equal(['# TYPE a_total counter', 'a_total 0']);
    counter.inc();
    expect(pageOf(counter)).to.deep.equal(['# TYPE a_total counter', 'a_total 1']);
    expect(counter.value()).to.equal(1);
    const gauge = new Gauge({ name: 'b', help: 'B.' });
    gauge.set(-1.5);
    expect(pageOf(gauge)).to.deep.equal(['# TYPE b gauge', 'b -1.5']);
  });

  it('with labels has a sample for each combination that came, labels in the order of its names', () => {
    const counter = new Counter({ name: 'a_total', help: 'A.', labelNames: ['x', 'y'] });
    expect(pageOf(counter)).to.deep.equal(['# TYPE a_total counter']);
    counter.inc({ x: '2', y: '"' });
    counter.inc({ y: '0', x: '1' });
    counter.inc({ x: '1', y: '0' });
    expect(pageOf(counter).slice(1)).to.deep.equal(['a_total{x="2",y="\\""} 1', 'a_total{x="1",y="0"} 2']);
    expect([counter.value({ x: '1', y: '0' }), counter.value({ x: 'never', y: '' })]).to.deep.equal([2, 0]);
  });

  it('that is a histogram counts each observation in every bucket at or above it', () => {
    const bounds = fc.uniqueArray(fc.double({ min: 0.001, max: 100, noNaN: true }), { minLength: 1, maxLength: 8 });
    const values = fc.array(fc.double({ min: 0, max: 200, noNaN: true }), { maxLength: 30 });
    fc.assert(
      fc.property(bounds, values, (unsorted, observed) => {
        const buckets = unsorted.sort((a, b) => a - b);
        const histogram = new Histogram({ name: 'h', help: 'H.', buckets });
        for (const value of observed) histogram.observe(value);
        const numbers = pageOf(histogram)
          .slice(1)
          .map((line) => Number(line.split(' ')[1]));
        const expected = [...buckets, Number.POSITIVE_INFINITY].map((bound) => observed.filter((value) => value <= bound).length);
        expect(numbers).to.deep.equal([...expected, observed.reduce((sum, value) => sum + value, 0), observed.length]);
      }),
    );
  });
});
