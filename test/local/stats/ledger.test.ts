// Sums over sidecars' counters: differences, restarts, percentiles, windows.
import { expect } from 'chai';
import fc from 'fast-check';
import { statusName } from '#core/contract/grpc-codes.ts';
import { Ledger } from '#local/stats/ledger.ts';
import { parseStats } from '#local/stats/snapshot.ts';
import { newTally, percentileMs, successShare } from '#local/stats/tally.ts';
import { series } from './series.ts';

describe('local/stats: ledger', () => {
  const counts = (ledger: Ledger) => ledger.totals().map((row) => row.tally.count);

  it('adds differences of cumulative counters, over pods', () => {
    const ledger = new Ledger();
    ledger.ingest('a', [series(10)]);
    ledger.ingest('b', [series(5)]);
    ledger.ingest('a', [series(12)]);
    expect(counts(ledger)).to.deep.equal([17]);
    expect(ledger.totals()[0].tally.statuses.get(0)).to.equal(17);
    expect(ledger.totals()[0].tally.latency.get(1)).to.equal(17);
  });

  it('takes a counter that went back, or came back, for a new one', () => {
    const ledger = new Ledger();
    ledger.ingest('a', [series(10)]);
    ledger.ingest('a', [series(3)]);
    expect(counts(ledger)).to.deep.equal([13]);
    ledger.ingest('a', []);
    ledger.ingest('a', [series(4)]);
    expect(counts(ledger)).to.deep.equal([17]);
    ledger.restarted('a');
    ledger.ingest('a', [series(20)]);
    expect(counts(ledger)).to.deep.equal([37]);
  });

  it('sums rows that stand twice in one reading', () => {
    const ledger = new Ledger();
    ledger.ingest('a', [series(10), series(5)]);
    ledger.ingest('a', [series(11), series(6)]);
    expect(counts(ledger)).to.deep.equal([17]);
  });

  it('counts a call where it was made, once', () => {
    const ledger = new Ledger();
    ledger.ingest('a', [series(10), series(10, { direction: 'inbound' })]);
    expect(counts(ledger)).to.deep.equal([10]);
  });

  it('never loses a call, whatever the order of readings', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.nat(100))), (steps) => {
        const ledger = new Ledger();
        const sums: Record<string, number> = { a: 0, b: 0 };
        for (const [pod, more] of steps) {
          sums[pod] += more;
          ledger.ingest(pod, [series(sums[pod])]);
        }
        expect(counts(ledger).reduce((x, y) => x + y, 0)).to.equal(sums.a + sums.b);
      }),
    );
  });

  it('shows the last second, and the last five for latencies', () => {
    const ledger = new Ledger();
    for (let second = 1; second <= 7; second++) {
      ledger.ingest('a', [series(second * 10)]);
      ledger.tick(1);
    }
    expect(ledger.lastSecond().rows.map((row) => row.tally.count)).to.deep.equal([10]);
    expect(ledger.lastSeconds().map((row) => row.tally.count)).to.deep.equal([50]);
    ledger.tick(1);
    expect(ledger.lastSecond().rows).to.deep.equal([]);
  });
});

describe('local/stats: tally', () => {
  it('finds percentiles in unsorted, sparse buckets', () => {
    const tally = { ...newTally(), latency: new Map([[10, 1], [1, 98], [100, 1]]) }; // biome-ignore format: a table
    expect([0.5, 0.98, 0.99, 1].map((q) => percentileMs(tally, q))).to.deep.equal([1, 1, 10, 100]);
    expect(percentileMs(newTally(), 0.5)).to.equal(null);
    expect(successShare(newTally())).to.equal(null);
  });

  it('names statuses', () => {
    expect([0, 4, 12, 14, 16, 99].map(statusName)).to.deep.equal([
      'OK',
      'DEADLINE_EXCEEDED',
      'UNIMPLEMENTED',
      'UNAVAILABLE',
      'UNAUTHENTICATED',
      'STATUS_99',
    ]);
  });
});

describe('local/stats: snapshot', () => {
  it('reads an answer of /stats and refuses anything else', () => {
    expect(parseStats(JSON.stringify({ series: [series(3)] }))).to.deep.equal([series(3)]);
    for (const body of ['', 'null', '{}', '[]', '{"series":1}']) expect(parseStats(body), body).to.equal(undefined);
  });

  it('never throws and never counts backwards', () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const parsed = parseStats(
          JSON.stringify({ series: [value, { count: value, statuses: value, latency: value, method: value }] }) ?? '',
        );
        for (const item of parsed ?? []) expect(item.count).to.be.at.least(0);
      }),
    );
  });
});
