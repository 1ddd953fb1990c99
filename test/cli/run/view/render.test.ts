// What the view shows, in the room that it has.
import { expect } from 'chai';
import fc from 'fast-check';
import { COLOURED, PLAIN } from '#cli/print/style.ts';
import { bar, clockText, harmless, latencyText, rateText, shareText, truncate, widthOf } from '#cli/print/words.ts';
import { makeReport } from '#cli/run/report.ts';
import { logLine } from '#cli/run/view/log-line.ts';
import { type MeshView, renderPlain, renderView, shortBackend } from '#cli/run/view/render.ts';
import { liveScreen } from '#cli/run/view/screen.ts';
import { Ledger } from '#local/stats/ledger.ts';
import { methodRows } from '#local/stats/rows.ts';
import { series } from '../../../local/stats/series.ts';

function canary(): Ledger {
  const ledger = new Ledger();
  ledger.ingest('a', [
    series(90, { latency: { boundsMs: [1, 4], counts: [89, 1] } }),
    series(10, { backend: 'shop/payment-v2:8080', statuses: { 0: 9, 14: 1 } }),
    series(40, { method: 'payment.PaymentService/History', backend: '', mtls: false, statuses: { 14: 40 } }),
  ]);
  ledger.tick(0.5);
  return ledger;
}

const SLOW = { traceId: 'a'.repeat(32), ms: 41.2, endedMs: 1_000_000 };
const FAILED = { traceId: 'b'.repeat(32), ms: 3, endedMs: 1_000_500, code: 14 };

function traced(): Ledger {
  const ledger = new Ledger();
  ledger.ingest('a', [series(90, { slow: SLOW }), series(10, { backend: 'shop/payment-v2:8080', failed: FAILED })]);
  ledger.tick(1);
  return ledger;
}

function state(more: Partial<MeshView> = {}): MeshView {
  return {
    directory: 'examples/shop',
    uptimeSeconds: 62,
    leftSeconds: null,
    podsReady: 3,
    pods: 4,
    methods: methodRows(canary()),
    routes: [
      {
        kind: 'GRPCRoute',
        namespace: 'shop',
        name: 'payment',
        parent: 'Service payment',
        conditions: [
          { type: 'Accepted', status: 'True', reason: 'Accepted', message: '' },
          { type: 'ResolvedRefs', status: 'False', reason: 'BackendNotFound', message: 'no Service paymen: did you mean payment?' },
        ],
      },
    ],
    problems: ['routes.yaml:3:1: tabs are not allowed'],
    ...more,
  };
}

describe('run/view: rows', () => {
  it('groups by caller, Service and method and splits by backend', () => {
    const [charge, history] = methodRows(canary());
    expect(charge).to.deep.include({ method: 'payment.PaymentService/Charge', rate: 200, success: 0.99, p50Ms: 1, p99Ms: 1, mtls: true });
    expect(charge.backends).to.deep.equal([
      { backend: 'shop/payment-v1:8080', share: 0.9, success: 1 },
      { backend: 'shop/payment-v2:8080', share: 0.1, success: 0.9 },
    ]);
    expect(history).to.deep.include({ rate: 80, success: 0, mtls: true });
    expect(history.backends.map(({ backend }) => backend)).to.deep.equal(['no backend']);
  });

  it('splits by the last second alone when that has enough calls', () => {
    const ledger = canary();
    ledger.ingest('a', [series(140), series(60, { backend: 'shop/payment-v2:8080' })]);
    ledger.tick(1);
    expect(methodRows(ledger)[0].backends.map(({ share }) => share)).to.deep.equal([0.5, 0.5]);
    ledger.tick(1);
    const [idle] = methodRows(ledger);
    expect(idle.rate).to.equal(0);
    expect(idle.backends[0].share).to.be.closeTo(0.7, 0.001);
  });

  it('says so when any call to a backend went in plaintext', () => {
    const ledger = new Ledger();
    ledger.ingest('a', [series(1), series(1, { mtls: false, statuses: { 14: 1 } })]);
    ledger.tick(1);
    expect(methodRows(ledger)[0].mtls, 'never got to a connection').to.equal(true);
    ledger.ingest('a', [series(1), series(3, { mtls: false, statuses: { 0: 1, 14: 2 } })]);
    ledger.tick(1);
    expect(methodRows(ledger)[0].mtls).to.equal(false);
  });
});

