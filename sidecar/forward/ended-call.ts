// A call that has ended, as those see it who report on calls: counters, spans, the access log. And what they leave on a call while it runs.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { RuleRecord } from '../route/records.ts';
import type { ProxyError } from './errors.ts';
import type { Plan, Variant } from './plan.ts';

/** Who calls, and over what: fixed for a direction and peer. */
export interface CallOrigin {
  readonly direction: 'outbound' | 'inbound';
  /** Outbound: this workload, "ns/name". Inbound: the peer's SPIFFE id, '' for plaintext. */
  caller(): string;
  /** Inbound: whether the peer came over mTLS; null: the call's own endpoint decides. */
  readonly mtls: boolean | null;
}

/** Only valid while it is handed on: whoever needs it later copies, but for plan and trace, which do not change any more. Times are monotonic ms. */
export interface EndedCall {
  readonly origin: CallOrigin;
  /** The request's headers as they came. */
  readonly block: HeaderBlock;
  /** null: there was no configuration. */
  readonly plan: Plan | null;
  /** null: it fell to no backend. */
  readonly variant: Variant | null;
  /** Of the last attempt; null: there was none. */
  readonly lastEndpoint: EndpointState | null;
  readonly startMs: number;
  readonly endMs: number;
  readonly attempts: number;
  /** Octets of DATA from the client, and to it. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** The endpoint's, of its final response headers; 0: they never came. */
  readonly httpStatus: number;
  /** 0 to 16; other protocols: what their HTTP status maps to. */
  readonly grpcStatus: number;
  /** What the proxy answered itself, or broke the answer off for; null: the answer is the endpoint's. */
  readonly error: ProxyError | null;
  /** The client gave up. */
  readonly cancelled: boolean;
  /** null: nothing of it is recorded, and trace context passes as it came. */
  readonly trace: CallTrace | null;
}

/** The trace context of one call. */
export interface CallTrace {
  /** A span is made of it. */
  readonly recorded: boolean;
  /** 32 lower-case hex digits, written out for each who asks. */
  readonly traceId: string;
  /** The request's varying fields with the trace context that goes on; valid until the next call. */
  outgoing(varying: readonly Field[]): readonly Field[];
  /** An attempt failed and another follows. @param reason label */
  retried(atMs: number, endpoint: string, reason: string): void;
}

/** Decides about the trace of a call that begins. */
export interface CallTracer {
  /** @param rule null: none matched. @returns null where trace context passes as it came */
  begin(block: HeaderBlock, rule: RuleRecord | null): CallTrace | null;
}

/** Hears of each call that ended. */
export interface CallObserver {
  ended(call: EndedCall): void;
}

/** Who is told of calls now; the fields are swapped while calls run. */
export interface CallTelemetry {
  tracer: CallTracer | null;
  /** Of calls whose trace is recorded. */
  spans: CallObserver | null;
  accessLog: CallObserver | null;
}
