// Small request bodies are kept until their answer begins, so that a refused call can be sent again.
// They lie in slabs: keeping one costs a copy of its octets and no object (a Buffer per call was a sixth of all CPU
// time, as garbage). There are as many slabs as the calls under way need, up to a bound; past it the oldest bodies are
// overwritten, and such a call is simply not sent again.

const SLAB_OCTETS = 64 * 1024;
/** So many octets of bodies are kept at most, over all calls. */
export const MAX_REPLAY_OCTETS = 8 * 1024 * 1024;
const MAX_SLABS = MAX_REPLAY_OCTETS / SLAB_OCTETS;
/** So many slabs stay when they are not needed. */
const SPARE_SLABS = 4;
/** Bodies that are older than so many ticks go: of a call that is answered late or never one may pin 64 KiB. */
const KEEP_TICKS = 30;
/** Fillings are numbered up to this, so that positions stay exact. */
const MAX_FILLINGS = 2 ** 29;
/** The sequence of a slab whose bodies were given up. */
const GONE = -1;

interface Slab {
  readonly octets: Buffer;
  /** Of the present filling; its remainder by MAX_SLABS is the slab's index. */
  sequence: number;
  /** Bodies of this filling that may still be asked for. */
  live: number;
  /** The tick in which the filling began. */
  begunAt: number;
}

export class ReplayRing {
  private readonly slabs: (Slab | null)[] = new Array(MAX_SLABS).fill(null);
  private fillings = 0;
  /** The slab that is being filled, and octets of it that are. */
  private filling: Slab | null = null;
  private filled = 0;
  private ticks = 0;

  /** Keeps buf[start, end), 64 KiB at most. @returns its position, for get() and free() */
  put(buf: Buffer, start: number, end: number): number {
    let slab = this.filling;
    if (slab === null || this.filled + end - start > SLAB_OCTETS) slab = this.nextSlab();
    const at = this.filled;
    buf.copy(slab.octets, at, start, end);
    this.filled += end - start;
    slab.live++;
    return slab.sequence * SLAB_OCTETS + at;
  }

  /** @returns a view of what put() kept, valid until the next put(), or null if it was overwritten */
  get(position: number, octets: number): Buffer | null {
    const slab = this.slabOf(position);
    if (slab === null) return null;
    const at = position % SLAB_OCTETS;
    return slab.octets.subarray(at, at + octets);
  }

  /** What put() kept there is not needed any more; to be called once. */
  free(position: number): void {
    const slab = this.slabOf(position);
    if (slab !== null) slab.live--;
  }

  /** About once a second: gives up what is old, and half of the slabs that are not needed. */
  tick(): void {
    this.ticks++;
    let spare = -SPARE_SLABS;
    for (const slab of this.slabs) {
      if (slab === null || slab === this.filling) continue;
      if (slab.live > 0 && this.ticks - slab.begunAt > KEEP_TICKS) {
        slab.live = 0;
        slab.sequence = GONE;
      }
      if (slab.live === 0) spare++;
    }
    for (let i = MAX_SLABS - 1, drop = Math.ceil(spare / 2); i >= 0 && drop > 0; i--) {
      const slab = this.slabs[i];
      if (slab === null || slab === this.filling || slab.live > 0) continue;
      this.slabs[i] = null;
      drop--;
    }
  }

  /** Octets of memory that it has now. */
  get size(): number {
    return this.slabs.reduce((sum, slab) => sum + (slab === null ? 0 : SLAB_OCTETS), 0);
  }

  private slabOf(position: number): Slab | null {
    const sequence = Math.floor(position / SLAB_OCTETS);
    const slab = this.slabs[sequence % MAX_SLABS];
    return slab !== null && slab.sequence === sequence ? slab : null;
  }

  /** Begins to fill one that is not needed, else a new one, else the one that was filled longest ago. */
  private nextSlab(): Slab {
    const index = this.nextIndex();
    this.fillings = (this.fillings + 1) % MAX_FILLINGS;
    const sequence = this.fillings * MAX_SLABS + index;
    let slab = this.slabs[index];
    if (slab === null) this.slabs[index] = slab = { octets: Buffer.allocUnsafeSlow(SLAB_OCTETS), sequence, live: 0, begunAt: 0 };
    slab.sequence = sequence;
    slab.live = 0;
    slab.begunAt = this.ticks;
    this.filling = slab;
    this.filled = 0;
    return slab;
  }

  private nextIndex(): number {
    const { filling, slabs } = this;
    if (filling !== null && filling.live === 0) return filling.sequence % MAX_SLABS;
    let oldest = 0;
    let empty = -1;
    for (let i = 0; i < MAX_SLABS; i++) {
      const slab = slabs[i];
      if (slab === null) empty = empty < 0 ? i : empty;
      else if (slab.live === 0) return i;
      else if (slab.sequence < (slabs[oldest]?.sequence ?? Number.POSITIVE_INFINITY)) oldest = i;
    }
    return empty >= 0 ? empty : oldest;
  }
}
