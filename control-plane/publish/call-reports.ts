// Traced calls that sidecars report: of each Service a recent slow call and the last failed one. What a sidecar says is
// bounded here, and believed of its own calls alone.
import type { CallReport, TracedCall } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { TracedCallView } from '#core/contract/view.ts';
import { sentence } from '#core/text/printable.ts';

/** A call that ended so much earlier than another is not shown for being slower, in ms. */
export const RECENT_MS = 60_000;
/** Calls that are kept of one sidecar, the newest: a slow and a failed one of 32 Services. */
export const MOST_CALLS = 64;
// A method may be a path; names in Kubernetes are shorter.
const LONGEST_TEXT = 200;
const LONGEST_TIME_MS = 8.64e15;

/** A call as a sidecar reported it. Its caller is the sidecar's own workload. */
export type ReportedCall = Omit<TracedCallView, 'from'>;

/** The slower of two calls, unless it ended long before the other. */
export function slowerOf<T extends { readonly ms: number; readonly endedMs: number }>(a: T, b: T): T {
  const apartMs = a.endedMs - b.endedMs;
  if (Math.abs(apartMs) > RECENT_MS) return apartMs > 0 ? a : b;
  return b.ms > a.ms ? b : a;
}

export function newerOf<T extends { readonly endedMs: number }>(a: T, b: T): T {
  return b.endedMs > a.endedMs ? b : a;
}

/** The calls to show of those that several sidecars report, in no order. */
export function worthShowing<T extends ReportedCall>(calls: Iterable<T>): T[] {
  const shown = new Map<string, T>();
  for (const call of calls) {
    const key = `${call.kind} ${call.service}`;
    const known = shown.get(key);
    shown.set(key, known === undefined ? call : call.kind === 'slow' ? slowerOf(known, call) : newerOf(known, call));
  }
  return [...shown.values()];
}

/** What one sidecar has reported. */
export class ReportedCalls {
  private calls: ReportedCall[] = [];

  /**
   * Takes a report. What is not a call of a Service that the sidecar uses is passed over.
   * @param uses "<namespace>/<name>" → whether it has asked for this Service
   */
  take(report: CallReport, uses: (service: string) => boolean, nowMs: number): void {
    const fresh = report.calls.slice(0, MOST_CALLS).flatMap((call) => {
      const read = readCall(call, nowMs);
      return read !== null && uses(read.service.replace(/:\d+$/, '')) ? [read] : [];
    });
    this.calls = worthShowing([...this.calls, ...fresh])
      .sort((a, b) => b.endedMs - a.endedMs)
      .slice(0, MOST_CALLS);
  }

  all(): readonly ReportedCall[] {
    return this.calls;
  }
}

/** A method is what any client wrote, and is shown on terminals. */
function readText(text: string): string {
  return sentence(text.slice(0, LONGEST_TEXT + 1), LONGEST_TEXT);
}

function readCall(call: TracedCall, nowMs: number): ReportedCall | null {
  const { traceId, kind, durationMs } = call;
  if (!/^[0-9a-f]{32}$/.test(traceId) || (kind !== 'slow' && kind !== 'failed')) return null;
  const [service, method, route, error] = [call.service, call.method, call.route, call.error].map(readText);
  const ms = Number.isFinite(durationMs) ? Math.min(LONGEST_TIME_MS, Math.max(0, durationMs)) : 0;
  // A sidecar whose clock is ahead would own the newest call for ever.
  const endedMs = Math.min(nowMs, Math.max(0, Number(call.endedMs)));
  return { traceId, service, method, route, code: call.grpcStatus, ms, endedMs, error, kind };
}
