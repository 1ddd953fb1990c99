// What the pods of each workload use, so that a new pod starts with what its siblings have found out.

// Workloads that are remembered when none of their pods is connected; the one that was touched longest ago goes first.
const MOST_WORKLOADS = 1000;

/** Keyed by `<namespace>/<workload name>`. Only grows within a workload, as a sidecar's wants do. */
export class Siblings {
  private readonly used = new Map<string, Set<string>>();
  private readonly most: number;

  constructor(most: number = MOST_WORKLOADS) {
    this.most = most;
  }

  /** A pod of the workload uses these Services. */
  note(workload: string, services: Iterable<string>): void {
    const set = this.used.get(workload) ?? new Set();
    this.used.delete(workload);
    this.used.set(workload, set);
    for (const key of services) set.add(key);
    if (this.used.size > this.most) this.used.delete(this.used.keys().next().value!);
  }

  of(workload: string): ReadonlySet<string> {
    return this.used.get(workload) ?? new Set();
  }
}
