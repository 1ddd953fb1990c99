// All series of calls: found by key, bounded in number, dropped when idle, and rolled up for the metrics page.
import { type Exposition, labelText } from '#core/program/exposition.ts';
import type { Metric } from '#core/program/metrics.ts';
import type { CallSeries } from '../../forward/series.ts';
import { type CountedRequests, writeRequests } from './request-page.ts';
import { RequestSeries, type SeriesKey } from './request-series.ts';
import { Rollup } from './rollup.ts';
import { UntriedSeries } from './untried-series.ts';

/**
 * Methods per Service that get a series of their own though no route names them: an endpoint may answer whatever it is
 * asked.
 */
const MAX_METHODS = 200;
/** Series in all, 2.5 kB each; past it new ones are counted under method "other" and, inbound, caller "other". */
const MAX_SERIES = 2000;

/** The method of calls that have no series of their own. */
export const OTHER = 'other';

export class RequestStats implements CountedRequests, Metric {
  /** Turns the monotonic ms of calls into Unix ms. */
  readonly unixMs: (monotonicMs: number) => number;
  private readonly series = new Map<string, RequestSeries>();
  /** By Service: the methods that endpoints have answered though no route names them. */
  private readonly methods = new Map<string, Set<string>>();
  /** By direction, Service, route, rule and backend. */
  private readonly durations = new Map<string, Rollup>();
  /** By direction and Service. */
  private readonly services = new Map<string, Rollup>();
  /** gRPC calls by method. */
  private readonly handled = { inbound: new Map<string, Rollup>(), outbound: new Map<string, Rollup>() };

  constructor(unixMs: (monotonicMs: number) => number = (monotonicMs) => Date.now() - performance.now() + monotonicMs) {
    this.unixMs = unixMs;
  }

  /** Puts the families of calls on the page. */
  write(out: Exposition): void {
    writeRequests(out, this, this.unixMs);
  }

  /**
   * The record of a key; the same until it expires.
   * @param named the method stands in a route, so it is bounded already
   * @returns the record; of a gRPC method that is not known yet one that becomes another when an endpoint has answered
   */
  seriesFor(key: SeriesKey, named: boolean): CallSeries {
    if (named || this.methods.get(key.service)?.has(key.method)) return this.recordOf(key);
    const other = this.recordOf({ ...key, method: OTHER });
    // A path may be anything, and a call that reached no backend proves no method.
    if (!key.grpc || key.backend === '' || (this.methods.get(key.service)?.size ?? 0) >= MAX_METHODS) return other;
    return new UntriedSeries(other, () => {
      this.learn(key.service, key.method);
      if (other.latency.count === 0 && other.inFlight === 0) this.drop(other);
      return this.seriesFor(key, false);
    });
  }

  all(): Iterable<RequestSeries> {
    return this.series.values();
  }

  durationRollups(): Iterable<Rollup> {
    return this.durations.values();
  }

  serviceRollups(): Iterable<Rollup> {
    return this.services.values();
  }

  handledRollups(direction: SeriesKey['direction']): Iterable<Rollup> {
    return this.handled[direction].values();
  }

  /** Drops series that are idle; their methods make room for others. */
  expire(nowMs: number): void {
    let dropped = false;
    for (const series of this.series.values()) {
      if (!series.idle(nowMs)) continue;
      this.drop(series);
      dropped = true;
    }
    if (dropped) this.forgetMethods();
  }

  private drop(series: RequestSeries): void {
    series.expired = true;
    this.series.delete(idOf(series.key));
    for (const [rollups, labels] of this.rollupsOf(series.key)) if (rollups.get(labels)!.drop(series)) rollups.delete(labels);
  }

  private recordOf(key: SeriesKey): RequestSeries {
    return this.series.get(idOf(key)) ?? this.add(this.boundedKey(key));
  }

  private add(key: SeriesKey): RequestSeries {
    const id = idOf(key);
    let series = this.series.get(id);
    if (series !== undefined) return series;
    this.series.set(id, (series = new RequestSeries(key)));
    for (const [rollups, labels] of this.rollupsOf(key)) {
      let rollup = rollups.get(labels);
      if (rollup === undefined) rollups.set(labels, (rollup = new Rollup(labels)));
      rollup.add(series);
    }
    return series;
  }

  /** The rollups that a key belongs to, by their labels: no two of them look alike on the page. */
  private rollupsOf({ direction, service, route, rule, backend, method, grpc }: SeriesKey): [Map<string, Rollup>, string][] {
    const rollups: [Map<string, Rollup>, string][] = [
      [this.durations, labelText({ direction, service, route, rule, backend })],
      [this.services, labelText({ direction, service })],
    ];
    if (grpc) rollups.push([this.handled[direction], labelText(methodLabels(method))]);
    return rollups;
  }

  private boundedKey(key: SeriesKey): SeriesKey {
    if (this.series.size < MAX_SERIES) return key;
    return { ...key, method: OTHER, caller: key.direction === 'inbound' ? OTHER : key.caller };
  }

  private learn(service: string, method: string): void {
    let known = this.methods.get(service);
    if (known === undefined) this.methods.set(service, (known = new Set()));
    if (known.size < MAX_METHODS) known.add(method);
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

/**
 * As instrumented programs name a method. Its type is unknown, because only its descriptor says it, which we do not
 * have.
 */
function methodLabels(method: string): Record<string, string> {
  const slash = method.indexOf('/');
  return {
    grpc_type: 'unknown',
    grpc_service: slash < 0 ? OTHER : method.slice(0, slash),
    grpc_method: method.slice(slash + 1),
  };
}

function idOf(key: SeriesKey): string {
  return JSON.stringify([key.direction, key.caller, key.service, key.route, key.rule, key.method, key.backend, key.mtls, key.grpc]);
}
