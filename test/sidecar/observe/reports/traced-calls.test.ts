// What a sidecar tells the control plane of its calls: slowest and last failed of each Service, at most every ten
// seconds.
import { expect } from 'chai';
import type { TracedCall } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { EndedCall } from '#sidecar/forward/ended-call.ts';
import { NO_ENDPOINTS } from '#sidecar/forward/errors.ts';
import { REPORT_EVERY_MS, reportTracedCalls, TracedCalls } from '#sidecar/observe/reports/traced-calls.ts';
import { ManualTimers } from '../../../support/manual-timers.ts';

const NOW_MS = 1_700_000_000_000;

interface Call {
  service?: string;
  ms?: number;
  status?: number;
  recorded?: boolean;
  traceId?: string;
  direction?: 'outbound' | 'inbound';
  unrouted?: boolean;
}

function ended({ service = 'shop/payment:80', ms = 5, status = 0, recorded = true, traceId = 'a'.repeat(32), ...rest }: Call): EndedCall {
  const route = rest.unrouted ? null : { kind: 'GRPCRoute', namespace: 'shop', name: 'payment' };
  return {
    origin: { direction: rest.direction ?? 'outbound' },
    plan: { port: { service: { key: service } }, method: 'p.P/Charge', rule: { route } },
    startMs: 100,
    endMs: 100 + ms,
    grpcStatus: status,
    error: status === 14 ? NO_ENDPOINTS : null,
    trace: { recorded, traceId },
  } as unknown as EndedCall;
}

describe('sidecar/observe: traced calls', () => {
  it('notes of each Service the slowest and the last failed call since the last time', () => {
    const calls = new TracedCalls(() => NOW_MS + 0.6);
    expect(calls.take()).to.equal(null);
    const [slow, failed] = ['b'.repeat(32), 'c'.repeat(32)];
    calls.record(ended({}));
    calls.record(ended({ ms: 41.5, traceId: slow }));
    calls.record(ended({ ms: 2, status: 5 }));
    calls.record(ended({ ms: 1, status: 14, traceId: failed, unrouted: true }));
    calls.record(ended({ service: 'shop/ledger:80' }));
    const plain = calls.take()!.map(({ $typeName: _, ...call }) => call);
    const common = { service: 'shop/payment:80', method: 'p.P/Charge', endedMs: BigInt(NOW_MS + 1) };
    expect(plain.slice(0, 2)).to.deep.equal([
      { ...common, traceId: slow, route: 'GRPCRoute/shop/payment', grpcStatus: 0, durationMs: 41.5, error: '', kind: 'slow' },
      { ...common, traceId: failed, route: '', grpcStatus: 14, durationMs: 1, error: 'no_endpoints', kind: 'failed' },
    ]);
    expect(plain.map(({ service, kind }) => [service, kind]).slice(2)).to.deep.equal([['shop/ledger:80', 'slow']]);
    expect(calls.take()).to.equal(null);
    calls.record(ended({ ms: 1 }));
    expect(calls.take()).to.have.length(1);
  });

  it('leaves out calls that are not recorded, that others made, and Services beyond the bound', () => {
    const calls = new TracedCalls(() => NOW_MS);
    calls.record(ended({ recorded: false }));
    calls.record(ended({ direction: 'inbound' }));
    calls.record({ ...ended({}), trace: null });
    calls.record({ ...ended({}), plan: null });
    expect(calls.take()).to.equal(null);
    for (let i = 0; i < 1000; i++) calls.record(ended({ service: `shop/s${i}:80`, status: 14 }));
    expect(calls.take()).to.have.length(64);
  });

  it('reports a path without its query, and not more than fits', () => {
    const calls = new TracedCalls(() => NOW_MS);
    const path = (method: string) => {
      const call = ended({});
      calls.record({ ...call, plan: { ...call.plan!, method } });
      return calls.take()![0].method;
    };
    expect(path('orders/7?token=secret')).to.equal('orders/7');
    expect(path(`${'x'.repeat(60_000)}?y`)).to.equal('x'.repeat(200));
  });

  it('reports now and then, to a control plane that is there', () => {
    const timers = new ManualTimers(NOW_MS);
    const calls = new TracedCalls(() => timers.now());
    const reports: TracedCall[][] = [];
    const receiver = { connected: false, reportCalls: (report: TracedCall[]) => void reports.push(report) };
    const end = reportTracedCalls(calls, receiver, timers);
    calls.record(ended({}));
    timers.advance(REPORT_EVERY_MS);
    expect(reports, 'it is kept until somebody hears it').to.have.length(0);
    receiver.connected = true;
    timers.advance(3 * REPORT_EVERY_MS);
    expect(reports.map((report) => report.length)).to.deep.equal([1]);
    calls.record(ended({}));
    timers.advance(REPORT_EVERY_MS - 1);
    expect(reports).to.have.length(1);
    timers.advance(1);
    expect(reports).to.have.length(2);
    end();
    expect(timers.nextInMs()).to.equal(null);
  });
});
