// The telemetry in force beside the counters: spans, the access log, and the control plane's list of traces worth a
// look. The environment sets it at the start, the control plane changes it while calls run.
import { type AccessLogRule, parseAccessLog } from '#core/contract/access-filter.ts';
import type { Telemetry } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Logger } from '#core/program/log.ts';
import type { CallTelemetry, EndedCall } from '../../forward/ended-call.ts';
import type { AccessLog, EndedConnection } from '../access-log/access-log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { TracedCalls } from './traced-calls.ts';

export class TelemetryInForce {
  /** Read for each call. */
  readonly calls: CallTelemetry = { tracer: null, spans: null, accessLog: null };
  private readonly tracing: Tracing;
  private readonly accessLog: AccessLog;
  private readonly tracedCalls: TracedCalls;
  private readonly startRule: AccessLogRule | null;
  private readonly log: Logger;

  /** @param startRule what the access log has until the control plane says otherwise */
  constructor(tracing: Tracing, accessLog: AccessLog, tracedCalls: TracedCalls, startRule: AccessLogRule | null, log: Logger) {
    this.tracing = tracing;
    this.accessLog = accessLog;
    this.tracedCalls = tracedCalls;
    this.startRule = startRule;
    this.log = log;
    this.take(undefined);
  }

  /** What the control plane says of this workload; absent: as the sidecar was started. */
  take(telemetry: Telemetry | undefined): void {
    this.tracing.take(telemetry);
    this.takeRule(telemetry?.accessLog ?? '');
    const { accessLog, calls, tracedCalls } = this;
    const tracing = this.tracing.inForce;
    calls.tracer = tracing?.tracer ?? null;
    calls.spans =
      tracing === null
        ? null
        : {
            ended: (call: EndedCall) => {
              tracing.spans.ended(call);
              tracedCalls.record(call);
            },
          };
    calls.accessLog = accessLog.on ? accessLog : null;
  }

  /** A connection that was passed as TCP has ended, or one was refused. */
  connectionEnded(connection: EndedConnection): void {
    this.accessLog.connectionEnded(connection);
  }

  /** Sends what is still held. */
  async stop(): Promise<void> {
    await this.tracing.stop();
  }

  private takeRule(text: string): void {
    try {
      this.accessLog.set(text === '' ? this.startRule : parseAccessLog(text));
    } catch (error) {
      // A newer control plane may know conditions that we do not.
      this.log.error('the access log stays as it was', { wanted: text, error: (error as Error).message });
    }
  }
}