describe('run/view: render', () => {
  it('shows rate, success, latencies, split, conditions and problems', () => {
    const text = renderView(state(), { columns: 100, rows: 40 }, PLAIN).join('\n');
    expect(text).to.include('3/4 pods ready').and.include('1:02');
    expect(text).to.match(/shop\/checkout → shop\/payment:8080 {2}mTLS/);
    expect(text).to.match(/payment\.PaymentService\/Charge +200\/s +99\.0 % +1\.00 ms +1\.00 ms/);
    expect(text)
      .to.match(/payment-v1 +90\.0 % █+/)
      .and.match(/payment-v2 +10\.0 % █+/);
    expect(text).to.include('ResolvedRefs=False BackendNotFound').and.include('did you mean payment?');
    expect(text).to.include('! routes.yaml:3:1: tabs are not allowed');
  });

  it('never takes more room than there is', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 200 }),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 30 }),
        (columns, rows, coloured, n) => {
          const problems = Array.from({ length: n }, (_, i) => `problem ${i} ${'x'.repeat(i * 7)}`);
          const lines = renderView(state({ problems }), { columns, rows }, coloured ? COLOURED : PLAIN);
          expect(lines.length).to.be.at.most(rows);
          for (const line of lines) expect(widthOf(line)).to.be.at.most(columns);
        },
      ),
    );
  });

  it('gives up the bars before the methods in a low window', () => {
    const text = renderView(state({ routes: [], problems: [] }), { columns: 120, rows: 8 }, PLAIN).join('\n');
    expect(text).to.not.include('█');
    expect(text).to.include('payment-v1 90.0 %  payment-v2 10.0 %').and.include('History');
  });

  it('is one line per method where there is no terminal', () => {
    expect(renderPlain(state())[0]).to.equal(
      '1:02 shop/checkout → shop/payment:8080 payment.PaymentService/Charge 200/s ok 99.0 % p50 1.00 ms p99 1.00 ms mTLS | payment-v1 90.0 %  payment-v2 10.0 %',
    );
    expect(renderPlain(state({ methods: [] }))).to.deep.equal(['1:02 no calls, 3/4 pods ready']);
  });

  it('shows the traces of a slow and of a failed call, whole, and leaves them out last', () => {
    const methods = methodRows(traced());
    const text = renderView(state({ methods }), { columns: 100, rows: 40 }, PLAIN).join('\n');
    expect(text).to.include(`    slow         41.2 ms trace ${SLOW.traceId}\n    UNAVAILABLE  3.00 ms trace ${FAILED.traceId}\n`);
    const far = methods.map((row) => ({ ...row, backends: [{ backend: `${'n'.repeat(50)}/payment:80`, share: 1, success: 1 }] }));
    const narrow = renderView(state({ methods: far, routes: [], problems: [] }), { columns: 80, rows: 40 }, PLAIN).join('\n');
    expect(narrow).to.include(`trace ${SLOW.traceId}\n`).and.include(`trace ${FAILED.traceId}\n`);
    const low = renderView(state({ methods, routes: [], problems: [] }), { columns: 100, rows: 8 }, PLAIN).join('\n');
    expect(low).to.include(`trace ${SLOW.traceId}`).and.not.include('█');
    expect(renderView(state({ methods, routes: [], problems: [] }), { columns: 100, rows: 6 }, PLAIN).join('\n')).to.not.include('trace');
    expect(renderPlain(state({ methods }))[0]).to.match(
      new RegExp(` \\| slow 41\\.2 ms trace ${SLOW.traceId} \\| UNAVAILABLE 3\\.00 ms trace ${FAILED.traceId}$`),
    );
  });

  it('redraws in place, keeps logs above and restores the cursor', () => {
    let written = '';
    const screen = liveScreen({ write: (text) => (written += text), isTTY: true, columns: 40, rows: 10 });
    screen.draw(['one', 'two']);
    written = '';
    screen.log('a log line');
    expect(written.startsWith('\u001b[2A\r\u001b[0Ja log line\n')).to.equal(true);
    expect(written).to.include('one').and.include('two');
    written = '';
    screen.draw(['three']);
    expect(written).to.include('\u001b[2A').and.include('three');
    written = '';
    screen.close(false);
    screen.log('after');
    expect(written).to.equal('\u001b[1A\r\u001b[0J\u001b[?25hafter\n');
  });
});

