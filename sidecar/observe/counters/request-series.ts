// The counters of calls: one record per direction, caller, Service, route, method, backend and transport. A decision
// holds its record; a call increments fields.
import type { CallLabels } from '#core/contract/stats.ts';
import { labelText } from '#core/program/exposition.ts';
import type { CallOutcome } from '../../forward/outcome.ts';
import type { CallSeries } from '../../forward/series.ts';
import { Examples } from './examples.ts';
import { LatencyHistogram } from './histogram.ts';

/** What calls are counted by in a sidecar. */
export interface SeriesKey extends CallLabels {
  readonly grpc: boolean;
}

/** A series without a call for so long is dropped, in ms; its template makes it anew. */
const IDLE_MS = 30 * 60_000;
/** gRPC has the statuses 0 to 16. */
export const STATUSES = 17;
/** UNKNOWN: what a status outside 0 to 16 means to a client (gRPC's statuscodes.md). */
const UNKNOWN = 2;

export class RequestSeries implements CallSeries {
  readonly key: SeriesKey;
  /** Calls ended, by gRPC status 0 to 16 (other protocols: by the status their HTTP status maps to). */
  readonly statuses = new Float64Array(STATUSES);
  readonly latency = new LatencyHistogram();
  inFlight = 0;
  requestBytes = 0;
  responseBytes = 0;
  /** null: no call of it was recorded in a trace. */
  examples: Examples | null = null;
  /** It is no longer shown: what holds it must ask for a new one. */
  expired = false;
  /** `latency.count` when it was last looked at, and when it last moved. */
  private seen = -1;
  private movedAtMs = 0;
  private text = '';

  constructor(key: SeriesKey) {
    this.key = key;
  }

  ended(call: CallOutcome): void {
    const { grpcStatus, startMs, endMs, trace } = call;
    const status = grpcStatus >= 0 && grpcStatus < STATUSES ? grpcStatus : UNKNOWN;
    this.statuses[status]++;
    const ms = endMs - startMs;
    const bucket = this.latency.record(ms);
    this.requestBytes += call.requestBytes;
    this.responseBytes += call.responseBytes;
    if (trace === null || !trace.recorded) return;
    if (this.examples === null) this.examples = new Examples(STATUSES);
    this.examples.note(trace, status, ms, endMs, bucket);
  }

  /** Takes what another has counted. */
  absorb({ statuses, latency, requestBytes, responseBytes }: RequestSeries): void {
    for (let i = 0; i < STATUSES; i++) this.statuses[i] += statuses[i];
    this.latency.add(latency);
    this.requestBytes += requestBytes;
    this.responseBytes += responseBytes;
  }

  /** The key's labels for the metrics page; no two series have the same. */
  get labels(): string {
    if (this.text === '') {
      const { direction, caller, service, route, rule, method, backend, mtls, grpc } = this.key;
      const protocol = grpc ? 'grpc' : 'http';
      this.text = labelText({ direction, caller, service, route, rule, method, backend, protocol, mtls: `${mtls}` });
    }
    return this.text;
  }

  /** @returns whether nothing happened for IDLE_MS; to be asked now and then */
  idle(nowMs: number): boolean {
    if (this.latency.count !== this.seen || this.inFlight > 0) {
      this.seen = this.latency.count;
      this.movedAtMs = nowMs;
    }
    return nowMs - this.movedAtMs > IDLE_MS;
  }
}
