// Cuts the octets of a connection into frames (RFC 9113 §4.1). Whole frames are handed on where they lie, a partial one
// is carried over.
import { FRAME_HEADER_LENGTH } from './codes.ts';
import { MAX_FRAME_SIZE } from './limits.ts';

export interface FrameSink {
  /** The payload is buf[start, end), valid during the call. @returns false to stop reading */
  onFrame(type: number, flags: number, streamId: number, buf: Buffer, start: number, end: number): boolean;
  onFrameTooLarge(type: number, streamId: number): void;
}

export class FrameReader {
  private readonly sink: FrameSink;
  private carry: Buffer | null = null;
  private carried = 0;
  private stopped = false;

  constructor(sink: FrameSink) {
    this.sink = sink;
  }

  push(buf: Buffer, start: number, end: number): void {
    let pos = start;
    if (this.carried > 0) {
      pos = this.completeCarry(buf, pos, end);
      if (pos < 0) return;
    }
    while (!this.stopped && end - pos >= FRAME_HEADER_LENGTH) {
      const length = (buf[pos] << 16) | (buf[pos + 1] << 8) | buf[pos + 2];
      if (length > MAX_FRAME_SIZE) return this.tooLarge(buf, pos);
      const next = pos + FRAME_HEADER_LENGTH + length;
      if (next > end) break;
      if (!this.emit(buf, pos, next)) return;
      pos = next;
    }
    if (!this.stopped && pos < end) this.keep(buf, pos, end);
  }

  /** @returns the position after the completed frame, or -1 if it is still not whole or reading stopped */
  private completeCarry(buf: Buffer, pos: number, end: number): number {
    if (this.carried < FRAME_HEADER_LENGTH) {
      pos = this.take(buf, pos, end, FRAME_HEADER_LENGTH);
      if (this.carried < FRAME_HEADER_LENGTH) return -1;
    }
    const carry = this.carry!;
    const length = (carry[0] << 16) | (carry[1] << 8) | carry[2];
    if (length > MAX_FRAME_SIZE) {
      this.tooLarge(carry, 0);
      return -1;
    }
    const whole = FRAME_HEADER_LENGTH + length;
    pos = this.take(buf, pos, end, whole);
    if (this.carried < whole) return -1;
    this.carried = 0;
    const full = this.carry!;
    if (full.length > FRAME_HEADER_LENGTH + 1024) this.carry = null; // idle connections stay small
    return this.emit(full, 0, whole) ? pos : -1;
  }

  private take(buf: Buffer, pos: number, end: number, upTo: number): number {
    const octets = Math.min(upTo - this.carried, end - pos);
    this.room(upTo);
    buf.copy(this.carry!, this.carried, pos, pos + octets);
    this.carried += octets;
    return pos + octets;
  }

  private keep(buf: Buffer, pos: number, end: number): void {
    this.room(end - pos);
    buf.copy(this.carry!, 0, pos, end);
    this.carried = end - pos;
  }

  private room(octets: number): void {
    if (this.carry !== null && this.carry.length >= octets) return;
    const larger = Buffer.allocUnsafe(Math.max(octets, 128));
    if (this.carry !== null) this.carry.copy(larger, 0, 0, this.carried);
    this.carry = larger;
  }

  private emit(buf: Buffer, at: number, next: number): boolean {
    const id = ((buf[at + 5] & 0x7f) << 24) | (buf[at + 6] << 16) | (buf[at + 7] << 8) | buf[at + 8];
    if (!this.sink.onFrame(buf[at + 3], buf[at + 4], id, buf, at + FRAME_HEADER_LENGTH, next)) this.stopped = true;
    return !this.stopped;
  }

  private tooLarge(buf: Buffer, at: number): void {
    this.stopped = true;
    const id = ((buf[at + 5] & 0x7f) << 24) | (buf[at + 6] << 16) | (buf[at + 7] << 8) | buf[at + 8];
    this.sink.onFrameTooLarge(buf[at + 3], id);
  }
}
