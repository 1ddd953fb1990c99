// The streams of a connection that closed lately, to tell a frame that comes late from one that is wrong.

/** So many are remembered: a power of two. */
const REMEMBERED = 1024;

export class ClosedStreams {
  /** Entries are id * 2 + (we reset it). */
  private readonly ring = new Uint32Array(REMEMBERED);
  private count = 0;

  add(id: number, resetByUs: boolean): void {
    this.ring[this.count++ & (REMEMBERED - 1)] = (id << 1) | (resetByUs ? 1 : 0);
  }

  /**
   * @returns 'reset' if we reset the stream lately, 'ended' if it closed otherwise, 'forgotten' if it may have closed
   * long ago, null if it never was open
   */
  how(id: number): 'reset' | 'ended' | 'forgotten' | null {
    for (let i = 0; i < REMEMBERED; i++) {
      if (this.ring[i] >>> 1 === id) return (this.ring[i] & 1) === 1 ? 'reset' : 'ended';
    }
    return this.count > REMEMBERED ? 'forgotten' : null;
  }
}
