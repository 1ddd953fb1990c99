// Which traces are shown, and how they are read from sidecars.
import { expect } from 'chai';
import { RECENT_MS } from '#control-plane/publish/call-reports.ts';
import { Ledger } from '#local/stats/ledger.ts';
import { parseStats } from '#local/stats/snapshot.ts';
import { worthALook } from '#local/stats/traces.ts';
import { series } from './series.ts';

const seen = (letter: string, ms: number, endedMs: number) => ({ traceId: letter.repeat(32), ms, endedMs });

describe('local/stats: traces', () => {
  it('takes the slower of two calls, unless it is long ago, and the newer failure', () => {
    const slow = seen('a', 90, 1000);
    const fast = seen('b', 10, 1000 + RECENT_MS);
    const faster = seen('c', 5, 1001 + RECENT_MS);
    for (const turn of [(x: object, y: object) => worthALook(x, y), (x: object, y: object) => worthALook(y, x)]) {
      expect(turn({ slow }, { slow: fast })).to.deep.equal({ slow });
      expect(turn({ slow }, { slow: faster })).to.deep.equal({ slow: faster });
      const failed = { ...seen('d', 1, 2000), code: 14 };
      expect(turn({ slow, failed }, { failed: { ...failed, endedMs: 1999 } })).to.deep.equal({ slow, failed });
      expect(turn({}, { slow })).to.deep.equal({ slow });
    }
    expect(worthALook({}, {})).to.deep.equal({});
  });

  it('remembers them over readings and pods', () => {
    const ledger = new Ledger();
    const slow = seen('a', 90, 1000);
    ledger.ingest('one', [series(1, { slow })]);
    ledger.ingest('two', [series(1, { slow: seen('b', 10, 1500), failed: { ...seen('c', 1, 1500), code: 5 } })]);
    ledger.tick(1);
    ledger.ingest('one', [series(2)]);
    ledger.tick(1);
    for (const rows of [ledger.totals(), ledger.lastSeconds()]) {
      expect(rows.map(({ traces }) => traces)).to.deep.equal([{ slow, failed: { ...seen('c', 1, 1500), code: 5 } }]);
    }
    expect(ledger.lastSecond().rows[0].traces).to.deep.equal({});
  });

  it('reads them from sidecars that report them, and passes over what is no trace', () => {
    const read = (more: object) => parseStats(JSON.stringify({ series: [{ ...series(1), ...more }] }))![0];
    const slow = seen('a', 1.5, 2);
    expect(read({ failed: { ...slow, code: 'Strange' } }).failed!.code).to.equal(2);
    expect(read({ slow, failed: { ...slow, code: 'Unavailable' } })).to.deep.include({ slow, failed: { ...slow, code: 14 } });
    for (const odd of [null, 7, {}, { traceId: '\u001b[2J' }, { ...slow, traceId: 'A'.repeat(32) }]) {
      expect(read({ slow: odd, failed: odd })).to.not.have.any.keys('slow', 'failed');
    }
    expect(read({ slow: { ...slow, ms: 'x' } }).slow).to.deep.equal({ ...slow, ms: 0 });
  });
});
