// The body octets that all connections of a sidecar hold, and what goes when they are too many: the stream that holds
// the most of the peer that leaves the most unread.
import { KEPT_AFTER_SHEDDING, MAX_SIDECAR_BUFFER } from './limits.ts';

/** A connection, as the one account of all connections knows it. */
export interface BufferHolder {
  /** Connections with the same peer are judged together. */
  readonly peer: string;
  /** Octets that wait until this peer takes them. */
  readonly queuedOctets: number;
  /** Octets that this peer sent and that were not passed on yet. */
  readonly held: number;
  /** Resets the stream that has the most octets in its queue, or else the one that holds the most. */
  shedLargest(): void;
}

export class Buffers {
  /** Received octets that were not yet passed on, over all connections. */
  held = 0;
  /** Streams that were reset because of them. */
  shed = 0;
  private readonly holders = new Set<BufferHolder>();
  private shedding = false;

  add(holder: BufferHolder): void {
    this.holders.add(holder);
  }

  delete(holder: BufferHolder): void {
    this.holders.delete(holder);
  }

  /** So many octets more are held now. */
  take(octets: number): void {
    this.held += octets;
    if (this.held > MAX_SIDECAR_BUFFER && !this.shedding) this.shedMost();
  }

  private shedMost(): void {
    this.shedding = true; // what a reset sets off may come back here
    while (this.held > KEPT_AFTER_SHEDDING) {
      const before = this.held;
      this.greediest()?.shedLargest();
      if (this.held >= before) break;
      this.shed++;
    }
    this.shedding = false;
  }

  /** Of the peer that leaves the most unread, or else has sent the most of what is held, the largest connection. */
  private greediest(): BufferHolder | null {
    return this.largest((holder) => holder.queuedOctets) ?? this.largest((holder) => holder.held);
  }

  private largest(octetsOf: (holder: BufferHolder) => number): BufferHolder | null {
    const byPeer = new Map<string, number>();
    let worst = 0;
    let worstPeer = '';
    for (const holder of this.holders) {
      const octets = (byPeer.get(holder.peer) ?? 0) + octetsOf(holder);
      byPeer.set(holder.peer, octets);
      if (octets > worst) {
        worst = octets;
        worstPeer = holder.peer;
      }
    }
    let largest: BufferHolder | null = null;
    for (const holder of this.holders) {
      if (worst > 0 && holder.peer === worstPeer && octetsOf(holder) > (largest === null ? 0 : octetsOf(largest))) largest = holder;
    }
    return largest;
  }
}
