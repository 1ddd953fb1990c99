// The final summary of `weft run --report json`. Pure.

import { statusName } from '#core/contract/grpc-codes.ts';
import type { StatsCall } from '#core/contract/stats.ts';
import { type CallRow, travelled } from '#local/stats/ledger.ts';
import type { RouteRow } from '#local/stats/rows.ts';
import { addTally, newTally, percentileMs, type Tally } from '#local/stats/tally.ts';

export interface ReportPod {
  readonly namespace: string;
  readonly name: string;
  readonly workload: string;
  readonly ready: boolean;
  readonly restarts: number;
}

export interface ReportCall {
  readonly caller: string;
  readonly service: string;
  readonly method: string;
  /** null: the calls reached no backend. */
  readonly backend: string | null;
  /** null: no route is attached. */
  readonly route: string | null;
  readonly rule: string | null;
  readonly requests: number;
  /** By gRPC status name. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** null: none of these calls got as far as a connection. */
  readonly mtls: boolean | null;
  /** The slowest of the last recorded calls; null: none was recorded. */
  readonly slowTrace: StatsCall | null;
  /** The last recorded call that failed, with its gRPC status by name. */
  readonly failedTrace: (StatsCall & { readonly status: string }) | null;
}

export interface Report {
  readonly directory: string;
  /** From the moment when all pods were ready (or the run gave up waiting) to its end. */
  readonly seconds: number;
  readonly requests: number;
  readonly ok: number;
  /** Did every call that travelled at all travel over mTLS? */
  readonly mtls: boolean;
  readonly calls: readonly ReportCall[];
  readonly routes: readonly RouteRow[];
  readonly pods: readonly ReportPod[];
  readonly problems: readonly string[];
}

export interface ReportInput {
  readonly directory: string;
  readonly seconds: number;
  readonly calls: readonly CallRow[];
  readonly routes: readonly RouteRow[];
  readonly pods: readonly ReportPod[];
  readonly problems: readonly string[];
}

export function makeReport(input: ReportInput): Report {
  const all = newTally();
  for (const { tally } of input.calls) addTally(all, tally);
  return {
    directory: input.directory,
    seconds: Math.round(input.seconds * 10) / 10,
    requests: all.count,
    ok: all.statuses.get(0) ?? 0,
    mtls: input.calls.every((row) => travelled(row) !== false),
    calls: input.calls.map((row) => ({
      caller: row.caller,
      service: row.service,
      method: row.method,
      backend: row.backend || null,
      route: row.route || null,
      rule: row.rule || null,
      requests: row.tally.count,
      statuses: namedStatuses(row.tally),
      p50Ms: rounded(percentileMs(row.tally, 0.5)),
      p99Ms: rounded(percentileMs(row.tally, 0.99)),
      mtls: travelled(row),
      slowTrace: row.traces.slow ?? null,
      failedTrace: failedTrace(row),
    })),
    routes: input.routes,
    pods: input.pods,
    problems: input.problems,
  };
}

function namedStatuses(tally: Tally): Record<string, number> {
  return Object.fromEntries([...tally.statuses].sort(([a], [b]) => a - b).map(([code, count]) => [statusName(code), count]));
}

function failedTrace({ traces: { failed } }: CallRow): ReportCall['failedTrace'] {
  if (failed === undefined) return null;
  const { code, ...seen } = failed;
  return { ...seen, status: statusName(code) };
}

// Buckets are about 6 % wide: more digits would say nothing.
function rounded(ms: number | null): number | null {
  return ms === null ? null : Number(ms.toPrecision(3));
}
