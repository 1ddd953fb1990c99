// How many octets of reviews are held that are not answered yet: of each address and of all. The one that holds the most
// pays, so that a flood leaves room for the API server, whose reviews are small and quick.

/** A review that is being read or answered. */
export interface HeldReview {
  /** Takes these octets. @returns false: it has to end, nothing more of it is held */
  grow(octets: number): boolean;
  /** It is read: it is held until done(), and is not shed any more. */
  read(): void;
  /** It is answered, refused or gone. */
  done(): void;
}

/** An API server sends a review in milliseconds: one that has not come to its end after this goes first, in ms. */
const SLOW_AFTER_MS = 1000;

interface Entry {
  readonly from: string;
  readonly sinceMs: number;
  octets: number;
  /** null: it is read, or over. */
  shed: (() => void) | null;
}

export class ReviewBudget {
  private readonly most: number;
  private readonly mostOfOne: number;
  private readonly byAddress = new Map<string, Set<Entry>>();
  private readonly now: () => number;
  private held = 0;

  /**
   * @param most octets of all
   * @param mostOfOne octets of one address; what is left of `most` is for the others
   * @param now Unix or monotonic ms
   */
  constructor(most: number, mostOfOne: number, now: () => number) {
    this.most = most;
    this.mostOfOne = mostOfOne;
    this.now = now;
  }

  get octets(): number {
    return this.held;
  }

  /** @param shed ends the review, called when it has to make room while it is being read; done() is then superfluous */
  begin(from: string, shed: () => void): HeldReview {
    const entry: Entry = { from, sinceMs: this.now(), octets: 0, shed };
    const own = this.byAddress.get(from) ?? new Set();
    this.byAddress.set(from, own.add(entry));
    return {
      grow: (octets) => {
        if (entry.shed === null) return false;
        entry.octets += octets;
        this.held += octets;
        while (this.octetsOf(from) > this.mostOfOne || this.held > this.most) {
          const victim = this.octetsOf(from) > this.mostOfOne ? largestOf(own, Infinity) : this.victim();
          // All others are read already and will be answered soon: the one that comes has no room.
          if (victim === null || victim === entry) {
            this.end(entry);
            return false;
          }
          const makeRoom = victim.shed;
          this.end(victim);
          makeRoom?.();
        }
        return true;
      },
      read: () => {
        entry.shed = null;
      },
      done: () => this.end(entry),
    };
  }

  private octetsOf(from: string): number {
    let octets = 0;
    for (const entry of this.byAddress.get(from) ?? []) octets += entry.octets;
    return octets;
  }

  private victim(): Entry | null {
    return this.largestOfGreediest(this.now() - SLOW_AFTER_MS) ?? this.largestOfGreediest(Infinity);
  }

  /**
   * Of the addresses that have one which can be shed, the largest of the one that holds the most.
   * @param beforeMs it has begun before
   */
  private largestOfGreediest(beforeMs: number): Entry | null {
    let [victim, most]: [Entry | null, number] = [null, -1];
    for (const [from, own] of this.byAddress) {
      const octets = this.octetsOf(from);
      const largest = largestOf(own, beforeMs);
      if (largest !== null && octets > most) [victim, most] = [largest, octets];
    }
    return victim;
  }

  private end(entry: Entry): void {
    const own = this.byAddress.get(entry.from);
    entry.shed = null;
    if (own === undefined || !own.delete(entry)) return;
    this.held -= entry.octets;
    if (own.size === 0) this.byAddress.delete(entry.from);
  }
}

function largestOf(own: ReadonlySet<Entry>, beforeMs: number): Entry | null {
  let largest: Entry | null = null;
  for (const entry of own)
    if (entry.shed !== null && entry.sinceMs < beforeMs && (largest === null || entry.octets > largest.octets)) largest = entry;
  return largest;
}
