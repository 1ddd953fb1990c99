// A two-way map of names: which objects (owners) name which others. The index of the object store is made of these.

const NONE: ReadonlySet<string> = new Set();

/** Owners and what they name, readable from both ends. Cost of a change: the names of that owner. */
export class Links {
  private readonly forward = new Map<string, ReadonlySet<string>>();
  private readonly backward = new Map<string, Set<string>>();

  /** From now on `owner` names exactly `targets`; none of them: it is forgotten. */
  set(owner: string, targets: Iterable<string>): void {
    for (const target of this.targetsOf(owner)) {
      const owners = this.backward.get(target)!;
      owners.delete(owner);
      if (owners.size === 0) this.backward.delete(target);
    }
    const now = new Set(targets);
    if (now.size === 0) this.forward.delete(owner);
    else this.forward.set(owner, now);
    for (const target of now) {
      const owners = this.backward.get(target);
      if (owners === undefined) this.backward.set(target, new Set([owner]));
      else owners.add(owner);
    }
  }

  targetsOf(owner: string): ReadonlySet<string> {
    return this.forward.get(owner) ?? NONE;
  }

  /** All that anything names. */
  targets(): Iterable<string> {
    return this.backward.keys();
  }

  ownersOf(target: string): ReadonlySet<string> {
    return this.backward.get(target) ?? NONE;
  }
}
