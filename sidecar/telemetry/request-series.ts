// The counters of calls: one record per direction, caller, Service, route, method, backend and transport. A decision holds its record; a call increments fields.
import type { EndedCall } from '../forward/ended-call.ts';
import { labelText } from './exposition.ts';
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
/** Series in all, 2.5 kB each; past it new ones are counted under method "other" and, inbound, caller "other". */
const MAX_SERIES = 2000;
/** A series that nobody touched for so long is dropped, in ms; its template makes it anew. */
const IDLE_MS = 30 * 60_000;

const OTHER = 'other';
const STATUSES = 17;
/** UNKNOWN: what a status outside 0 to 16 means to a client (gRPC's statuscodes.md). */
const UNKNOWN = 2;

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
  private text = '';

  constructor(key: SeriesKey) {
    this.key = key;
  }

  ended({ grpcStatus, startMs, endMs }: EndedCall): void {
    this.statuses[grpcStatus >= 0 && grpcStatus < STATUSES ? grpcStatus : UNKNOWN]++;
    this.latency.record(endMs - startMs);
  }

  /** The labels of the key for the metrics page; each series has others than all the rest. */
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

export class RequestStats {
  private readonly series = new Map<string, RequestSeries>();
  /** By Service: the methods that have series though no route names them. */
  private readonly methods = new Map<string, Set<string>>();

  /** The record of a key; the same until it expires. @param named the method stands in a route, so it is bounded already */
  seriesFor(key: SeriesKey, named: boolean): RequestSeries {
    const method = named ? key.method : this.boundedMethod(key.service, key.method);
    return this.find({ ...key, method }) ?? this.add(this.boundedKey({ ...key, method }));
  }

  all(): Iterable<RequestSeries> {
    return this.series.values();
  }

  /** Drops series that are idle; their methods make room for others. */
  expire(nowMs: number): void {
    let dropped = false;
    for (const [id, series] of this.series) {
      if (!series.idle(nowMs)) continue;
      series.expired = true;
      this.series.delete(id);
      dropped = true;
    }
    if (dropped) this.forgetMethods();
  }

  private find(key: SeriesKey): RequestSeries | undefined {
    return this.series.get(idOf(key));
  }

  private add(key: SeriesKey): RequestSeries {
    const id = idOf(key);
    let series = this.series.get(id);
    if (series === undefined) this.series.set(id, (series = new RequestSeries(key)));
    return series;
  }

  private boundedKey(key: SeriesKey): SeriesKey {
    if (this.series.size < MAX_SERIES) return key;
    return { ...key, method: OTHER, caller: key.direction === 'inbound' ? OTHER : key.caller };
  }

  private boundedMethod(service: string, method: string): string {
    let known = this.methods.get(service);
    if (known === undefined) this.methods.set(service, (known = new Set()));
    if (known.has(method)) return method;
    if (known.size >= MAX_METHODS) return OTHER;
    known.add(method);
    return method;
  }

  private forgetMethods(): void {
    const used = new Set<string>();
    for (const { key } of this.series.values()) used.add(`${key.service} ${key.method}`);
    for (const [service, methods] of this.methods) {
      for (const method of methods) if (!used.has(`${service} ${method}`)) methods.delete(method);
      if (methods.size === 0) this.methods.delete(service);
    }
  }
}

function idOf(key: SeriesKey): string {
  return JSON.stringify([key.direction, key.caller, key.service, key.route, key.rule, key.method, key.backend, key.mtls, key.grpc]);
}
