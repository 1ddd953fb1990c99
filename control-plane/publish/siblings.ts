// What the pods of each workload use, so that a new pod starts with what its siblings have found out.

export interface SiblingBounds {
  /**
   * Workloads that are remembered when none of their pods is connected; the one that was touched longest ago goes
   * first.
   */
  readonly workloads: number;
  /** Services of one workload; the one noted longest ago goes first. */
  readonly services: number;
  /** Services of all workloads. */
  readonly all: number;
}

// A sidecar names whatever it likes, again and again with each stream: without bounds one could use up the control
// plane's memory.
const BOUNDS: SiblingBounds = { workloads: 1000, services: 10_000, all: 100_000 };

/** Keyed by `<namespace>/<workload name>`. */
export class Siblings {
  private readonly used = new Map<string, Set<string>>();
  private readonly bounds: SiblingBounds;
  /** Services over all workloads. */
  private count = 0;

  constructor(bounds: SiblingBounds = BOUNDS) {
    this.bounds = bounds;
  }

  /** A pod of the workload uses these Services. */
  note(workload: string, services: Iterable<string>): void {
    const { bounds } = this;
    const set = this.used.get(workload) ?? new Set();
    this.used.delete(workload);
    this.used.set(workload, set);
    const before = set.size;
    for (const key of services) {
      set.add(key);
      if (set.size > bounds.services) set.delete(first(set.keys()));
    }
    this.count += set.size - before;
    while (this.used.size > bounds.workloads || (this.count > bounds.all && this.used.size > 1)) {
      const oldest = first(this.used.keys());
      this.count -= this.used.get(oldest)!.size;
      this.used.delete(oldest);
    }
  }

  of(workload: string): ReadonlySet<string> {
    return this.used.get(workload) ?? new Set();
  }
}

function first(keys: Iterator<string>): string {
  return keys.next().value!;
}
