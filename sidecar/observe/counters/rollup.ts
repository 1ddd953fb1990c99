// Series that share some of their labels, shown as one: what the page says of a Service must not cost a sample per
// method.
import { type CallExample, type Examples, later } from './examples.ts';
import { EXPOSED_BOUNDS, LatencyHistogram } from './histogram.ts';
import { RequestSeries, STATUSES } from './request-series.ts';

export class Rollup {
  /** Label pairs as on the page. */
  readonly labels: string;
  private readonly members = new Set<RequestSeries>();
  /**
   * What members counted that were dropped since: a counter that falls looks like a restart, after which all the rest
   * is counted anew.
   */
  private past: RequestSeries | null = null;

  constructor(labels: string) {
    this.labels = labels;
  }

  add(series: RequestSeries): void {
    this.members.add(series);
  }

  /** @returns whether no member is left */
  drop(series: RequestSeries): boolean {
    this.members.delete(series);
    if (this.members.size === 0) return true;
    (this.past ??= new RequestSeries(series.key)).absorb(series);
    return false;
  }

  inFlight(): number {
    return this.sum(({ inFlight }) => inFlight);
  }

  requestBytes(): number {
    return this.sum(({ requestBytes }) => requestBytes);
  }

  responseBytes(): number {
    return this.sum(({ responseBytes }) => responseBytes);
  }

  /** Calls ended with this status. */
  ended(status: number): number {
    return this.sum(({ statuses }) => statuses[status]);
  }

  latency(): LatencyHistogram {
    const all = new LatencyHistogram();
    for (const { latency } of this.counted()) all.add(latency);
    return all;
  }

  /** The last recorded call of each of EXPOSED_BOUNDS and of the rest. */
  bucketExamples(): (CallExample | null)[] {
    return this.latest(EXPOSED_BOUNDS.length + 1, ({ buckets }) => buckets);
  }

  /** The last recorded call of each status but OK. */
  failureExamples(): (CallExample | null)[] {
    return this.latest(STATUSES, ({ failures }) => failures);
  }

  private latest(length: number, of: (examples: Examples) => readonly (CallExample | null)[]): (CallExample | null)[] {
    const found: (CallExample | null)[] = new Array(length).fill(null);
    for (const { examples } of this.members) {
      if (examples === null) continue;
      const calls = of(examples);
      for (let i = 0; i < length; i++) found[i] = later(found[i], calls[i]);
    }
    return found;
  }

  private *counted(): Generator<RequestSeries> {
    if (this.past !== null) yield this.past;
    yield* this.members;
  }

  private sum(of: (series: RequestSeries) => number): number {
    let sum = this.past === null ? 0 : of(this.past);
    for (const series of this.members) sum += of(series);
    return sum;
  }
}
