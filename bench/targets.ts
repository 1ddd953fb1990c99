// What telemetry may cost, and whether it does: each aim beside its figure. Pure.
import type { MetricsCost } from './metrics-cost.ts';
import type { Table } from './table.ts';
import { sum, type TelemetryRow } from './telemetry-table.ts';

/** Against the same proxy without tracing, or against Envoy with as much of it. */
const METRICS_NS = 300;
const SPEED_AT_ONE_PERCENT = 0.97;
const CPU_US_AT_ALL = 3;
const TIMES_ENVOY_AT_ALL = 3;
const MEMORY_MB = 6;
/** Spans that are dropped cost nearly nothing: figures at 100 % count where at least this share of them arrived. */
const MUST_ARRIVE = 0.99;

export interface Evidence {
  readonly metrics: MetricsCost | null;
  /** Of one scenario and shape. */
  readonly rows: readonly TelemetryRow[];
  /** Packages of the SDK in a sidecar without tracing, and with; null: not looked at. */
  readonly loadedOff: readonly string[] | null;
  readonly loadedOn: readonly string[] | null;
}

interface Verdict {
  readonly text: string;
  readonly aim: string;
  /** '' when it was not measured. */
  readonly is: string;
  readonly met: boolean;
}

/** All aims; those that were not measured say so. */
export function judge(evidence: Evidence): Table {
  const verdicts = [...judgeSpeed(evidence), ...judgeMemory(evidence)];
  return {
    title: 'Aims',
    rows: [
      ['', 'aim', 'bound', 'is'],
      ...verdicts.map(({ text, aim, is, met }) => [is === '' ? 'not measured' : met ? 'met' : 'NOT MET', text, aim, is]),
    ],
  };
}

function find(rows: readonly TelemetryRow[], peer: string, share: number): TelemetryRow | undefined {
  return rows.find((row) => row.peer === peer && row.share === share);
}

function judgeSpeed({ metrics, rows }: Evidence): Verdict[] {
  const some = find(rows, 'weft', 0.01);
  const all = find(rows, 'weft', 1);
  const envoy = find(rows, 'envoy', 1);
  const worstNs = metrics === null ? null : Math.max(metrics.ns, metrics.withExemplarNs);
  const times = all === undefined || envoy === undefined ? null : all.result.requestsPerSecond / envoy.result.requestsPerSecond;
  return [
    verdict('metrics, ns a request', worstNs, 0, '<=', METRICS_NS),
    verdict('tracing 1 %: requests/s of those without', some?.speed ?? null, 3, '>=', SPEED_AT_ONE_PERCENT),
    ifArrived(all, verdict('tracing 100 %: CPU µs more a request', all?.cpuMoreUs ?? null, 2, '<=', CPU_US_AT_ALL)),
    ifArrived(all, verdict('tracing 100 %: times Envoy with as much', times, 2, '>=', TIMES_ENVOY_AT_ALL)),
    verdict('tracing 100 %: spans neither received nor counted as dropped', unaccounted(all), 0, '<=', 0),
  ];
}

/** An aim that is not met by dropping spans. */
function ifArrived(row: TelemetryRow | undefined, verdict: Verdict): Verdict {
  const spans = row?.spans ?? null;
  const share = spans === null ? 0 : spans.received / spans.expected;
  if (verdict.is === '' || share >= MUST_ARRIVE) return verdict;
  return { ...verdict, is: `${verdict.is}, but only ${(100 * share).toFixed(1)} % of the spans arrived`, met: false };
}

/** Spans that are not accounted for; null when the proxy does not report what it dropped. */
function unaccounted(row: TelemetryRow | undefined): number | null {
  if (row === undefined || row.spans === null || row.spans.dropped === null) return null;
  return Math.abs(row.spans.expected - row.spans.received - row.spans.dropped);
}

function judgeMemory({ rows, loadedOff, loadedOn }: Evidence): Verdict[] {
  const off = find(rows, 'weft', 0);
  const on = find(rows, 'weft', 1);
  const more = (when: 'idle' | 'afterLoad'): number | null => {
    if (off === undefined || on === undefined) return null;
    const [before, after] = [off, on].map(({ memory }) => sum(memory.map((row) => row[when].anonymousMiB)) / memory.length);
    return ((after - before) * 2 ** 20) / 1e6;
  };
  const loaded: Verdict = {
    text: 'packages of the SDK loaded without tracing',
    aim: 'none, and some with tracing',
    is: loadedOff === null || loadedOn === null ? '' : `${loadedOff.join(' ') || 'none'}; with tracing ${loadedOn.length}`,
    // Where tracing loads none either, the question was put wrongly.
    met: loadedOff?.length === 0 && (loadedOn?.length ?? 0) > 0,
  };
  return [
    verdict('tracing 100 %: MB more of anonymous memory, idle', more('idle'), 1, '<=', MEMORY_MB),
    verdict('tracing 100 %: MB more of anonymous memory, after load', more('afterLoad'), 1, '<=', MEMORY_MB),
    loaded,
  ];
}

function verdict(text: string, value: number | null, digits: number, compare: '<=' | '>=', bound: number): Verdict {
  const met = value !== null && (compare === '<=' ? value <= bound : value >= bound);
  return { text, aim: `${compare === '<=' ? 'at most' : 'at least'} ${bound}`, is: value === null ? '' : value.toFixed(digits), met };
}
