// Counters that are split by labels.
import { type Labels, labelText } from '#core/exposition.ts';

/** A counter split by one label whose values come from a closed set in the code. */
export class LabelledCounter {
  readonly values = new Map<string, number>();

  add(label: string, by = 1): void {
    this.values.set(label, (this.values.get(label) ?? 0) + by);
  }
}

/** Streams reset before their end, by who reset them and why. */
export class ResetCounter {
  readonly client = new LabelledCounter();
  readonly endpoint = new LabelledCounter();

  add(side: 'client' | 'endpoint', reason: string): void {
    this[side].add(reason);
  }
}

/** Sets of labels that one counter keeps: Services come and go while a sidecar runs. */
const MAX_SETS = 200;

/** A counter split by several labels, for what happens seldom. Past MAX_SETS only those that are there go on counting. */
export class SetCounter {
  /** By labels as on the page. */
  readonly values = new Map<string, number>();

  add(labels: Labels): void {
    const text = labelText(labels);
    const count = this.values.get(text);
    if (count !== undefined || this.values.size < MAX_SETS) this.values.set(text, (count ?? 0) + 1);
  }
}
