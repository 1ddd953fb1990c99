// What tracing and metrics cost: Weft and Envoy without tracing, with 1 % and with all calls traced, and Weft without
// counting, taking turns.
import { loadedPackages } from './loaded.ts';
import { combine, type Measurement, median, shapeName } from './measure.ts';
import { idleRows, type MemoryRow } from './memory.ts';
import { buildUncounted, measureMetrics } from './metrics-cost.ts';
import type { Peer, Scenario, Work } from './peers/peer.ts';
import { weft, weftOf } from './peers/weft.ts';
import type { Outcome } from './results.ts';
import type { Runner, Session } from './session.ts';
import { type Sink, type SinkCounts, startSink } from './sink.ts';
import type { Table } from './table.ts';
import { type Evidence, judge } from './targets.ts';
import { metricsTable, type SpanCounts, shareName, sum, type TelemetryRow, telemetryTables } from './telemetry-table.ts';
import { LOAD_CORE, PROXY_CORE, SHAPES } from './work.ts';

const SHARES = [0, 0.01, 1];
const UNCOUNTED = 'weft, counting nothing';
const SDK_SCOPE = '@opentelemetry';

/** A proxy with so much tracing, and what its rounds gave. */
interface Contestant {
  readonly peer: string;
  readonly share: number;
  readonly runner: Runner;
  readonly memory: readonly MemoryRow[];
  /** By round; null: that one failed. */
  readonly rounds: (Measurement | null)[];
  spans: SpanCounts | null;
}

/** Measures all scenarios. @param peers of Weft and Envoy those that are installed */
export async function measureTelemetry(
  session: Session,
  peers: readonly Peer[],
  scenarios: readonly Scenario[],
): Promise<Pick<Outcome, 'figures' | 'tables'> & { valid: boolean }> {
  const withWeft = peers.includes(weft);
  const metrics = withWeft ? await attempt(session, 'metrics', () => measureMetrics(PROXY_CORE)) : null;
  const sink = await startSink(LOAD_CORE);
  session.owned.push(sink);
  const contenders = withWeft ? [...peers, ...(await uncounted(session))] : peers;
  const byScenario: { scenario: Scenario; rows: TelemetryRow[] }[] = [];
  for (const scenario of scenarios) {
    const work = session.work(scenario);
    if (work !== null) byScenario.push({ scenario, rows: await measureScenario(session, work, contenders, sink) });
  }
  const loaded = withWeft ? await attempt(session, 'loaded code', () => compareLoaded(session, sink)) : null;
  const evidence: Evidence = { metrics, rows: byScenario[0]?.rows ?? [], loadedOff: loaded?.off ?? null, loadedOn: loaded?.on ?? null };
  const tables = byScenario.flatMap(({ scenario, rows }) => telemetryTables(scenario, rows));
  const rows = byScenario.flatMap((each) => each.rows);
  return {
    figures: { metrics, telemetry: byScenario, loaded },
    tables: [
      ...tables,
      ...(metrics === null ? [] : [metricsTable(metrics)]),
      ...(withWeft ? [aims(evidence, byScenario[0]?.scenario)] : []),
    ],
    valid: rows.length > 0 && rows.every(({ result }) => result.errors === 0),
  };
}

function aims(evidence: Evidence, scenario: Scenario | undefined): Table {
  const { title, rows } = judge(evidence);
  return { title: scenario === undefined ? title : `${title} (${scenario})`, rows };
}

/** A part that may fail without the rest. */
async function attempt<T>(session: Session, what: string, run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    session.failures.push(`${what}: ${(error as Error).message}`);
    return null;
  }
}

async function uncounted(session: Session): Promise<Peer[]> {
  const program = await attempt(session, UNCOUNTED, buildUncounted);
  return program === null ? [] : [weftOf(UNCOUNTED, { program })];
}

