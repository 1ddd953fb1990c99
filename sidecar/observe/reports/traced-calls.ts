// Calls whose traces are worth a look: of each Service that this workload calls the slowest and the last failed one
// since the last report.
import { create } from '@bufbuild/protobuf';
import { type TracedCall, TracedCallSchema } from '#core/contract/gen/weft/v1/config_pb.ts';
import type { Timers } from '#core/program/timers.ts';
import type { EndedCall } from '../../forward/ended-call.ts';
import type { CallPlan } from '../../forward/plan.ts';
import type { CallTrace } from '../../forward/trace.ts';
import { routeLabel } from '../../route/labels.ts';

/** Services in one report; calls of others are left out until the next one. */
const MOST_SERVICES = 32;
/** A longer method is cut, because it may be a path as long as a header: reports are small. */
const LONGEST_METHOD = 200;
/** Between two reports, in ms. */
export const REPORT_EVERY_MS = 10_000;

/** What is kept of a call until the next report. */
interface KeptCall {
  readonly trace: CallTrace;
  readonly plan: CallPlan;
  readonly grpcStatus: number;
  readonly durationMs: number;
  /** Unix ms. */
  readonly endedMs: number;
  readonly error: string;
}

interface Noted {
  slow: KeptCall;
  failed: KeptCall | null;
}

export class TracedCalls {
  private readonly now: () => number;
  private noted = new Map<string, Noted>();

  /** @param now Unix ms */
  constructor(now: () => number) {
    this.now = now;
  }

  /**
   * A call ended. Of those whose trace is recorded and that this workload made, notes it if it is slower than all
   * before, or failed.
   */
  record(call: EndedCall): void {
    const { origin, trace, plan } = call;
    if (origin.direction !== 'outbound' || plan === null || trace === null || !trace.recorded) return;
    const { key } = plan.port.service;
    const noted = this.noted.get(key);
    const durationMs = call.endMs - call.startMs;
    const failed = call.grpcStatus !== 0;
    if (noted !== undefined && !failed && durationMs <= noted.slow.durationMs) return;
    const kept = {
      trace,
      plan,
      grpcStatus: call.grpcStatus,
      durationMs,
      endedMs: this.now(),
      error: call.error === null ? '' : call.error.label,
    };
    if (noted === undefined) {
      if (this.noted.size < MOST_SERVICES) this.noted.set(key, { slow: kept, failed: failed ? kept : null });
      return;
    }
    if (durationMs > noted.slow.durationMs) noted.slow = kept;
    if (failed) noted.failed = kept;
  }

  /** What was noted since it was last taken; null: nothing. */
  take(): TracedCall[] | null {
    if (this.noted.size === 0) return null;
    const calls = [...this.noted.values()].flatMap(({ slow, failed }) =>
      failed === null ? [reported(slow, 'slow')] : [reported(slow, 'slow'), reported(failed, 'failed')],
    );
    this.noted = new Map();
    return calls;
  }
}

function reported({ trace, plan, grpcStatus, durationMs, endedMs, error }: KeptCall, kind: 'slow' | 'failed'): TracedCall {
  const { port, method, rule } = plan;
  return create(TracedCallSchema, {
    traceId: trace.traceId,
    service: port.service.key,
    method: shownMethod(method),
    route: routeLabel(rule),
    grpcStatus,
    durationMs,
    endedMs: BigInt(Math.round(endedMs)),
    error,
    kind,
  });
}

/** A path is without its query, which may hold secrets. */
function shownMethod(method: string): string {
  const query = method.indexOf('?');
  return method.slice(0, query === -1 ? LONGEST_METHOD : Math.min(query, LONGEST_METHOD));
}

/** Where reports go. */
export interface CallReceiver {
  readonly connected: boolean;
  reportCalls(calls: TracedCall[]): void;
}

/** Reports every REPORT_EVERY_MS, when there are calls and the receiver is connected. @returns what ends it */
export function reportTracedCalls(calls: TracedCalls, receiver: CallReceiver, timers: Timers): () => void {
  let cancel = timers.after(REPORT_EVERY_MS, report);
  function report(): void {
    cancel = timers.after(REPORT_EVERY_MS, report);
    if (!receiver.connected) return;
    const taken = calls.take();
    if (taken !== null) receiver.reportCalls(taken);
  }
  return () => cancel();
}
