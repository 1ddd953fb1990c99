// What forwarding works with: the collaborators of every exchange of one direction and peer, and the port whose rules
// it follows.
import type { Clock } from '../http/clock.ts';
import type { CompiledPort } from '../route/records.ts';
import type { DeadlineWheel } from './deadlines.ts';
import type { CallTelemetry } from './ended-call.ts';
import type { CallOrigin } from './outcome.ts';
import type { ReplayRing } from './replay.ts';
import type { SeriesSource } from './series.ts';
import type { Upstreams } from './upstreams.ts';

export interface ExchangeDeps {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly upstreams: Upstreams;
  readonly deadlines: DeadlineWheel;
  readonly stats: SeriesSource;
  readonly origin: CallOrigin;
  readonly telemetry: CallTelemetry;
  readonly replay: ReplayRing;
  /** The peer is a sidecar: when the application is not there it gets REFUSED_STREAM and tries another endpoint. */
  readonly refuseUnprocessed: boolean;
  /** Why there is no configuration, where it is known better than that it has not arrived. */
  readonly missing: string | undefined;
}

/** Where a listener's configuration stands now; `current` is swapped when a new one is in force. */
export interface PortHandle {
  current: CompiledPort | null;
}