describe('run/view: numbers and lines', () => {
  it('writes numbers as people do', () => {
    expect([0, 0.4, 9.96, 201.4, 1234].map(rateText)).to.deep.equal(['0/s', '0.4/s', '10.0/s', '201/s', '1.2k/s']);
    expect([null, 0.5, 12.34, 123.4, 1500].map(latencyText)).to.deep.equal(['–', '0.50 ms', '12.3 ms', '123 ms', '1.5 s']);
    expect([null, 0, 0.001, 0.9, 0.99999, 1].map(shareText)).to.deep.equal(['–', '0 %', '0.1 %', '90.0 %', '99.9 %', '100 %']);
    expect([7, 723, 3723].map(clockText)).to.deep.equal(['0:07', '12:03', '1:02:03']);
    expect([0, 0.5, 1, 1 / 16].map((share) => bar(share, 2))).to.deep.equal(['', '█', '██', '▏']);
  });

  it('cuts by columns, not by colour codes', () => {
    expect(truncate('\u001b[31mabcdef\u001b[39m', 4)).to.equal('\u001b[31mabc…\u001b[0m');
    expect(truncate('abc', 3)).to.equal('abc');
    expect(shortBackend('shop/payment-v1:8080', 'shop/payment:8080')).to.equal('payment-v1');
    expect(shortBackend('other/payment:9090', 'shop/payment:8080')).to.equal('other/payment:9090');
  });

  it('lets no output of a container drive the terminal', () => {
    expect(harmless('\u001b[31mred\u001b[0m \u001b[2J\u001b[1;1H\u001b]0;title\u0007\u0007x\ty')).to.equal('\u001b[31mred\u001b[0m x  y');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const left = harmless(text).replace(/\u001b\[[0-9;]*m/g, '');
        expect(left).to.not.match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/);
      }),
    );
  });

  it('prefixes lines and shortens the JSON of sidecars', () => {
    const json = '{"time":"2026-11-21T12:00:00Z","level":"warn","msg":"peer refused","component":"tls","reason":"expired","n":2}';
    expect(logLine('payment-1', 'sidecar', json, 0, PLAIN, false)).to.equal(
      'payment-1 sidecar | warn tls: peer refused reason=expired n=2',
    );
    expect(logLine('payment-1', 'sidecar', '{not json', 0, PLAIN, false)).to.equal('payment-1 sidecar | {not json');
    expect(logLine('payment-1', 'app', json, 0, PLAIN, false)).to.include('"level":"warn"');
    expect(logLine('payment-1', 'app', '\u001b[31mred', 1, COLOURED, true)).to.include('\u001b[33mpayment-1\u001b[39m');
  });
});

describe('run: report', () => {
  it('sums up per caller, Service, method and backend', () => {
    const report = makeReport({ directory: 'd', seconds: 20.04, calls: canary().totals(), routes: state().routes, pods: [], problems: [] });
    expect(report).to.deep.include({ seconds: 20, requests: 140, ok: 99, mtls: true });
    expect(report.calls.map(({ backend, requests, statuses, mtls }) => ({ backend, requests, statuses, mtls }))).to.deep.equal([
      { backend: 'shop/payment-v1:8080', requests: 90, statuses: { OK: 90 }, mtls: true },
      { backend: 'shop/payment-v2:8080', requests: 10, statuses: { OK: 9, UNAVAILABLE: 1 }, mtls: true },
      { backend: null, requests: 40, statuses: { UNAVAILABLE: 40 }, mtls: null },
    ]);
    expect(report.calls[0]).to.deep.include({ route: 'shop/payment', rule: '1', p50Ms: 1, p99Ms: 4, slowTrace: null, failedTrace: null });
    const { code: _, ...failed } = FAILED;
    const { calls } = makeReport({ directory: 'd', seconds: 1, calls: traced().totals(), routes: [], pods: [], problems: [] });
    expect(calls.map(({ slowTrace, failedTrace }) => ({ slowTrace, failedTrace }))).to.deep.equal([
      { slowTrace: SLOW, failedTrace: null },
      { slowTrace: null, failedTrace: { ...failed, status: 'UNAVAILABLE' } },
    ]);
  });
});
