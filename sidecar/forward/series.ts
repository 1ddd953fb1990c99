// The counters that a call touches, as forwarding sees them; observe/counters implements them.
import type { BackendRecord, CompiledPort, RuleRecord } from '../route/records.ts';
import type { CallOutcome } from './outcome.ts';

/** What was decided for a call: the labels of its counters come from here. */
export interface CallDecision {
  readonly port: CompiledPort;
  /** null: routes are attached and none matches. */
  readonly rule: RuleRecord | null;
  /** package.Service/Method, or the path. */
  readonly method: string;
  readonly grpc: boolean;
}

/**
 * Counters of the calls that share caller, Service, route, method, backend and transport. Plain fields: a call costs a
 * few stores.
 */
export interface CallSeries {
  inFlight: number;
  /** The series was dropped after a long idle time: ask for a new one. */
  readonly expired: boolean;
  /** A call ended; it is not in flight any more. */
  ended(call: CallOutcome): void;
}

/** Finds the counters once per decision and backend. */
export interface SeriesSource {
  /** @param backend null: the call reached none */
  series(decision: CallDecision, backend: BackendRecord | null, mtls: boolean): CallSeries;
  /** Counts an error that the proxy made. @param label of the error */
  proxyError(label: string): void;
  /** A call was tried again on another connection or endpoint. */
  retried(): void;
  /**
   * A stream was reset before its end.
   * @param side the peer that reset it
   * @param reason an error code's name, or what became of the connection
   */
  reset(side: 'client' | 'endpoint', reason: string): void;
}
