// What telemetry costs, as tables: each proxy beside itself without tracing. Pure.
import { type Measurement, shapeName } from './measure.ts';
import type { MemoryRow } from './memory.ts';
import type { MetricsCost } from './metrics-cost.ts';
import type { Scenario } from './peers/peer.ts';
import { memoryTable, SCENARIO_TITLES, type Table } from './table.ts';

/** Spans of all requests that a proxy got, measured or not. */
export interface SpanCounts {
  readonly requests: number;
  /** Requests times the share that is traced, times the proxies on their way. */
  readonly expected: number;
  readonly received: number;
  /** Of the requests that carried them. */
  readonly octets: number;
  /** As the proxy counts; null: it does not tell. */
  readonly dropped: number | null;
  /** CPU time of the server that took them, in µs. */
  readonly sinkCpuUs: number;
}

/** A proxy with so much tracing: medians of its rounds. */
export interface TelemetryRow {
  readonly peer: string;
  /** In [0, 1]; 0: tracing is off. */
  readonly share: number;
  readonly result: Measurement;
  /** Median over the rounds of requests/s by those of the same proxy without tracing; null: it is that one. */
  readonly speed: number | null;
  /** Median over the rounds of CPU µs a request beyond those of the same proxy without tracing, of all programs. */
  readonly cpuMoreUs: number | null;
  /** null: tracing is off. */
  readonly spans: SpanCounts | null;
  readonly memory: readonly MemoryRow[];
}

const HEAD = ['c,m', 'proxy', 'traced', 'requests/s', 'of untraced', 'CPU µs/request', 'more than untraced', 'core busy', 'p99 ms'];
const SPAN_HEAD = [
  'c,m',
  'proxy',
  'traced',
  'spans expected',
  'received',
  '%',
  'dropped, as it counts',
  'octets/span',
  'sink CPU µs/request',
];

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** "off", "1 %". */
export function shareName(share: number): string {
  return share === 0 ? 'off' : `${share * 100} %`;
}

/** Speed and spans of a scenario. */
export function telemetryTables(scenario: Scenario, rows: readonly TelemetryRow[]): Table[] {
  const speed = rows.map(({ peer, share, result, speed, cpuMoreUs }) => [
    shapeName(result.shape),
    result.errors > 0 ? `${peer} INVALID: ${result.errors} errors` : peer,
    shareName(share),
    Math.round(result.requestsPerSecond).toLocaleString('en-US'),
    speed === null ? '' : speed.toFixed(3),
    result.cpuUs.map((us) => us.toFixed(2)).join(' + '),
    cpuMoreUs === null ? '' : `${cpuMoreUs >= 0 ? '+' : ''}${cpuMoreUs.toFixed(2)}`,
    `${Math.round((result.requestsPerSecond * sum(result.cpuUs)) / 1e4)} %`,
    result.p99Ms.toFixed(2),
  ]);
  const spans = rows.flatMap(({ peer, share, result, spans }) =>
    spans === null
      ? []
      : [
          [
            shapeName(result.shape),
            peer,
            shareName(share),
            Math.round(spans.expected).toLocaleString('en-US'),
            spans.received.toLocaleString('en-US'),
            ((100 * spans.received) / spans.expected).toFixed(1),
            spans.dropped === null ? '?' : spans.dropped.toLocaleString('en-US'),
            spans.received === 0 ? '' : (spans.octets / spans.received).toFixed(0),
            (spans.sinkCpuUs / spans.requests).toFixed(2),
          ],
        ],
  );
  const memory = rows.flatMap((row) =>
    row.memory.map((each) => ({ ...each, program: row.memory.length > 1 ? `${each.peer}: ${each.program}` : each.peer })),
  );
  const tables: Table[] = [{ title: SCENARIO_TITLES[scenario], rows: [HEAD, ...speed] }];
  if (spans.length > 0) tables.push({ title: `Spans: ${SCENARIO_TITLES[scenario]}`, rows: [SPAN_HEAD, ...spans] });
  return memory.length > 0 ? [...tables, memoryTable(memory)] : tables;
}

/** The loop of counters. */
export function metricsTable({ ns, withExemplarNs }: MetricsCost): Table {
  return {
    title: 'Metrics, ns a request (a loop of what a call does to its counters, without the call)',
    rows: [
      ['ns', 'call'],
      [ns.toFixed(0), 'trace not recorded'],
      [withExemplarNs.toFixed(0), 'trace recorded: with exemplar'],
    ],
  };
}
