// Series: one per key, bounded in number, dropped when idle, made of what exists and not of what clients ask for.
import { expect } from 'chai';
import type { CallSeries } from '#sidecar/forward/series.ts';
import type { RequestSeries, SeriesKey } from '#sidecar/observe/counters/request-series.ts';
import { RequestStats } from '#sidecar/observe/counters/request-stats.ts';
import { endedCall } from '../../../support/ended-call.ts';

const KEY: SeriesKey = {
  direction: 'outbound',
  caller: 'shop/checkout',
  service: 'shop/payment:80',
  route: 'GRPCRoute/shop/canary',
  rule: '0',
  method: 'payment.PaymentService/Charge',
  backend: 'shop/payment-v1:80',
  mtls: true,
  grpc: true,
};

const UNIMPLEMENTED = 12;

const of = (stats: RequestStats, part: Partial<SeriesKey> = {}): RequestSeries =>
  stats.seriesFor({ ...KEY, ...part }, true) as RequestSeries;
const methods = (stats: RequestStats): string[] => [...stats.all()].map(({ key }) => key.method);

/** A call of a method that no route names, from its beginning to its end, as an exchange does it. */
function call(stats: RequestStats, method: string, end: Parameters<typeof endedCall>[0] = {}, part: Partial<SeriesKey> = {}): CallSeries {
  const series = stats.seriesFor({ ...KEY, ...part, method }, false);
  series.inFlight++;
  series.inFlight--;
  series.ended(endedCall(end));
  return series;
}

