// Counters and gauges that know their own name, help and labels, and write themselves. What peers can choose is
// bounded.
import { type Exposition, type Labels, labelText } from '#core/program/exposition.ts';
import type { Metric } from '#core/program/metrics.ts';

/** Values of a label that one counter keeps; past it new ones are counted as OTHER. */
export const MAX_LABELS = 100;
const OTHER = 'other';
/** Sets of labels that one counter keeps, because Services come and go while a sidecar runs. */
const MAX_SETS = 200;

export interface CounterOptions {
  /** A counter's ends in _total. */
  readonly name: string;
  readonly help: string;
}

/** A number without labels: a counter only grows, a gauge goes up and down. */
export class Total implements Metric {
  private readonly options: CounterOptions;
  private readonly type: 'counter' | 'gauge';
  private value = 0;

  constructor(type: 'counter' | 'gauge', options: CounterOptions) {
    this.type = type;
    this.options = options;
  }

  add(by = 1): void {
    this.value += by;
  }

  write(out: Exposition): void {
    const { name, help } = this.options;
    out.family(name, this.type, help);
    out.sample(name, '', this.value);
  }
}

/**
 * A counter split by one label: names from the code, of error codes, of the system's and OpenSSL's errors, of which
 * peers choose.
 */
export class LabelledCounter implements Metric {
  private readonly options: CounterOptions & { readonly label: string };
  private readonly values = new BoundedValues();

  constructor(options: CounterOptions & { readonly label: string }) {
    this.options = options;
  }

  add(label: string, by = 1): void {
    this.values.add(label, by);
  }

  write(out: Exposition): void {
    const { name, help, label } = this.options;
    out.family(name, 'counter', help);
    for (const [value, count] of this.values.counts) out.sample(name, labelText({ [label]: value }), count);
  }
}

/** A counter of what either side of a call did, and why. */
export class SidesCounter implements Metric {
  private readonly options: CounterOptions;
  private readonly sides = { client: new BoundedValues(), endpoint: new BoundedValues() };

  constructor(options: CounterOptions) {
    this.options = options;
  }

  add(side: 'client' | 'endpoint', reason: string): void {
    this.sides[side].add(reason, 1);
  }

  write(out: Exposition): void {
    const { name, help } = this.options;
    out.family(name, 'counter', help);
    for (const side of ['client', 'endpoint'] as const) {
      for (const [reason, count] of this.sides[side].counts) out.sample(name, labelText({ side, reason }), count);
    }
  }
}

/**
 * A counter split by several labels, for what happens seldom. Past MAX_SETS only those that are there go on counting.
 */
export class SetCounter<Label extends string> implements Metric {
  private readonly options: CounterOptions;
  /** By labels as on the page. */
  private readonly values = new Map<string, number>();

  constructor(options: CounterOptions) {
    this.options = options;
  }

  add(labels: Readonly<Record<Label, string>>): void {
    const text = labelText(labels);
    const count = this.values.get(text);
    if (count !== undefined || this.values.size < MAX_SETS) this.values.set(text, (count ?? 0) + 1);
  }

  write(out: Exposition): void {
    const { name, help } = this.options;
    out.family(name, 'counter', help);
    for (const [labels, count] of this.values) out.sample(name, labels, count);
  }
}

/** A number, or one per labels, that another part of the sidecar holds; it is read when the page is written. */
export class ReadMetric<Sources> {
  private readonly type: 'counter' | 'gauge';
  private readonly options: CounterOptions;
  private readonly read: (sources: Sources) => number | Iterable<readonly [Labels, number]>;

  constructor(
    type: 'counter' | 'gauge',
    options: CounterOptions,
    read: (sources: Sources) => number | Iterable<readonly [Labels, number]>,
  ) {
    this.type = type;
    this.options = options;
    this.read = read;
  }

  write(out: Exposition, sources: Sources): void {
    const { name, help } = this.options;
    out.family(name, this.type, help);
    const found = this.read(sources);
    if (typeof found === 'number') out.sample(name, '', found);
    else for (const [labels, value] of found) out.sample(name, labelText(labels), value);
  }
}

/** Counts by the values of one label. */
class BoundedValues {
  readonly counts = new Map<string, number>();

  add(value: string, by: number): void {
    const kept = this.counts.size < MAX_LABELS || this.counts.has(value) ? value : OTHER;
    this.counts.set(kept, (this.counts.get(kept) ?? 0) + by);
  }
}
