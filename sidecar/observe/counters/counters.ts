// Counters that are split by labels.
import { type Labels, labelText } from '#core/program/exposition.ts';

/** Values of a label that one counter keeps; past it new ones are counted as OTHER. */
export const MAX_LABELS = 100;
const OTHER = 'other';

/** A counter split by one label: names from the code, of error codes, of the system's and OpenSSL's errors, of which peers choose. */
export class LabelledCounter {
  readonly values = new Map<string, number>();

  add(label: string, by = 1): void {
    const kept = this.values.size < MAX_LABELS || this.values.has(label) ? label : OTHER;
    this.values.set(kept, (this.values.get(kept) ?? 0) + by);
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
