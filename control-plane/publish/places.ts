// Where all Services are: one packed set with one version for all sidecars, and its last changes, so that a sidecar that
// has one of the last versions gets only the difference. By place, it knows the Services there.
import { PlaceSet } from '#core/contract/places.ts';
import { placesDeltaResource, placesResource, type Sized } from './resources.ts';

/** Versions that a sidecar may be behind; one that is further behind gets all places. */
const MOST_STEPS = 64;

interface Claim {
  readonly key: string;
  /** PLACE_FLAGS */
  readonly flags: number;
}

interface Step {
  /** The version that it changes. */
  readonly base: string;
  /** Place → its flags afterwards; 0: it is no Service's any more. */
  readonly changes: ReadonlyMap<string, number>;
}

const NOWHERE: ReadonlyMap<string, number> = new Map();

export class Places {
  /** Place → the Services there; nearly always there is one. */
  private readonly claims = new Map<string, readonly Claim[]>();
  private readonly placesOf = new Map<string, ReadonlyMap<string, number>>();
  /** Places that may be others than in `set`. */
  private readonly touched = new Set<string>();
  private set = PlaceSet.NONE;
  private newest = placesResource(this.set);
  private steps: readonly Step[] = [];
  /** Version → what makes the newest out of it. */
  private readonly made = new Map<string, Sized>();

  /** @param places of the Service, with PLACE_FLAGS; none: it does not exist */
  put(key: string, places: ReadonlyMap<string, number> = NOWHERE): void {
    const before = this.of(key);
    for (const place of before.keys()) if (!places.has(place)) this.claim(place, key, 0);
    for (const [place, flags] of places) if (before.get(place) !== flags) this.claim(place, key, flags);
    if (places.size > 0) this.placesOf.set(key, places);
    else this.placesOf.delete(key);
  }

  /** The places of a Service. */
  of(key: string): ReadonlyMap<string, number> {
    return this.placesOf.get(key) ?? NOWHERE;
  }

  /** The Services at a place. */
  keysAt(place: string): readonly string[] {
    return this.claims.get(place)?.map(({ key }) => key) ?? [];
  }

  /** All places as they are now. */
  resource(): Sized {
    this.review();
    return this.newest;
  }

  /** What makes the newest places out of this version of them; null: send all, which is shorter or the only way. */
  since(version: string): Sized | null {
    this.review();
    const first = this.steps.findIndex(({ base }) => base === version);
    if (first === -1) return null;
    let delta = this.made.get(version);
    if (delta === undefined) {
      const changes = new Map(this.steps.slice(first).flatMap((step) => [...step.changes]));
      this.made.set(version, (delta = placesDeltaResource(this.newest, PlaceSet.from(changes), version)));
    }
    return delta.bytes < this.newest.bytes ? delta : null;
  }

  private claim(place: string, key: string, flags: number): void {
    const others = (this.claims.get(place) ?? []).filter((claim) => claim.key !== key);
    const claims = flags === 0 ? others : [...others, { key, flags }];
    if (claims.length > 0) this.claims.set(place, claims);
    else this.claims.delete(place);
    this.touched.add(place);
  }

  /** Makes a version of what was touched since the last one. */
  private review(): void {
    if (this.touched.size === 0) return;
    const changes = new Map<string, number>();
    for (const place of this.touched) {
      const flags = (this.claims.get(place) ?? []).reduce((all, claim) => all | claim.flags, 0);
      if (flags !== this.set.flagsAt(place)) changes.set(place, flags);
    }
    this.touched.clear();
    if (changes.size === 0) return;
    const base = this.newest.resource.version;
    const packed = PlaceSet.from(changes);
    this.set = this.set.with(packed);
    this.newest = placesResource(this.set);
    // A step as long as all is no help, such as the first one.
    this.steps = packed.size < this.set.size ? [...this.steps, { base, changes }].slice(-MOST_STEPS) : [];
    this.made.clear();
  }
}
