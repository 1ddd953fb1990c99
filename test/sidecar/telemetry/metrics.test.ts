// The metrics page, read back by a parser written from the format's description.

import { expect } from 'chai';
import fc from 'fast-check';
import { type Gauges, SidecarMetrics } from '#sidecar/telemetry/metrics.ts';
import type { SeriesKey } from '#sidecar/telemetry/request-series.ts';
import { endedCall } from '#test/support/ended-call.ts';

const GAUGES: Gauges = {
  version: '1.2.3',
  certificateNotAfterMs: 1_800_000_000_000,
  connectedToControlPlane: true,
  rejectedResources: 2,
  downstreamConnections: 3,
  configAgeSeconds: 4,
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

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads a page of text format 0.0.4. @throws on anything that the format does not allow */
function parse(page: string): { samples: Sample[]; types: Map<string, string> } {
  const samples: Sample[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  let family = '';
  if (!page.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of page.slice(0, -1).split('\n')) {
    const header = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (header !== null) {
      if (header[1] === 'TYPE') {
        if (types.has(header[2])) throw new Error(`family twice: ${header[2]}`);
        types.set(header[2], header[3]);
        family = header[2];
      }
      continue;
    }
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/s.exec(line);
    if (match === null) throw new Error(`not a sample: ${line}`);
    const base = match[1].replace(types.get(family) === 'histogram' ? /_(bucket|sum|count)$/ : /$^/, '');
    if (base !== family) throw new Error(`${match[1]} stands under ${family}`);
    const labels: Record<string, string> = {};
    let rest = match[2] ?? '';
    while (rest !== '') {
      const pair = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/.exec(rest);
      if (pair === null || Object.hasOwn(labels, pair[1])) throw new Error(`not labels: ${rest}`);
      labels[pair[1]] = pair[2].replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
      rest = rest.slice(pair[0].length);
    }
    const id = JSON.stringify([match[1], Object.entries(labels).sort()]);
    if (seen.has(id)) throw new Error(`sample twice: ${line}`);
    seen.add(id);
    samples.push({ name: match[1], labels, value: match[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(match[3]) });
  }
  return { samples, types };
}

const named = (samples: readonly Sample[], name: string, labels: Record<string, string> = {}): Sample[] =>
  samples.filter((s) => s.name === name && Object.entries(labels).every(([label, text]) => s.labels[label] === text));

describe('metrics page', () => {
  it('says what was counted, for Weft and under the names of instrumented gRPC programs', () => {
    const metrics = new SidecarMetrics();
    const outbound = metrics.requests.seriesFor(KEY, true);
    for (const ms of [0.4, 3, 40]) outbound.ended(endedCall({ latencyMs: ms }));
    outbound.ended(endedCall({ grpcStatus: 14, latencyMs: 7 }));
    metrics.requests.seriesFor({ ...KEY, backend: 'shop/payment-v2:80' }, true).ended(endedCall());
    metrics.requests.seriesFor({ ...KEY, direction: 'inbound', backend: '' }, true).ended(endedCall({ grpcStatus: 5, latencyMs: 1 }));
    metrics.requests.seriesFor({ ...KEY, method: 'index.html', grpc: false }, true).ended(endedCall());
    metrics.proxyErrors.add('no_route');
    metrics.proxyErrors.add('no_route');
    metrics.retries = 9;
    const { samples } = parse(metrics.render(GAUGES));
    const { direction, caller, service, route, rule, method, backend } = KEY;
    const labels = { direction, caller, service, route, rule, method, backend, mtls: 'true', protocol: 'grpc' };
    expect(named(samples, 'weft_requests_total', labels).map(({ labels: { grpc_code }, value }) => [grpc_code, value])).to.deep.equal([
      ['OK', 3],
      ['Unavailable', 1],
    ]);
    const buckets = named(samples, 'weft_request_duration_seconds_bucket', labels);
    const upTo = Object.fromEntries(buckets.map((sample) => [sample.labels.le, sample.value]));
    expect([upTo['0.001'], upTo['0.005'], upTo['0.01'], upTo['0.05'], upTo['+Inf']]).to.deep.equal([1, 2, 3, 4, 4]);
    expect(named(samples, 'weft_request_duration_seconds_sum', labels)[0].value).to.be.closeTo(0.0504, 1e-9);
    const handled = (name: string): unknown => named(samples, name).map((sample) => [sample.labels, sample.value]);
    const names = { grpc_service: 'payment.PaymentService', grpc_method: 'Charge' };
    expect(handled('grpc_client_handled_total')).to.deep.equal([
      [{ ...names, grpc_code: 'OK' }, 4],
      [{ ...names, grpc_code: 'Unavailable' }, 1],
    ]);
    expect(handled('grpc_server_handled_total')).to.deep.equal([[{ ...names, grpc_code: 'NotFound' }, 1]]);
    expect(named(samples, 'weft_proxy_errors_total', { error: 'no_route' })[0].value).to.equal(2);
    expect(named(samples, 'weft_retries_total')[0].value).to.equal(9);
    expect(named(samples, 'weft_certificate_expiry_timestamp_seconds')[0].value).to.equal(1_800_000_000);
    expect(named(samples, 'weft_build_info')[0].labels).to.deep.equal({ version: '1.2.3' });
  });

  it('can be read whatever callers put into names, without a sample twice', () => {
    const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\n', '"', '\\', '\\n', 'a"b\\c\nd', ''));
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
      fc.property(fc.array(key, { maxLength: 8 }), fc.boolean(), (keys, named) => {
        const metrics = new SidecarMetrics();
        for (const each of keys) metrics.requests.seriesFor(each, named).ended(endedCall());
        const { samples } = parse(metrics.render(GAUGES));
        for (const each of keys) {
          const mine = samples.filter(
            (s) => s.name === 'weft_requests_total' && s.labels.method === each.method && s.labels.caller === each.caller,
          );
          expect(mine).to.not.be.empty;
        }
      }),
      { numRuns: 60 },
    );
  });
});
