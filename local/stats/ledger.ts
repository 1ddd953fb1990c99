// Adds up what the sidecars have counted: totals for the report, the last seconds for the view. Sidecars may restart,
// pods come and go.
import type { ReadSeries } from './snapshot.ts';
import { addTally, difference, newTally, type Tally, tallyOf } from './tally.ts';
import { type NotedTraces, worthALook } from './traces.ts';

/** What distinguishes one row from another. */
export interface CallKey {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  readonly backend: string;
  readonly route: string;
  readonly rule: string;
  readonly mtls: boolean;
}

export interface CallRow extends CallKey {
  readonly tally: Tally;
  readonly traces: NotedTraces;
}

// CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE: how a call ends that may never have got a connection.
const NOWHERE: ReadonlySet<number> = new Set([1, 4, 14]);

/**
 * Did these calls travel over mTLS? null: none of them is known to have travelled (without a connection the sidecar
 * counts a call as plaintext).
 */
export function travelled(row: CallRow): boolean | null {
  if (row.mtls) return true;
  return row.backend === '' || [...row.tally.statuses.keys()].every((code) => NOWHERE.has(code)) ? null : false;
}

interface MutableRow extends CallRow {
  traces: NotedTraces;
}

interface Tick {
  readonly seconds: number;
  readonly calls: ReadonlyMap<string, CallRow>;
}

/** Ticks that the view looks back on for latencies and success. */
const WINDOW_TICKS = 5;

const textOf = (key: CallKey): string => JSON.stringify([key.caller, key.service, key.method, key.backend, key.route, key.rule, key.mtls]);

function add(rows: Map<string, MutableRow>, key: CallKey, tally: Tally, traces: NotedTraces): void {
  const text = textOf(key);
  let row = rows.get(text);
  if (!row) {
    const { caller, service, method, backend, route, rule, mtls } = key;
    rows.set(text, (row = { caller, service, method, backend, route, rule, mtls, tally: newTally(), traces: {} }));
  }
  addTally(row.tally, tally);
  row.traces = worthALook(row.traces, traces);
}

const byText = (a: CallRow, b: CallRow): number => (textOf(a) < textOf(b) ? -1 : 1);

export class Ledger {
  private readonly seen = new Map<string, Map<string, Tally>>();
  private readonly all = new Map<string, MutableRow>();
  private current = new Map<string, MutableRow>();
  private readonly ticks: Tick[] = [];

  /** Takes one pod's reading. Calls are counted where they are made: inbound series repeat them and are left out. */
  ingest(pod: string, series: readonly ReadSeries[]): void {
    const before = this.seen.get(pod);
    const keys = new Map<string, CallKey>();
    const traces = new Map<string, NotedTraces>();
    const now = new Map<string, Tally>();
    for (const item of series) {
      if (item.direction !== 'outbound') continue;
      const text = textOf(item);
      keys.set(text, item);
      traces.set(text, worthALook(traces.get(text) ?? {}, item));
      const tally = now.get(text);
      // A row may stand twice in a reading, e.g. for two listeners of one Service.
      if (tally) addTally(tally, tallyOf(item));
      else now.set(text, tallyOf(item));
    }
    for (const [text, tally] of now) {
      const fresh = difference(tally, before?.get(text));
      if (fresh.count > 0) for (const rows of [this.all, this.current]) add(rows, keys.get(text)!, fresh, traces.get(text)!);
    }
    this.seen.set(pod, now);
  }

  /** The pod's sidecar is a new process: its next reading starts from zero. */
  restarted(pod: string): void {
    this.seen.delete(pod);
  }

  /** Closes the present second. @param seconds how long it was */
  tick(seconds: number): void {
    this.ticks.push({ seconds, calls: this.current });
    if (this.ticks.length > WINDOW_TICKS) this.ticks.shift();
    this.current = new Map();
  }

  /** Everything since the start, sorted. */
  totals(): CallRow[] {
    return [...this.all.values()].sort(byText);
  }

  /** The last closed second. */
  lastSecond(): { seconds: number; rows: CallRow[] } {
    const last = this.ticks.at(-1);
    return last ? { seconds: last.seconds, rows: [...last.calls.values()].sort(byText) } : { seconds: 0, rows: [] };
  }

  /** The last few closed seconds, summed: enough calls for percentiles. */
  lastSeconds(): CallRow[] {
    const rows = new Map<string, MutableRow>();
    for (const { calls } of this.ticks) for (const row of calls.values()) add(rows, row, row.tally, row.traces);
    return [...rows.values()].sort(byText);
  }
}
