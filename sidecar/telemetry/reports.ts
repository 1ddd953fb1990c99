// Who hears of calls beside the counters: spans and the access log, as the environment and the control plane say. They change while calls run.
import type { Telemetry } from '#core/gen/weft/v1/mesh_pb.ts';
import type { CallTelemetry } from '../forward/ended-call.ts';
import type { Tracing } from '../tracing/tracing.ts';

export class CallReports {
  /** Read for each call. */
  readonly calls: CallTelemetry = { tracer: null, spans: null, accessLog: null };
  private readonly tracing: Tracing;

  constructor(tracing: Tracing) {
    this.tracing = tracing;
    this.settle();
  }

  /** What the control plane says of this workload; absent: as the sidecar was started. */
  take(telemetry: Telemetry | undefined): void {
    this.tracing.take(telemetry);
    this.settle();
  }

  /** What is still held leaves. */
  async stop(): Promise<void> {
    await this.tracing.stop();
  }

  private settle(): void {
    const { calls } = this;
    const tracing = this.tracing.inForce;
    calls.tracer = tracing === null ? null : tracing.tracer;
    calls.spans = tracing === null ? null : tracing.spans;
  }
}
