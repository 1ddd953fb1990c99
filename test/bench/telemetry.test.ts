// The parts of the telemetry benchmark that could lie: how spans are counted, what "loaded" means, Envoy's tracer,
// ratios, verdicts.
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { envoyConfig } from '../../bench/envoy-config.ts';
import { packagesOf } from '../../bench/loaded.ts';
import { combine, type Measurement } from '../../bench/measure.ts';
import { readOptions } from '../../bench/options.ts';
import { countSpans } from '../../bench/otlp.ts';
import { sumOfSamples } from '../../bench/peers/weft.ts';
import { createSinkServer } from '../../bench/sink.ts';
import { asText } from '../../bench/table.ts';
import { type Evidence, judge } from '../../bench/targets.ts';
import { type TelemetryRow, telemetryTables } from '../../bench/telemetry-table.ts';

/** A length-delimited protobuf field. */
function field(number: number, content: Buffer): Buffer {
  const varint: number[] = [];
  for (let rest = content.length; ; rest = Math.floor(rest / 128)) {
    varint.push(rest < 128 ? rest : (rest % 128) + 128);
    if (rest < 128) break;
  }
  return Buffer.concat([Buffer.from([number * 8 + 2, ...varint]), content]);
}

/**
 * An export request: spans by scope by resource, each span of so many octets; with a resource, a scope and other fields
 * between.
 */
function request(resources: readonly (readonly (readonly number[])[])[]): Buffer {
  const span = (octets: number): Buffer => field(2, field(5, Buffer.alloc(octets, 0x0a)));
  const other = Buffer.from([0x18, 0xff, 0x01, 0x39, 1, 2, 3, 4, 5, 6, 7, 8, 0x45, 1, 2, 3, 4]);
  return Buffer.concat(
    resources.map((scopes) =>
      field(
        1,
        Buffer.concat([
          field(1, Buffer.alloc(70, 0x12)),
          ...scopes.map((spans) => field(2, Buffer.concat([field(1, Buffer.from('scope')), other, ...spans.map(span)]))),
          other,
        ]),
      ),
    ),
  );
}

const measurement = (requestsPerSecond: number, us: number): Measurement => ({
  peer: 'weft',
  scenario: 'mtls',
  shape: { connections: 4, streams: 50 },
  requests: 100,
  sent: 1000,
  requestsPerSecond,
  p50Ms: 1,
  p99Ms: 2,
  errors: 0,
  cpuUs: [us],
  rssMiB: [50],
  anonymousMiB: [10],
});

const row = (peer: string, share: number, more: Partial<TelemetryRow> = {}): TelemetryRow => ({
  peer,
  share,
  result: { ...combine([measurement(100_000, 4)]), peer },
  speed: null,
  cpuMoreUs: null,
  spans: null,
  memory: [],
  ...more,
});

const memory = (idle: number, after: number): TelemetryRow['memory'] => [
  {
    peer: 'weft, traced 100 %',
    scenario: 'mtls',
    program: 'weft (client)',
    idle: { rssMiB: 60, anonymousMiB: idle },
    afterLoad: { rssMiB: 70, anonymousMiB: after },
    growthMiB: [],
  },
];