describe('request series', () => {
  it('are the same object for the same key and another for any other part', () => {
    const stats = new RequestStats();
    const series = of(stats);
    expect(of(stats)).to.equal(series);
    const others: Partial<SeriesKey>[] = [
      { direction: 'inbound' },
      { caller: 'x' },
      { service: 'x' },
      { route: 'x' },
      { rule: 'x' },
      { method: 'x' },
      { backend: 'x' },
      { mtls: false },
      { grpc: false },
    ];
    const all = others.map((part) => of(stats, part));
    expect(new Set([series, ...all]).size).to.equal(others.length + 1);
    expect(new Set([...stats.all()].map(({ labels }) => labels)).size).to.equal(others.length + 1);
  });

  it('count a status outside 0 to 16 as UNKNOWN, and octets', () => {
    const series = of(new RequestStats());
    for (const status of [0, 16, 17, 4294967295, -1, Number.NaN])
      series.ended(endedCall({ grpcStatus: status, latencyMs: 1, requestBytes: 3, responseBytes: 5 }));
    expect([series.statuses[0], series.statuses[16], series.statuses[2]]).to.deep.equal([1, 1, 4]);
    expect([series.latency.count, series.requestBytes, series.responseBytes]).to.deep.equal([6, 18, 30]);
  });

  describe('of methods that no route names', () => {
    it('begin when an endpoint has answered', () => {
      const stats = new RequestStats();
      const first = stats.seriesFor(KEY, false);
      first.inFlight++;
      expect([...stats.all()].map(({ key, inFlight }) => [key.method, inFlight])).to.deep.equal([['other', 1]]);
      first.inFlight--;
      first.ended(endedCall({ grpcStatus: 5 }));
      expect(first.expired).to.equal(true);
      expect([...stats.all()].map(({ key, statuses }) => [key.method, statuses[5]])).to.deep.equal([[KEY.method, 1]]);
      expect(stats.seriesFor(KEY, false)).to.equal([...stats.all()][0]);
      expect(call(stats, KEY.method, {}, { backend: 'shop/payment-v2:80' }).expired).to.equal(false);
    });

    it('begin with a stream that the endpoint has sent messages on, whichever side ends it', () => {
      const stats = new RequestStats();
      call(stats, 'x/Watch', { grpcStatus: 1, cancelled: true, responseBytes: 17 });
      call(stats, 'x/Poll', { grpcStatus: 4, error: { label: 'deadline', http: 504, grpc: 4 } as never, responseBytes: 17 });
      call(stats, 'x/Page', { grpcStatus: 1, cancelled: true, httpStatus: 404, responseBytes: 17 });
      expect(methods(stats)).to.have.members(['x/Watch', 'x/Poll', 'other']);
    });

    it('never begin for what clients make up', () => {
      const stats = new RequestStats();
      for (let i = 0; i < 1000; i++) {
        expect(call(stats, `x/unimplemented${i}`, { grpcStatus: UNIMPLEMENTED }).expired).to.equal(false);
        call(stats, `x/refused${i}`, { grpcStatus: 14, httpStatus: 0 });
        call(stats, `x/deadline${i}`, { grpcStatus: 4, error: { label: 'deadline', http: 504, grpc: 4 } as never });
        call(stats, `x/cancelled${i}`, { grpcStatus: 1, cancelled: true });
        call(stats, `x/noroute${i}`, { grpcStatus: UNIMPLEMENTED }, { backend: '' });
        call(stats, `path${i}`, {}, { grpc: false });
      }
      expect(methods(stats)).to.deep.equal(['other', 'other', 'other']);
      expect([...stats.all()].map(({ latency }) => latency.count)).to.deep.equal([4000, 1000, 1000]);
    });

    it('are 200 per Service where an endpoint answers whatever it is asked, then "other"', () => {
      const stats = new RequestStats();
      for (let i = 0; i < 1000; i++) call(stats, `x/${i}`);
      expect(methods(stats)).to.have.members([...Array.from({ length: 200 }, (_, i) => `x/${i}`), 'other']);
      expect([...stats.all()].find(({ key }) => key.method === 'other')!.latency.count).to.equal(800);
      call(stats, 'x/1000', {}, { service: 'shop/cart:80' });
      expect(methods(stats)).to.contain('x/1000');
      expect(of(stats).key.method).to.equal(KEY.method);
    });

    it('lose no call that ends while its method becomes known', () => {
      const stats = new RequestStats();
      const both = [stats.seriesFor(KEY, false), stats.seriesFor(KEY, false)];
      for (const series of both) series.inFlight++;
      for (const series of both) {
        series.inFlight--;
        series.ended(endedCall());
      }
      expect(stats.seriesFor(KEY, false)).to.deep.include({ inFlight: 0, key: KEY });
      expect((stats.seriesFor(KEY, false) as RequestSeries).latency.count).to.equal(2);
    });
  });

  it('are bounded in all; those that are there stay reachable', () => {
    const stats = new RequestStats();
    const first = of(stats, { direction: 'inbound', caller: 'spiffe://a/0' });
    for (let i = 1; i < 5000; i++) of(stats, { direction: 'inbound', caller: `spiffe://a/${i}` });
    expect([...stats.all()]).to.have.length(2001);
    expect(of(stats, { direction: 'inbound', caller: 'spiffe://a/0' })).to.equal(first);
    const late = of(stats, { direction: 'inbound', caller: 'spiffe://a/4999' }).key;
    expect([late.caller, late.method]).to.deep.equal(['other', 'other']);
  });

  describe('that are idle for half an hour', () => {
    const minutes = (n: number): number => n * 60_000;

    it('go, make room for new methods, and stay while a call is under way', () => {
      const stats = new RequestStats();
      for (let i = 0; i < 200; i++) call(stats, `x/${i}`);
      const [idle, busy, waiting] = [0, 1, 2].map((i) => stats.seriesFor({ ...KEY, method: `x/${i}` }, false) as RequestSeries);
      waiting.inFlight++;
      stats.expire(minutes(1));
      busy.ended(endedCall());
      stats.expire(minutes(20));
      stats.expire(minutes(40));
      expect([idle.expired, busy.expired, waiting.expired]).to.deep.equal([true, false, false]);
      expect([...stats.all()]).to.deep.equal([busy, waiting]);
      call(stats, 'x/new');
      expect(methods(stats)).to.contain('x/new');
      waiting.inFlight--;
      stats.expire(minutes(100));
      expect(waiting.expired).to.equal(true);
    });

    it('leave what they counted in the sums that others keep alive', () => {
      const stats = new RequestStats();
      of(stats, { method: 'x/idle' }).ended(endedCall({ latencyMs: 3, requestBytes: 10, responseBytes: 20 }));
      const busy = of(stats, { method: 'x/busy' });
      const [duration] = stats.durationRollups();
      const [service] = stats.serviceRollups();
      const sums = (): number[] => [duration.latency().count, duration.latency().sumMs, service.requestBytes(), service.responseBytes()];
      for (let minute = 0; minute <= 60; minute++) {
        busy.ended(endedCall({ latencyMs: 1 }));
        stats.expire(minutes(minute));
      }
      expect(methods(stats)).to.deep.equal(['x/busy']);
      expect(sums()).to.deep.equal([62, 64, 10, 20]);
      expect([...stats.handledRollups('outbound')].map(({ labels }) => labels)).to.deep.equal([
        'grpc_type="unknown",grpc_service="x",grpc_method="busy"',
      ]);
      stats.expire(minutes(120));
      expect([...stats.durationRollups(), ...stats.serviceRollups()]).to.have.length(0);
    });
  });
});
