// The counters of calls: one record per direction, caller, Service, route, method, backend and transport. A decision holds its record; a call increments fields.
import { LatencyHistogram } from './histogram.ts';

/** What calls are counted by. */
export interface SeriesKey {
  readonly direction: 'outbound' | 'inbound';
  /** Outbound: this workload, "ns/name". Inbound: the peer's SPIFFE id or '' for plaintext. */
  readonly caller: string;
  /** "ns/name:port" of the Service that was called; inbound: of this workload. */
  readonly service: string;
  /** "Kind/ns/name" of the route, '' without one. */
  readonly route: string;
  /** Name or index of its rule, '' without one. */
  readonly rule: string;
  /** package.Service/Method, or a path. */
  readonly method: string;
  /** "ns/name:port" of the backend, '' if the call reached none. */
  readonly backend: string;
  readonly mtls: boolean;
  readonly grpc: boolean;
}

/** Distinct methods per Service that get a series of their own unless a route names them: a client cannot flood Prometheus with made-up paths. */
const MAX_METHODS = 200;
/** Series in all; past it calls are counted under method "other" and caller "other". */
const MAX_SERIES = 5000;
/** A series that nobody touched for so long is dropped, in ms; its template makes it anew. */
const IDLE_MS = 30 * 60_000;

const STATUSES = 17;

export class RequestSeries {
  readonly key: SeriesKey;
  /** Calls ended, by gRPC status 0 to 16 (other protocols: by the status their HTTP status maps to). */
  readonly statuses = new Float64Array(STATUSES);
  readonly latency = new LatencyHistogram();
  inFlight = 0;
  /** No longer shown: whoever holds it must ask for a new one. */
  expired = false;
  /** `latency.count` when it was last looked at, and when it last moved. */
  private seen = -1;
  private movedAtMs = 0;

  constructor(key: SeriesKey) {
    this.key = key;
  }

  ended(grpcStatus: number, latencyMs: number): void {
    this.statuses[grpcStatus]++;
    this.latency.record(latencyMs);
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

export class RequestStats {
  private readonly series = new Map<string, RequestSeries>();
  private readonly methods = new Map<string, Set<string>>();

  /** The record of a key; the same until it expires. @param named the method stands in a route, so it is bounded already */
  seriesFor(key: SeriesKey, named: boolean): RequestSeries {
    const method = named ? key.method : this.boundedMethod(key.service, key.method);
    const bounded =
      this.series.size < MAX_SERIES
        ? { ...key, method }
        : { ...key, method: 'other', caller: key.direction === 'inbound' ? 'other' : key.caller };
    const id = JSON.stringify(Object.values(bounded));
    let series = this.series.get(id);
    if (series === undefined) this.series.set(id, (series = new RequestSeries(bounded)));
    return series;
  }

  all(): Iterable<RequestSeries> {
    return this.series.values();
  }

  /** Drops series that are idle. */
  expire(nowMs: number): void {
    for (const [id, series] of this.series) {
      if (!series.idle(nowMs)) continue;
      series.expired = true;
      this.series.delete(id);
    }
  }

  private boundedMethod(service: string, method: string): string {
    let known = this.methods.get(service);
    if (known === undefined) this.methods.set(service, (known = new Set()));
    if (known.has(method)) return method;
    if (known.size >= MAX_METHODS) return 'other';
    known.add(method);
    return method;
  }
}