describe('bench: spans', () => {
  it('are counted in every scope of every resource, whatever stands between', () => {
    expect(countSpans(Buffer.alloc(0))).to.equal(0);
    expect(countSpans(request([[[10, 200, 40_000], []], [[5]]]))).to.equal(4);
    fc.assert(
      fc.property(fc.array(fc.array(fc.array(fc.nat(300), { maxLength: 5 }), { maxLength: 3 }), { maxLength: 3 }), (resources) => {
        expect(countSpans(request(resources))).to.equal(resources.flat(2).length);
      }),
      { numRuns: 50 },
    );
  });

  it('are not counted in anything but an export request', () => {
    const whole = request([[[10, 20]]]);
    expect(countSpans(whole.subarray(0, whole.length - 1))).to.equal(null);
    expect(countSpans(Buffer.from('{"resourceSpans":[]}'))).to.equal(null);
    expect(countSpans(Buffer.alloc(20, 0xff))).to.equal(null);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
        countSpans(Buffer.from(octets));
      }),
      { numRuns: 200 },
    );
  });

  it('are reported by the sink with octets and requests; what is no OTLP is refused', async () => {
    const server = createSinkServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const post = async (path: string, body: Buffer): Promise<number> =>
      (await fetch(`${url}${path}`, { method: 'POST', body: new Uint8Array(body) })).status;
    try {
      const body = request([[[10, 20, 30]]]);
      expect(await post('/v1/traces', body)).to.equal(200);
      expect(await post('/v1/traces', body)).to.equal(200);
      expect(await post('/v1/traces', body.subarray(1))).to.equal(400);
      expect(await post('/other', body)).to.equal(400);
      const octets = 4 * body.length - 1;
      expect(await (await fetch(url)).json()).to.deep.equal({ spans: 6, octets, requests: 4, garbled: 2 });
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it('that were dropped are the sum of all samples of their counter and of no other', () => {
    const page =
      '# HELP a_total x\na_total{reason="queue, full"} 3\na_total{reason="export} 9"} 4\na_total_more 5\na_totals 6\nx_a_total 7\n';
    expect(sumOfSamples(page, 'a_total')).to.equal(7);
    expect(sumOfSamples('a_total 2\n', 'a_total')).to.equal(2);
    expect(sumOfSamples(page, 'b_total')).to.equal(0);
  });
});

describe('bench: the run with telemetry', () => {
  const work = {
    protocol: 'grpc',
    listenPort: 1,
    backendPorts: [9001, 9002],
    methods: ['/bench.A/One'],
    upstreamTls: null,
    downstreamTls: null,
  } as const;

  it('lets Envoy sample the share that is asked for and send batches as large as ours; without tracing it has no tracer', () => {
    expect(JSON.stringify(envoyConfig(work))).to.not.match(/tracing|traces/);
    const text = JSON.stringify(envoyConfig({ ...work, tracing: { share: 0.01, port: 4318, service: 'client' } }));
    expect(text).to.contain('"random_sampling":{"value":1}');
    expect(text).to.contain('"uri":"http://127.0.0.1:4318/v1/traces"');
    expect(text).to.contain('"tracing.opentelemetry.min_flush_spans":512');
    expect(text).to.contain('"port_value":4318');
  });

  it('finds the loaded packages in the sources of a source map', () => {
    const sources = [
      '../node_modules/@opentelemetry/sdk-trace/build/a.js',
      '../node_modules/@opentelemetry/sdk-trace/build/b.js',
      '../node_modules/x/node_modules/@opentelemetry/api/c.js',
      '../node_modules/@other/thing/d.js',
      '../sidecar/@opentelemetry.ts',
    ];
    expect(packagesOf(sources, '@opentelemetry')).to.deep.equal(['@opentelemetry/api', '@opentelemetry/sdk-trace']);
  });

  it('has its own defaults, and options win over them', () => {
    const known = { peers: ['weft', 'envoy'], shapes: ['4,50', '1,1'], scenarios: ['plain', 'mtls', 'pair'] };
    const defaults = readOptions(['--telemetry'], known);
    expect(defaults).to.deep.include({ telemetry: true, shapes: ['4,50'], scenarios: ['mtls', 'pair'], rounds: 5 });
    const asked = readOptions(['--telemetry', '--shape', '1,1', '--scenario', 'plain', '--rounds', '2'], known);
    expect(asked).to.deep.include({ shapes: ['1,1'], scenarios: ['plain'], rounds: 2 });
  });
});

describe('bench: telemetry figures', () => {
  const spans = { requests: 1000, expected: 1000, received: 990, octets: 495_000, dropped: 10, sinkCpuUs: 2000 };
  const good: Evidence = {
    metrics: { ns: 100, withExemplarNs: 300 },
    rows: [
      row('weft', 0, { memory: memory(20, 30) }),
      row('weft', 0.01, { speed: 0.97 }),
      row('weft', 1, { speed: 0.8, cpuMoreUs: 3, spans, memory: memory(25, 35.7) }),
      row('envoy', 1, { result: measurement(33_333, 30) }),
    ],
    loadedOff: [],
    loadedOn: ['@opentelemetry/api'],
  };
  const verdicts = (evidence: Evidence): string[] =>
    judge(evidence)
      .rows.slice(1)
      .map(([verdict]) => verdict);

  it('meet the bounds when they equal them', () => {
    expect(verdicts(good))
      .to.have.length(8)
      .and.to.satisfy((all: string[]) => all.every((verdict) => verdict === 'met'));
  });

  it('fail a bound when they are beyond it, each by itself', () => {
    const replace = (peer: string, share: number, more: Partial<TelemetryRow>): Evidence => ({
      ...good,
      rows: good.rows.map((each) => (each.peer === peer && each.share === share ? { ...each, ...more } : each)),
    });
    const cases: [number, Evidence][] = [
      [0, { ...good, metrics: { ns: 301, withExemplarNs: 300 } }],
      [0, { ...good, metrics: { ns: 1, withExemplarNs: 301 } }],
      [1, replace('weft', 0.01, { speed: 0.969 })],
      [2, replace('weft', 1, { cpuMoreUs: 3.01 })],
      [3, replace('envoy', 1, { result: measurement(33_400, 30) })],
      [4, replace('weft', 1, { spans: { ...spans, dropped: 9 } })],
      [5, replace('weft', 1, { memory: memory(26, 35.7) })],
      [6, replace('weft', 1, { memory: memory(25, 35.8) })],
      [7, { ...good, loadedOff: ['@opentelemetry/api'] }],
      [7, { ...good, loadedOn: [] }],
    ];
    for (const [at, evidence] of cases) {
      const expected = verdicts(good).map((verdict, i) => (i === at ? 'NOT MET' : verdict));
      expect(verdicts(evidence), `${at}`).to.deep.equal(expected);
    }
  });

  it('of all calls traced do not meet the bound by dropping spans', () => {
    const few = { ...spans, received: 989, dropped: 11 };
    const rows = good.rows.map((each) => (each.spans === null ? each : { ...each, spans: few }));
    expect(verdicts({ ...good, rows })).to.deep.equal(['met', 'met', 'NOT MET', 'NOT MET', 'met', 'met', 'met', 'met']);
  });

  it('that were not measured neither meet nor fail', () => {
    const nothing: Evidence = { metrics: null, rows: [], loadedOff: null, loadedOn: null };
    expect(new Set(verdicts(nothing))).to.deep.equal(new Set(['not measured']));
    expect(asText([judge(nothing)])).to.contain('not measured');
  });

  it('are shown beside the proxy without tracing, with what became of the spans', () => {
    const text = asText(telemetryTables('mtls', good.rows));
    expect(text).to.match(/weft +100 % +100,000 +0\.800 +4\.00 +\+3\.00 +40 %/);
    expect(text).to.match(/weft +100 % +1,000 +990 +99\.0 +10 +500 +2\.00/);
  });
});
