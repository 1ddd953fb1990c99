// One row of a sidecar's counters, for tests.
import type { ReadSeries } from '#local/stats/snapshot.ts';

export function series(count: number, more: Partial<ReadSeries> = {}): ReadSeries {
  return {
    direction: 'outbound',
    caller: 'shop/checkout',
    service: 'shop/payment:8080',
    method: 'payment.PaymentService/Charge',
    backend: 'shop/payment-v1:8080',
    route: 'shop/payment',
    rule: '1',
    mtls: true,
    statuses: { 0: count },
    count,
    latency: { boundsMs: [1, 2], counts: [count, 0] },
    ...more,
  };
}
