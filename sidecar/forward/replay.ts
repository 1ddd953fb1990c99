// Small request bodies are kept until their response begins, so that a refused call can be sent again.
// They lie in one ring: keeping one costs a copy of its octets and no object (a Buffer per call was a sixth of all
// CPU time, as garbage).
// A body that was overwritten meanwhile is simply not sent again.

const RING_OCTETS = 256 * 1024;

export class ReplayRing {
  private readonly ring = Buffer.allocUnsafeSlow(RING_OCTETS);
  /** Octets ever kept; the place of the next is head modulo the size. */
  private head = 0;

  /** Keeps buf[start, end). @returns its position, for get() */
  put(buf: Buffer, start: number, end: number): number {
    const octets = end - start;
    let at = this.head % RING_OCTETS;
    if (at + octets > RING_OCTETS) {
      this.head += RING_OCTETS - at; // never split over the end
      at = 0;
    }
    const position = this.head;
    buf.copy(this.ring, at, start, end);
    this.head += octets;
    return position;
  }

  /** @returns a view of what put() kept, valid until the next put(), or null if it was overwritten */
  get(position: number, octets: number): Buffer | null {
    if (this.head - position > RING_OCTETS) return null;
    const at = position % RING_OCTETS;
    return this.ring.subarray(at, at + octets);
  }
}