async function measureScenario(session: Session, work: Work, peers: readonly Peer[], sink: Sink): Promise<TelemetryRow[]> {
  const { options } = session.setup;
  const all: Contestant[] = [];
  for (const peer of peers) {
    for (const share of peer.name === UNCOUNTED ? [0] : SHARES) {
      const traced = share === 0 ? work : { ...work, tracing: { share, port: sink.port } };
      const runner = await session.start(peer, traced, `${peer.name}, traced ${shareName(share)}`);
      if (runner !== null) all.push({ peer: peer.name, share, runner, memory: [], rounds: [], spans: null });
    }
  }
  const memory = await idleRows(all.map(({ runner }) => runner));
  const contestants = all.map((each) => ({ ...each, memory: memory.filter(({ peer }) => peer === each.runner.peer) }));
  const rows: TelemetryRow[] = [];
  for (const shape of SHAPES.filter((each) => options.shapes.includes(shapeName(each)))) {
    const fresh = contestants.map((each): Contestant => ({ ...each, rounds: [] }));
    for (let round = 0; round < options.rounds; round++) {
      // Back and forth, so that what slowly changes on the machine meets all alike.
      for (const one of round % 2 === 0 ? fresh : fresh.toReversed()) await measureOnce(session, one, shape, round, sink);
    }
    rows.push(...fresh.flatMap((each) => rowOf(each, fresh)));
  }
  await session.stopProxies();
  return rows;
}

async function measureOnce(session: Session, one: Contestant, shape: Measurement['shape'], round: number, sink: Sink): Promise<void> {
  const { runner, share } = one;
  const { droppedSpans } = runner.proxy;
  const before = share === 0 ? null : { ...(await sink.counts()), dropped: (await droppedSpans?.()) ?? null, cpuUs: sink.cpuUs() };
  const result = await session.measure(runner, shape, round);
  one.rounds.push(result);
  if (before === null || result === null) return;
  const after = { ...(await sink.settled()), dropped: (await droppedSpans?.()) ?? null, cpuUs: sink.cpuUs() };
  one.spans = addSpans(one.spans, before, after, result, share * runner.proxy.programs.length);
  if (after.garbled > before.garbled)
    session.failures.push(`${runner.peer}: ${after.garbled - before.garbled} requests with spans were no OTLP`);
}

type SinkState = SinkCounts & { readonly dropped: number | null; readonly cpuUs: number };

function addSpans(known: SpanCounts | null, before: SinkState, after: SinkState, { sent }: Measurement, perRequest: number): SpanCounts {
  const add = (was: number | null | undefined, more: number | null): number | null =>
    was === null || more === null ? null : (was ?? 0) + more;
  return {
    requests: (known?.requests ?? 0) + sent,
    expected: (known?.expected ?? 0) + sent * perRequest,
    received: (known?.received ?? 0) + after.spans - before.spans,
    octets: (known?.octets ?? 0) + after.octets - before.octets,
    dropped: add(known?.dropped, before.dropped === null || after.dropped === null ? null : after.dropped - before.dropped),
    sinkCpuUs: (known?.sinkCpuUs ?? 0) + after.cpuUs - before.cpuUs,
  };
}

/** @returns no row when no round gave a result */
function rowOf({ peer, share, rounds, spans, memory }: Contestant, all: readonly Contestant[]): TelemetryRow[] {
  const results = rounds.filter((each) => each !== null);
  if (results.length === 0) return [];
  const base = all.find((other) => other.share === 0 && other.peer === (peer === UNCOUNTED ? weft.name : peer));
  // Within a round the machine was about the same for both.
  const pairs = base === undefined || base.rounds === rounds ? [] : rounds.map((result, round) => [result, base.rounds[round]]);
  const both = pairs.filter((pair): pair is [Measurement, Measurement] => pair.every((each) => each != null));
  const middle = (value: (own: Measurement, other: Measurement) => number): number | null =>
    both.length === 0 ? null : median(both.map(([own, other]) => value(own, other)));
  return [
    {
      peer,
      share,
      result: { ...combine(results), peer },
      speed: middle((own, other) => own.requestsPerSecond / other.requestsPerSecond),
      cpuMoreUs: middle((own, other) => sum(own.cpuUs) - sum(other.cpuUs)),
      spans,
      // How much garbage lies about differs from moment to moment.
      memory: memory.map((row, i) => ({
        ...row,
        afterLoad: {
          rssMiB: median(results.map(({ rssMiB }) => rssMiB[i])),
          anonymousMiB: median(results.map(({ anonymousMiB }) => anonymousMiB[i])),
        },
      })),
    },
  ];
}

async function compareLoaded(session: Session, sink: Sink): Promise<{ off: string[]; on: string[] }> {
  const work = session.work('plain')!;
  const { body } = session.setup.load;
  return {
    off: await loadedPackages(work, SDK_SCOPE, body),
    on: await loadedPackages({ ...work, tracing: { share: 1, port: sink.port } }, SDK_SCOPE, body),
  };
}
