// Metrics that know their own name, help and labels, in the shape of prom-client: what is counted, and how it stands on
// the page, is said once. Values that another object holds are read when the page is written instead: counter() and
// gauge() of exposition.ts.

import { boundText, type Exposition, labelText } from './exposition.ts';

/** A metric that writes itself. */
export interface Metric {
  /** Puts the whole family on the page. */
  write(out: Exposition): void;
}

export interface MetricOptions<Label extends string = never> {
  /** A counter's ends in _total. */
  readonly name: string;
  readonly help: string;
  /** None: the metric is a single number, which is on the page from the beginning. */
  readonly labelNames?: readonly Label[];
}

/** A value for each of a metric's labels. Values must come from a bounded set: each combination stays for ever. */
export type LabelValues<Label extends string> = Readonly<Record<Label, string>>;

/** One number per combination of labels, in the order in which the combinations first came. */
class Values<Label extends string> {
  private readonly labelNames: readonly Label[];
  private readonly values = new Map<string, number>();

  constructor(labelNames: readonly Label[] = []) {
    this.labelNames = labelNames;
    if (labelNames.length === 0) this.values.set('', 0);
  }

  get(labels?: LabelValues<Label>): number {
    return this.values.get(this.textOf(labels)) ?? 0;
  }

  set(labels: LabelValues<Label> | undefined, value: number): void {
    this.values.set(this.textOf(labels), value);
  }

  write(out: Exposition, name: string): void {
    for (const [labels, value] of this.values) out.sample(name, labels, value);
  }

  private textOf(labels: LabelValues<Label> | undefined): string {
    return labels === undefined ? '' : labelText(Object.fromEntries(this.labelNames.map((name) => [name, labels[name]])));
  }
}

/** What only grows. */
export class Counter<Label extends string = never> implements Metric {
  private readonly options: MetricOptions<Label>;
  private readonly values: Values<Label>;

  constructor(options: MetricOptions<Label>) {
    this.options = options;
    this.values = new Values(options.labelNames);
  }

  /** Counts one more. @param labels all of them; none where the metric has none */
  inc(...[labels]: [Label] extends [never] ? [] : [labels: LabelValues<Label>]): void {
    this.values.set(labels, this.values.get(labels) + 1);
  }

  /** What was counted; 0 where these labels never came. */
  value(...[labels]: [Label] extends [never] ? [] : [labels: LabelValues<Label>]): number {
    return this.values.get(labels);
  }

  write(out: Exposition): void {
    const { name, help } = this.options;
    out.family(name, 'counter', help);
    this.values.write(out, name);
  }
}

/** What goes up and down; a single number. */
export class Gauge implements Metric {
  private readonly options: MetricOptions;
  private current = 0;

  constructor(options: MetricOptions) {
    this.options = options;
  }

  set(value: number): void {
    this.current = value;
  }

  write(out: Exposition): void {
    const { name, help } = this.options;
    out.family(name, 'gauge', help);
    out.sample(name, '', this.current);
  }
}

/** How observations are spread over buckets. */
export class Histogram implements Metric {
  private readonly options: MetricOptions & { readonly buckets: readonly number[] };
  private readonly counts: number[];
  private count = 0;
  private sum = 0;

  /** @param options `buckets` are upper bounds, ascending; one more takes the rest */
  constructor(options: MetricOptions & { readonly buckets: readonly number[] }) {
    this.options = options;
    this.counts = options.buckets.map(() => 0);
  }

  /** @param value 0 or more: a sum that falls looks like a restart */
  observe(value: number): void {
    this.count++;
    this.sum += value;
    const at = this.options.buckets.findIndex((bound) => value <= bound);
    if (at >= 0) this.counts[at]++;
  }

  write(out: Exposition): void {
    const { name, help, buckets } = this.options;
    out.family(name, 'histogram', help);
    let below = 0;
    for (const [i, bound] of buckets.entries()) {
      below += this.counts[i];
      out.sample(`${name}_bucket`, labelText({ le: boundText(bound) }), below);
    }
    out.sample(`${name}_bucket`, labelText({ le: boundText(Number.POSITIVE_INFINITY) }), this.count);
    out.sample(`${name}_sum`, '', this.sum);
    out.sample(`${name}_count`, '', this.count);
  }
}
