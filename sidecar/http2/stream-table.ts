// The streams of a connection by id. Ids go up by two, so a small ring of slots finds nearly all of them without
// hashing. A Map does the same three times slower, and its rehashing keeps dead streams alive into the old generation:
// a third of all CPU time was garbage collection.
import type { Stream } from './stream.ts';

const FIRST_SLOTS = 16; // power of two
const MAX_SLOTS = 2048;

export class StreamTable {
  size = 0;
  private slots: (Stream | null)[] = new Array(FIRST_SLOTS).fill(null);
  private mask = FIRST_SLOTS - 1;
  /** Streams whose slot was taken by an older one. */
  private readonly overflow = new Map<number, Stream>();

  get(id: number): Stream | undefined {
    const stream = this.slots[(id >>> 1) & this.mask];
    if (stream !== null && stream.id === id) return stream;
    return this.overflow.size === 0 ? undefined : this.overflow.get(id);
  }

  /** The id must not be in the table. */
  add(stream: Stream): void {
    this.size++;
    let slot = (stream.id >>> 1) & this.mask;
    if (this.slots[slot] !== null && this.size * 2 > this.slots.length && this.slots.length < MAX_SLOTS) {
      this.grow();
      slot = (stream.id >>> 1) & this.mask;
    }
    if (this.slots[slot] === null) this.slots[slot] = stream;
    else this.overflow.set(stream.id, stream);
  }

  delete(id: number): void {
    const slot = (id >>> 1) & this.mask;
    const stream = this.slots[slot];
    if (stream !== null && stream.id === id) {
      this.slots[slot] = null;
      this.size--;
    } else if (this.overflow.delete(id)) {
      this.size--;
    }
  }

  /** A copy: streams may come and go while it is walked. */
  all(): Stream[] {
    const all: Stream[] = [];
    for (const stream of this.slots) if (stream !== null) all.push(stream);
    for (const stream of this.overflow.values()) all.push(stream);
    return all.sort((a, b) => a.id - b.id);
  }

  private grow(): void {
    const all = this.all();
    const length = this.slots.length * 4;
    this.slots = new Array(length).fill(null);
    this.mask = length - 1;
    this.overflow.clear();
    for (const stream of all) {
      const slot = (stream.id >>> 1) & this.mask;
      if (this.slots[slot] === null) this.slots[slot] = stream;
      else this.overflow.set(stream.id, stream);
    }
  }
}
