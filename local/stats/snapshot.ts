// Reads what a sidecar's admin endpoint GET /stats answers (core/contract/stats.ts), also of an older sidecar. Pure.
import { GRPC_CODES } from '#core/contract/grpc-codes.ts';
import type { StatsCall, StatsSeries } from '#core/contract/stats.ts';

/** A recorded call that failed. */
export interface FailedTrace extends StatsCall {
  /** gRPC status code. */
  readonly code: number;
}

/** A series as the ledger takes it: what it sums up, and the status of a failed call as a number. */
export type ReadSeries = Omit<StatsSeries, 'inFlight' | 'failed'> & { readonly failed?: FailedTrace };

const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '');
const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/**
 * Reads an answer; undefined if it is not one. What is missing in a series counts as empty, so that an older sidecar
 * can still be read.
 */
export function parseStats(body: string): ReadSeries[] | undefined {
  let root: unknown;
  try {
    root = JSON.parse(body);
  } catch {
    return undefined;
  }
  const series = (root as { series?: unknown } | null)?.series;
  if (!Array.isArray(series)) return undefined;
  return series.flatMap((item): ReadSeries[] => {
    if (item === null || typeof item !== 'object') return [];
    const slow = traceOf(item.slow);
    const failed = traceOf(item.failed);
    const latency = (item.latency ?? {}) as { boundsMs?: unknown; counts?: unknown };
    return [
      {
        direction: item.direction === 'inbound' ? 'inbound' : 'outbound',
        caller: text(item.caller),
        service: text(item.service),
        method: text(item.method),
        backend: text(item.backend),
        route: text(item.route),
        rule: text(item.rule),
        mtls: item.mtls === true,
        statuses: Object.fromEntries(Object.entries((item.statuses ?? {}) as object).map(([code, value]) => [code, count(value)])),
        count: count(item.count),
        latency: { boundsMs: list(latency.boundsMs).map(Number), counts: list(latency.counts).map(count) },
        ...(slow && { slow }),
        ...(failed && { failed: { ...failed, code: codeOf(item.failed.code) } }),
      },
    ];
  });
}

/** Sidecars name the status ("Unavailable"); UNKNOWN is what another name means. */
function codeOf(name: unknown): number {
  const code = GRPC_CODES.indexOf(text(name));
  return code === -1 ? GRPC_CODES.indexOf('Unknown') : code;
}

function traceOf(value: unknown): StatsCall | undefined {
  const { traceId, ms, endedMs } = (value ?? {}) as Record<string, unknown>;
  return typeof traceId === 'string' && /^[0-9a-f]{32}$/.test(traceId)
    ? { traceId, ms: Math.round(count(ms) * 1000) / 1000, endedMs: Math.round(count(endedMs)) }
    : undefined;
}
