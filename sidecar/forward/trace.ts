// The trace of a call while it runs, as forwarding uses it; observe/tracing implements it.
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { RuleRecord } from '../route/records.ts';

/** The trace context of one call. */
export interface CallTrace {
  /** A span is made of the call. */
  readonly recorded: boolean;
  /** 32 lower-case hex digits; written out anew each time it is read. */
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
