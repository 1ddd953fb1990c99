// The sidecar's metrics page: what it says of calls, what it costs in samples, that it can be read.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { Exposition } from '#core/program/exposition.ts';
import type { CallTrace } from '#sidecar/forward/trace.ts';
import { MAX_LABELS } from '#sidecar/observe/counters/counters.ts';
import { type MetricSources, SidecarMetrics } from '#sidecar/observe/counters/metrics.ts';
import type { SeriesKey } from '#sidecar/observe/counters/request-series.ts';
import { endedCall } from '../../../support/ended-call.ts';
import { named, type Parsed, parseExposition } from '../../../support/exposition.ts';

const SOURCES: MetricSources = {
  version: '1.2.3',
  nowMs: 1_700_000_004_000,
  certificate: { notAfterMs: 1_800_000_000_000 },
  stream: {
    connected: true,
    connects: 2,
    versions: Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => [`service/shop/${name}`, 'v1'])),
    rejected: { 'service/shop/a': 'bad', 'service/shop/b': 'bad' },
    rejections: 3,
    lastResponseMs: 1_700_000_000_000,
  },
  downstreamConnections: 3,
  ejectedEndpoints: new Map([['shop/payment:80', 1]]),
  accessLines: { accessWritten: 5, accessDropped: 6 },
};

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

/** Monotonic 0 is this Unix time. */
const BEGAN_MS = 1_700_000_000_000;

function pageOf(metrics: SidecarMetrics, format: 'text' | 'openmetrics' = 'text'): Parsed {
  const out = new Exposition(format);
  metrics.write(out, SOURCES);
  return parseExposition(out.toString(), format);
}

const newMetrics = (): SidecarMetrics => new SidecarMetrics((monotonicMs) => BEGAN_MS + monotonicMs);

const traced = (traceId: string, recorded = true): CallTrace => ({ traceId, recorded, outgoing: (varying) => varying, retried: () => {} });

