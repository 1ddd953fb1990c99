// Latency at a steady rate, as services live with it: so many calls a second whatever the proxy does, and no warm-up,
// because the first second of a new load counts too. The backend alone, a pair of sidecars, and a pair of Envoys,
// taking turns.
import { type OpenLoopResult, runAtRate } from './load.ts';
import { median } from './measure.ts';
import type { Peer } from './peers/peer.ts';
import type { Outcome } from './results.ts';
import type { Session } from './session.ts';
import type { Table } from './table.ts';

const RATES = [1000, 4000];
const CONNECTIONS = 4;
const DIRECT = 'no proxy';

/** The medians of a contestant's rounds at one rate. */
interface Row {
  readonly peer: string;
  readonly rate: number;
  readonly result: OpenLoopResult;
}

/** @param peers of Weft and Envoy those that are installed */
export async function measureOpenLoop(
  session: Session,
  peers: readonly Peer[],
): Promise<Pick<Outcome, 'figures' | 'tables'> & { readonly valid: boolean }> {
  const { options, backends, load } = session.setup;
  const work = session.work('pair');
  if (work === null) return { figures: {}, tables: [], valid: false };
  const rows: Row[] = [];
  for (const rate of RATES) {
    const rounds = new Map<string, OpenLoopResult[]>();
    for (let round = 0; round < options.rounds; round++) {
      for (const peer of [null, ...peers]) {
        // Started anew for each round: only so is each first second a first one.
        const runner = peer === null ? null : await session.start(peer, work);
        if (peer !== null && runner === null) continue;
        const { host, port } = runner?.proxy ?? { host: '127.0.0.1', port: backends.plain[0] };
        const name = peer?.name ?? DIRECT;
        try {
          const result = await runAtRate({ ...load, host, port }, CONNECTIONS, rate, options.seconds);
          rounds.set(name, [...(rounds.get(name) ?? []), result]);
          session.say(
            `  ${rate}/s ${name}: p50 ${result.p50Ms.toFixed(2)}, p99 ${result.p99Ms.toFixed(2)}, p99.9 ${result.p999Ms.toFixed(2)} ms`,
          );
        } catch (error) {
          session.failures.push(`${name} at ${rate}/s failed: ${(error as Error).message}`);
        }
        await session.stopProxies();
      }
    }
    for (const [peer, results] of rounds) rows.push({ peer, rate, result: middle(results) });
  }
  return { figures: { openLoop: rows }, tables: [table(rows)], valid: rows.length > 0 && rows.every(({ result }) => result.errors === 0) };
}

function middle(results: readonly OpenLoopResult[]): OpenLoopResult {
  const of = (value: (result: OpenLoopResult) => number): number => median(results.map(value));
  return {
    requests: results.reduce((sum, { requests }) => sum + requests, 0),
    errors: results.reduce((sum, { errors }) => sum + errors, 0),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    p999Ms: of(({ p999Ms }) => p999Ms),
    firstSecondP50Ms: of(({ firstSecondP50Ms }) => firstSecondP50Ms),
    firstSecondP99Ms: of(({ firstSecondP99Ms }) => firstSecondP99Ms),
  };
}

function table(rows: readonly Row[]): Table {
  const ms = (value: number, of: number | undefined): string =>
    of === undefined ? value.toFixed(2) : `${value.toFixed(2)} (${(value / of).toFixed(2)})`;
  return {
    title: 'Calls at a steady rate; in brackets: times the pair of Envoys',
    rows: [
      ['calls/s', '', 'p50 ms', 'p99 ms', 'p99.9 ms', 'first second p50', 'first second p99'],
      ...rows.map(({ peer, rate, result }) => {
        const envoy = peer === 'envoy' ? undefined : rows.find((row) => row.peer === 'envoy' && row.rate === rate)?.result;
        return [
          `${rate}`,
          result.errors > 0 ? `${peer} INVALID: ${result.errors} errors` : peer,
          ms(result.p50Ms, envoy?.p50Ms),
          ms(result.p99Ms, envoy?.p99Ms),
          ms(result.p999Ms, envoy?.p999Ms),
          ms(result.firstSecondP50Ms, envoy?.firstSecondP50Ms),
          ms(result.firstSecondP99Ms, envoy?.firstSecondP99Ms),
        ];
      }),
    ],
  };
}
