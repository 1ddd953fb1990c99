// Series: one per key, bounded in number, dropped when idle.

import { expect } from 'chai';
import { RequestStats, type SeriesKey } from '#sidecar/telemetry/request-series.ts';
import { endedCall } from '#test/support/ended-call.ts';

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

describe('request series', () => {
  it('are the same object for the same key and another for any other part', () => {
    const stats = new RequestStats();
    const series = stats.seriesFor(KEY, true);
    expect(stats.seriesFor({ ...KEY }, true)).to.equal(series);
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
    const all = others.map((part) => stats.seriesFor({ ...KEY, ...part }, true));
    expect(new Set([series, ...all]).size).to.equal(others.length + 1);
    expect(new Set([...stats.all()].map(({ labels }) => labels)).size).to.equal(others.length + 1);
  });

  it('count a status outside 0 to 16 as UNKNOWN', () => {
    const series = new RequestStats().seriesFor(KEY, true);
    for (const status of [0, 16, 17, 4294967295, -1, Number.NaN]) series.ended(endedCall({ grpcStatus: status, latencyMs: 1 }));
    expect([series.statuses[0], series.statuses[16], series.statuses[2]]).to.deep.equal([1, 1, 4]);
    expect(series.latency.count).to.equal(6);
  });

  it('give methods that no route names 200 of their own per Service, then "other"', () => {
    const stats = new RequestStats();
    const methodOf = (i: number, service = KEY.service): string => stats.seriesFor({ ...KEY, service, method: `x/${i}` }, false).key.method;
    for (let i = 0; i < 200; i++) expect(methodOf(i)).to.equal(`x/${i}`);
    for (let i = 200; i < 1000; i++) expect(methodOf(i)).to.equal('other');
    expect(methodOf(7)).to.equal('x/7');
    expect(methodOf(200, 'shop/cart:80')).to.equal('x/200');
    expect(stats.seriesFor(KEY, true).key.method).to.equal(KEY.method);
    expect([...stats.all()]).to.have.length(203);
  });

  it('are bounded in all; those that are there stay reachable', () => {
    const stats = new RequestStats();
    const first = stats.seriesFor({ ...KEY, direction: 'inbound', caller: 'spiffe://a/0' }, true);
    for (let i = 1; i < 5000; i++) stats.seriesFor({ ...KEY, direction: 'inbound', caller: `spiffe://a/${i}` }, true);
    expect([...stats.all()]).to.have.length(2001);
    expect(stats.seriesFor({ ...KEY, direction: 'inbound', caller: 'spiffe://a/0' }, true)).to.equal(first);
    const late = stats.seriesFor({ ...KEY, direction: 'inbound', caller: 'spiffe://a/4999' }, true).key;
    expect([late.caller, late.method]).to.deep.equal(['other', 'other']);
  });

  it('go when idle for half an hour, make room for new methods, and stay while a call is under way', () => {
    const stats = new RequestStats();
    const minutes = (n: number): number => n * 60_000;
    const idle = stats.seriesFor({ ...KEY, method: 'x/idle' }, false);
    for (let i = 1; i < 200; i++) stats.seriesFor({ ...KEY, method: `x/${i}` }, false);
    const busy = stats.seriesFor({ ...KEY, method: 'x/1' }, false);
    const waiting = stats.seriesFor({ ...KEY, method: 'x/2' }, false);
    waiting.inFlight++;
    stats.expire(minutes(1));
    busy.ended(endedCall());
    stats.expire(minutes(20));
    stats.expire(minutes(40));
    expect([idle.expired, busy.expired, waiting.expired]).to.deep.equal([true, false, false]);
    expect([...stats.all()]).to.deep.equal([busy, waiting]);
    expect(stats.seriesFor({ ...KEY, method: 'x/new' }, false).key.method).to.equal('x/new');
    expect(stats.seriesFor({ ...KEY, method: 'x/idle' }, false)).to.not.equal(idle);
    waiting.inFlight--;
    stats.expire(minutes(100));
    expect(waiting.expired).to.equal(true);
  });
});
