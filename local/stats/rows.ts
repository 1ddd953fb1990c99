// What the view shows of the calls: one row per caller, Service and method, split by backend. Pure.
import { type CallRow, type Ledger, travelled } from './ledger.ts';
import { addTally, newTally, percentileMs, successShare, type Tally } from './tally.ts';
import { type NotedTraces, worthALook } from './traces.ts';

export interface BackendShare {
  /** "<namespace>/<name>:<port>", or "no backend". */
  readonly backend: string;
  /** Of the method's calls, 0 to 1. */
  readonly share: number;
  readonly success: number | null;
}

export interface MethodRow {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /** Calls per second that ended in the last second. */
  readonly rate: number;
  readonly success: number | null;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  readonly mtls: boolean;
  readonly backends: readonly BackendShare[];
  /** Of recent calls; empty where nothing is traced. */
  readonly traces: NotedTraces;
}

export interface RouteRow {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** "Service payment port 8080". */
  readonly parent: string;
  readonly conditions: readonly RouteCondition[];
}

export interface RouteCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

export const NO_BACKEND = 'no backend';
// Fewer calls than this in a second make no split: then the last five seconds do.
const ENOUGH_CALLS = 20;

interface Group {
  readonly row: CallRow;
  readonly all: Tally;
  readonly backends: Map<string, Tally>;
  plaintext: boolean;
  traces: NotedTraces;
}

function groups(rows: readonly CallRow[]): Map<string, Group> {
  const out = new Map<string, Group>();
  for (const row of rows) {
    const key = JSON.stringify([row.caller, row.service, row.method]);
    let group = out.get(key);
    if (!group) out.set(key, (group = { row, all: newTally(), backends: new Map(), plaintext: false, traces: {} }));
    addTally(group.all, row.tally);
    const backend = row.backend || NO_BACKEND;
    if (!group.backends.has(backend)) group.backends.set(backend, newTally());
    addTally(group.backends.get(backend)!, row.tally);
    if (travelled(row) === false) group.plaintext = true;
    group.traces = worthALook(group.traces, row.traces);
  }
  return out;
}

/**
 * Rates and splits of the last second, latencies and success of the last five; methods that were silent for five
 * seconds drop out.
 */
export function methodRows(ledger: Pick<Ledger, 'lastSecond' | 'lastSeconds'>): MethodRow[] {
  const { seconds, rows } = ledger.lastSecond();
  const last = groups(rows);
  return [...groups(ledger.lastSeconds())].map(([key, window]): MethodRow => {
    const now = last.get(key);
    const split = now && now.all.count >= ENOUGH_CALLS ? now : window;
    const names = [...window.backends.keys()].sort();
    return {
      caller: window.row.caller,
      service: window.row.service,
      method: window.row.method,
      rate: now && seconds > 0 ? now.all.count / seconds : 0,
      success: successShare(window.all),
      p50Ms: percentileMs(window.all, 0.5),
      p99Ms: percentileMs(window.all, 0.99),
      mtls: !window.plaintext,
      traces: window.traces,
      backends: names.map((backend) => {
        const tally = split.backends.get(backend) ?? newTally();
        return { backend, share: tally.count / split.all.count, success: successShare(tally) };
      }),
    };
  });
}
