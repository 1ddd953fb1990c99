// A call that has ended, as spans and the access log read it: its outcome, and what the call was.
import type { EndpointState } from '../balance/endpoint-state.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { CallOutcome } from './outcome.ts';
import type { CallPlan, Variant } from './plan.ts';
import type { CallTracer } from './trace.ts';

/** Valid only inside ended(). Copy what you need later; plan and trace are final and may be kept. */
export interface EndedCall extends CallOutcome {
  /** The request's headers as they came. */
  readonly block: HeaderBlock;
  /** null: there was no configuration. */
  readonly plan: CallPlan | null;
  /** null: the call fell to no backend. */
  readonly variant: Variant | null;
  /** Of the last attempt; null: there was none. */
  readonly lastEndpoint: EndpointState | null;
  readonly attempts: number;
}

/** Is called for each call that ended. */
export interface CallObserver {
  ended(call: EndedCall): void;
}

/** The observers of calls that are in force now; the fields are swapped while calls run. */
export interface CallTelemetry {
  tracer: CallTracer | null;
  /** Of calls whose trace is recorded. */
  spans: CallObserver | null;
  accessLog: CallObserver | null;
}