describe('metrics page', () => {
  it('says what was counted, for Weft and under the names of instrumented gRPC programs', () => {
    const metrics = newMetrics();
    const outbound = metrics.requests.seriesFor(KEY, true);
    for (const ms of [0.4, 3, 40]) outbound.ended(endedCall({ latencyMs: ms, requestBytes: 10, responseBytes: 100 }));
    outbound.ended(endedCall({ grpcStatus: 14, latencyMs: 7 }));
    outbound.inFlight = 5;
    metrics.requests.seriesFor({ ...KEY, backend: 'shop/payment-v2:80' }, true).ended(endedCall({ requestBytes: 1 }));
    metrics.requests.seriesFor({ ...KEY, direction: 'inbound', backend: '' }, true).ended(endedCall({ grpcStatus: 5 }));
    metrics.requests.seriesFor({ ...KEY, method: 'other', grpc: false }, true).ended(endedCall({ latencyMs: 2 }));
    const { samples } = pageOf(metrics);
    const { direction, caller, service, route, rule, method, backend } = KEY;
    const labels = { direction, caller, service, route, rule, method, backend, mtls: 'true', protocol: 'grpc' };
    expect(named(samples, 'weft_requests_total', labels).map(({ labels: { grpc_code }, value }) => [grpc_code, value])).to.deep.equal([
      ['OK', 3],
      ['Unavailable', 1],
    ]);
    const summed = { direction, service, route, rule, backend };
    const buckets = named(samples, 'weft_request_duration_seconds_bucket', summed);
    expect(buckets.map((sample) => [sample.labels.le, sample.value])).to.deep.equal([
      ['0.001', 1],
      ['0.005', 3],
      ['0.01', 4],
      ['0.025', 4],
      ['0.1', 5],
      ['0.25', 5],
      ['1.0', 5],
      ['5.0', 5],
      ['+Inf', 5],
    ]);
    const [sum] = named(samples, 'weft_request_duration_seconds_sum', summed);
    expect(sum.labels).to.deep.equal(summed);
    expect(sum.value).to.be.closeTo(0.0524, 1e-9);
    const ofService = (name: string): unknown => named(samples, name, { direction }).map((sample) => [sample.labels, sample.value]);
    expect(ofService('weft_requests_in_flight')).to.deep.equal([[{ direction, service }, 5]]);
    expect(ofService('weft_request_bytes_total')).to.deep.equal([[{ direction, service }, 31]]);
    expect(ofService('weft_response_bytes_total')).to.deep.equal([[{ direction, service }, 300]]);
    const handled = (name: string): unknown => named(samples, name).map((sample) => [sample.labels, sample.value]);
    const names = { grpc_type: 'unknown', grpc_service: 'payment.PaymentService', grpc_method: 'Charge' };
    expect(handled('grpc_client_handled_total')).to.deep.equal([
      [{ ...names, grpc_code: 'OK' }, 4],
      [{ ...names, grpc_code: 'Unavailable' }, 1],
    ]);
    expect(handled('grpc_server_handled_total')).to.deep.equal([[{ ...names, grpc_code: 'NotFound' }, 1]]);
  });

  it('says what happened beside calls', () => {
    const metrics = newMetrics();
    metrics.proxyErrors.add('no_route');
    metrics.proxyErrors.add('no_route');
    metrics.retries.add(9);
    metrics.streamResets.add('client', 'CANCEL');
    metrics.streamResets.add('endpoint', 'connection');
    metrics.ejections.add({ backend: 'shop/payment:80', reason: 'failures' });
    metrics.detections.add({ direction: 'inbound', outcome: 'tls' });
    metrics.spansDropped.add('queue_full', 4);
    metrics.tcp.opened('outbound', 'shop/db:5432')(10, 20);
    metrics.tcp.opened('outbound', 'shop/db:5432');
    const { samples } = pageOf(metrics);
    const values = (name: string): unknown => named(samples, name).map((sample) => [...Object.values(sample.labels), sample.value]);
    expect(values('weft_proxy_errors_total')).to.deep.equal([['no_route', 2]]);
    expect(values('weft_retries_total')).to.deep.equal([[9]]);
    expect(values('weft_stream_resets_total')).to.deep.equal([
      ['client', 'CANCEL', 1],
      ['endpoint', 'connection', 1],
    ]);
    expect(values('weft_endpoint_ejections_total')).to.deep.equal([['shop/payment:80', 'failures', 1]]);
    expect(values('weft_endpoints_ejected')).to.deep.equal([['shop/payment:80', 1]]);
    expect(values('weft_protocol_detections_total')).to.deep.equal([['inbound', 'tls', 1]]);
    expect(values('weft_spans_dropped_total')).to.deep.equal([['queue_full', 4]]);
    expect(values('weft_tcp_connections_total')).to.deep.equal([['outbound', 'shop/db:5432', 2]]);
    expect(values('weft_tcp_connections_open')).to.deep.equal([['outbound', 'shop/db:5432', 1]]);
    expect(values('weft_tcp_sent_bytes_total')).to.deep.equal([['outbound', 'shop/db:5432', 10]]);
    expect(values('weft_certificate_expiry_timestamp_seconds')).to.deep.equal([[1_800_000_000]]);
    expect(values('weft_config_last_applied_timestamp_seconds')).to.deep.equal([[1_700_000_000]]);
    expect(values('weft_access_log_lines_total')).to.deep.equal([[5]]);
    expect(values('weft_access_log_dropped_total')).to.deep.equal([[6]]);
    expect(values('weft_build_info')).to.deep.equal([['sidecar', '1.2.3', 1]]);
    expect(named(samples, 'process_resident_memory_bytes')[0].value).to.be.above(1e6);
  });

  it('keeps a bounded number of reasons, whatever peers give as one', () => {
    const metrics = newMetrics();
    for (let i = 0; i < 1000; i++) metrics.downstreamCloses.add(`reason ${i}`);
    metrics.downstreamCloses.add('reason 0');
    const closes = named(pageOf(metrics).samples, 'weft_downstream_closes_total');
    expect(closes).to.have.length(MAX_LABELS + 1);
    expect(closes[0].value).to.equal(2);
    expect(closes.find(({ labels }) => labels.reason === 'other')!.value).to.equal(1000 - MAX_LABELS);
  });

  it('shows the traces behind buckets and failures, of recorded calls and where OpenMetrics is asked for', () => {
    const metrics = newMetrics();
    const series = metrics.requests.seriesFor(KEY, true);
    const ids = ['a', 'b', 'c', 'd', 'e'].map((digit) => digit.repeat(32));
    series.ended(endedCall({ latencyMs: 3, endMs: 10_003, startMs: 10_000, trace: traced(ids[0]) }));
    series.ended(endedCall({ startMs: 20_000, endMs: 20_004, trace: traced(ids[1]) }));
    series.ended(endedCall({ startMs: 30_000, endMs: 30_002, trace: traced(ids[2], false) }));
    series.ended(endedCall({ startMs: 40_000, endMs: 40_100, grpcStatus: 14, trace: traced(ids[3]) }));
    metrics.requests.seriesFor({ ...KEY, method: 'x/y' }, true).ended(endedCall({ startMs: 50_000, endMs: 50_200, trace: traced(ids[4]) }));
    const { samples } = pageOf(metrics, 'openmetrics');
    const buckets = named(samples, 'weft_request_duration_seconds_bucket').filter(({ exemplar }) => exemplar !== null);
    expect(buckets.map(({ labels, exemplar }) => [labels.le, exemplar])).to.deep.equal([
      ['0.005', { labels: { trace_id: ids[1] }, value: 0.004, atSeconds: 1_700_000_020.004 }],
      ['0.1', { labels: { trace_id: ids[3] }, value: 0.1, atSeconds: 1_700_000_040.1 }],
      ['0.25', { labels: { trace_id: ids[4] }, value: 0.2, atSeconds: 1_700_000_050.2 }],
    ]);
    for (const name of ['weft_requests_total', 'grpc_client_handled_total']) {
      const counted = named(samples, name).filter(({ exemplar }) => exemplar !== null);
      expect(counted.map(({ labels, exemplar }) => [labels.grpc_code, exemplar!.labels.trace_id])).to.deep.equal([['Unavailable', ids[3]]]);
    }
    expect(pageOf(metrics).samples.every(({ exemplar }) => exemplar === null)).to.equal(true);
  });

  it('shows the same exemplar at the same time on each page, though clocks part: to Prometheus it is a new one otherwise', () => {
    let partMs = 0;
    const metrics = new SidecarMetrics((monotonicMs) => BEGAN_MS + monotonicMs + partMs);
    metrics.requests.seriesFor(KEY, true).ended(endedCall({ grpcStatus: 14, trace: traced('a'.repeat(32)) }));
    const times = (): (number | undefined)[] => pageOf(metrics, 'openmetrics').samples.map(({ exemplar }) => exemplar?.atSeconds);
    const first = times();
    expect(first.filter((at) => at !== undefined)).to.have.length(3);
    partMs = 0.6;
    expect(times()).to.deep.equal(first);
  });

  it('can be read whatever callers put into names, without a sample twice', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\n', '"', '\\', '\\n', 'a"b\\c\nd', 'other', 'other/other', ''));
    const key = fc.record({
      direction: fc.constantFrom('outbound' as const, 'inbound' as const),
      caller: text,
      service: text,
      route: text,
      rule: text,
      method: text,
      backend: text,
      mtls: fc.boolean(),
      grpc: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(key, { maxLength: 8 }), fc.constantFrom('text' as const, 'openmetrics' as const), (keys, format) => {
        const metrics = newMetrics();
        for (const each of keys) metrics.requests.seriesFor(each, true).ended(endedCall({ trace: traced('f'.repeat(32)) }));
        const { samples } = pageOf(metrics, format);
        for (const each of keys) {
          const mine = named(samples, 'weft_requests_total', { method: each.method, caller: each.caller });
          expect(mine).to.not.be.empty;
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('budget of the metrics page', () => {
  /**
   * A workload that serves one of these Services and calls the others, each by ten methods, with a failure of each now
   * and then.
   */
  function calling(services: number): SidecarMetrics {
    const metrics = newMetrics();
    for (let service = 0; service < services; service++) {
      for (let method = 0; method < 10; method++) {
        const name = `team${service % 5}/service${service}:80`;
        const own = { direction: 'inbound', caller: 'spiffe://cluster.local/ns/shop/sa/caller', route: '', rule: '' } as const;
        const key = {
          ...KEY,
          service: name,
          backend: name,
          method: `team.Service${service}/Method${method}`,
          ...(service === 0 ? own : {}),
        };
        const series = metrics.requests.seriesFor(key, false);
        series.ended(endedCall());
        metrics.requests.seriesFor(key, false).ended(endedCall({ grpcStatus: 14 }));
      }
    }
    metrics.tcp.opened('outbound', 'data/postgres:5432');
    for (const outcome of ['tls', 'http2', 'tcp'])
      for (const direction of ['inbound', 'outbound']) metrics.detections.add({ direction, outcome });
    for (const error of ['no_endpoints', 'deadline', 'connect_failed']) metrics.proxyErrors.add(error);
    metrics.streamResets.add('client', 'CANCEL');
    metrics.streamResets.add('endpoint', 'connection');
    metrics.ejections.add({ backend: 'team1/service1:80', reason: 'failures' });
    metrics.tlsRefusals.add('plaintext');
    metrics.spansDropped.add('queue_full');
    metrics.upstreamCloses.add('goaway');
    metrics.downstreamCloses.add('closed');
    return metrics;
  }

  it('is 600 samples for 10 Services of 10 methods', () => {
    const metrics = calling(10);
    expect(pageOf(metrics).samples.length).to.be.below(600);
  });

  it("stays below Prometheus' sample_limit at the very most: all series of calls, each of a Service of its own and with all statuses", () => {
    const metrics = newMetrics();
    for (let i = 0; i < 4000; i++) {
      const series = metrics.requests.seriesFor({ ...KEY, service: `team/service${i % 2000}:80`, method: `x/${i}` }, true);
      for (let grpcStatus = 0; grpcStatus <= 16; grpcStatus++) series.ended(endedCall({ grpcStatus }));
    }
    const out = new Exposition('text');
    metrics.write(out, SOURCES);
    const samples = out
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#')).length;
    const [, limit] = /sample_limit: (\d+)/.exec(readFileSync('manifests/observability/prometheus-config.yaml', 'utf8'))!;
    expect(samples).to.be.within(100_000, Number(limit));
  });

  it('is 5,000 samples for 50 Services of 10 methods', () => {
    expect(pageOf(calling(50)).samples.length).to.be.below(5000);
  });
});
