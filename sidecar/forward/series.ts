// The counters that a call touches, as forwarding sees them; telemetry/ implements them.
import type { BackendRecord } from '../route/records.ts';
import type { EndedCall } from './ended-call.ts';
import type { Plan } from './plan.ts';

/** Counters of the calls that share caller, Service, route, method, backend and transport. Plain fields: no work per call but stores. */
export interface CallSeries {
  inFlight: number;
  /** It was dropped for idleness: ask for a new one. */
  readonly expired: boolean;
  /** A call ended; it is not in flight any more. */
  ended(call: EndedCall): void;
}

/** Finds the counters once per plan and backend. */
export interface SeriesSource {
  /** @param backend null: the call reached none */
  series(plan: Plan, backend: BackendRecord | null, mtls: boolean): CallSeries;
  /** A proxy-made error, by its label. */
  proxyError(label: string): void;
  /** A call was tried again on another connection or endpoint. */
  retried(): void;
  /** A stream was reset before its end. @param side who reset it @param reason an error code's name, or what became of the connection */
  reset(side: 'client' | 'endpoint', reason: string): void;
}
