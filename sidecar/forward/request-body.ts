// The body of one request on its way up: kept while there is no upstream stream, sent again after a refusal, its octets
// credited to the client.

import { appendChunk, type Chunk } from '../http/chunk.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { MessageStream } from '../http/stream.ts';
import type { ReplayRing } from './replay.ts';

/**
 * A body in one DATA frame up to this size is kept until the response begins, so that a refused call can be sent again.
 */
const REPLAY_OCTETS = 16 * 1024;
/** Values of `replayAt` beside a position in the ring. */
const NOTHING_SENT = -1;
const NOT_REPLAYABLE = -2;

export class RequestBody {
  /** The client has sent its end. */
  ended: boolean;
  private readonly down: MessageStream;
  private readonly replay: ReplayRing;
  /** Octets that came while there was no upstream stream. */
  private kept: Chunk[] | null = null;
  private trailers: HeaderBlock | null = null;
  /** Where the whole body sent so far lies in the replay ring. */
  private replayAt = NOTHING_SENT;
  private replayOctets = 0;
  /** Octets for which the client has not got its window back. */
  private uncredited = 0;

  /** @param ended the request has no body */
  constructor(down: MessageStream, replay: ReplayRing, ended: boolean) {
    this.down = down;
    this.replay = replay;
    this.ended = ended;
  }

  /** Nothing follows the request's headers. */
  get bare(): boolean {
    return this.ended && this.kept === null && this.trailers === null;
  }

  /** Keeps buf[start, end) until sendKept(): the client's window bounds the octets, chunks bound what they cost. */
  keep(buf: Buffer, start: number, end: number): void {
    this.uncredited += end - start;
    if (end > start) appendChunk((this.kept ??= []), buf, start, end);
  }

  /**
   * Sends buf[start, end) on.
   * @param replayable no response has begun: the octets are kept for another attempt if they are few
   */
  send(up: MessageStream, buf: Buffer, start: number, end: number, replayable: boolean): void {
    this.uncredited += end - start;
    if (replayable) this.keepForReplay(buf, start, end);
    this.credit(up.sendData(buf, start, end, this.ended && this.trailers === null));
  }

  /** The client has sent its trailers, which end the body. @param up null: they are kept */
  end(trailers: HeaderBlock, up: MessageStream | null): void {
    this.ended = true;
    this.trailers = trailers;
    if (up !== null) up.sendTrailers(trailers.template.source, trailers.varying);
  }

  /** Sends on a new stream what was kept. */
  sendKept(up: MessageStream): void {
    const { kept, trailers } = this;
    if (kept !== null) {
      this.kept = null;
      for (let i = 0; i < kept.length; i++) {
        const { buf, start, end } = kept[i];
        if (kept.length === 1) this.keepForReplay(buf, start, end);
        else this.forget();
        this.credit(up.sendData(buf, start, end, i === kept.length - 1 && this.ended && trailers === null));
      }
    }
    if (trailers !== null) up.sendTrailers(trailers.template.source, trailers.varying);
  }

  /** Takes back what was sent, for another attempt. @returns false if it cannot be sent again */
  rewind(): boolean {
    if (this.replayAt === NOT_REPLAYABLE) return false;
    if (this.replayAt === NOTHING_SENT) return true;
    const octets = this.replay.get(this.replayAt, this.replayOctets);
    if (octets !== null) appendChunk((this.kept = []), octets, 0, octets.length);
    this.forget();
    if (octets === null) return false;
    this.replayAt = NOTHING_SENT;
    return true;
  }

  /** Octets have left for the endpoint: the client may send as many again. */
  credit(octets: number): void {
    const credit = Math.min(octets, this.uncredited);
    if (credit === 0) return;
    this.uncredited -= credit;
    this.down.credit(credit);
  }

  /** There will be no other attempt: what was sent need not be kept. */
  forget(): void {
    if (this.replayAt >= 0) this.replay.free(this.replayAt);
    this.replayAt = NOT_REPLAYABLE;
  }

  /** The call has ended: what is kept is dropped, and the client gets its whole window back. */
  drop(): void {
    this.kept = null;
    this.forget();
    if (this.uncredited > 0) this.credit(this.uncredited);
  }

  private keepForReplay(buf: Buffer, start: number, end: number): void {
    const octets = end - start;
    if (octets === 0 || this.replayAt === NOT_REPLAYABLE) return;
    if (this.replayAt !== NOTHING_SENT || octets > REPLAY_OCTETS) this.forget();
    else {
      this.replayAt = this.replay.put(buf, start, end);
      this.replayOctets = octets;
    }
  }
}
