// DATA and its room: what both windows and the output take goes out, the rest waits as copies in its stream's queue.
// A queue is bounded by the window that we gave its source. Streams that wait send a frame each in turn. Only those that
// have window of their own are in line, so a WINDOW_UPDATE costs what it lets us send, however many others wait.
import { appendChunk } from '../http/chunk.ts';
import type { Clock } from '../http/clock.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { Output } from '../http/output.ts';
import type { FloodGuard } from './flood.ts';
import { writeData } from './frames.ts';
import { CLOGGED_AFTER_MS, MAX_FRAME_SIZE, OCTETS_PER_WINDOW_UPDATE, SMALL_CALL_OCTETS, SMALL_CALL_RESERVE } from './limits.ts';
import { type Stream, StreamLine } from './stream.ts';

/** What a sender needs of the streams it sends for. */
export interface SentStreams {
  /** How many are open. */
  readonly size: number;
  sendHeaders(stream: Stream, source: HeaderSource, varying: readonly Field[], endStream: boolean): void;
  /** END_STREAM was sent. */
  localEnd(stream: Stream): void;
}

export class Sender {
  /** Octets of DATA that the peer takes on the whole connection. */
  window = 65_535;
  /** Octets in all queues. */
  queuedOctets = 0;
  /** Streams of small calls, and the others: a frame of each line in turn. */
  private readonly small = new StreamLine();
  private readonly bulk = new StreamLine();
  private flushing = false;
  /** Since when the peer has left us no more window than the reserve; 0: there is more. */
  private lowSinceMs = 0;
  private readonly keepsReserve: boolean;
  private readonly output: Output;
  private readonly flood: FloodGuard;
  private readonly clock: Clock;
  private readonly streams: SentStreams;

  /**
   * @param keepsReserve the last SMALL_CALL_RESERVE octets of the connection's window are kept for small calls
   */
  constructor(output: Output, flood: FloodGuard, clock: Clock, streams: SentStreams, keepsReserve: boolean) {
    this.output = output;
    this.flood = flood;
    this.clock = clock;
    this.streams = streams;
    this.keepsReserve = keepsReserve;
  }

  /** The peer has not given the connection its window back for a while: what is sent here would wait. */
  get clogged(): boolean {
    return this.lowSinceMs !== 0 && this.clock.nowMs - this.lowSinceMs >= CLOGGED_AFTER_MS;
  }

  /** The peer lets us send so many octets more on the whole connection. @returns whether it was clogged until now */
  grow(octets: number): boolean {
    const was = this.clogged;
    this.window += octets;
    if (this.window > SMALL_CALL_RESERVE) this.lowSinceMs = 0;
    return was && !this.clogged;
  }

  /** Sends of buf[start, end) what both windows and the output take now. @returns octets sent */
  sendNow(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number {
    const { output } = this;
    let pos = start;
    do {
      if (output.full && end > pos) break;
      // An empty frame needs no window, which may be negative (RFC 9113 §6.9.2).
      const octets = end === pos ? 0 : Math.min(end - pos, MAX_FRAME_SIZE, stream.sendWindow, this.roomFor(stream, end - pos));
      if (octets < 0 || (octets === 0 && end > pos)) break;
      const last = endStream && pos + octets === end;
      writeData(output, stream.id, buf, pos, pos + octets, last);
      stream.sendWindow -= octets;
      stream.sentOctets += octets;
      this.window -= octets;
      if (this.window <= SMALL_CALL_RESERVE && this.lowSinceMs === 0) this.lowSinceMs = this.clock.nowMs;
      this.flood.sentOctets += octets;
      pos += octets;
      if (last) this.streams.localEnd(stream);
    } while (pos < end);
    return pos - start;
  }

  /** Queues a copy of buf[start, end), and puts the stream in line for windows and output. */
  queue(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void {
    if (stream.closed) return;
    if (stream.queue === null) stream.progressAtMs = this.clock.nowMs;
    appendChunk((stream.queue ??= []), buf, start, end);
    stream.queuedOctets += end - start;
    this.queuedOctets += end - start;
    if (endStream) stream.queuedEnd = true;
    this.lineUp(stream);
  }

  /** Puts a stream that has something to send, and window to send it, in the line where it belongs. */
  lineUp(stream: Stream): void {
    if (stream.queue === null || stream.sendWindow <= 0) return;
    const line = isSmall(stream, stream.queuedOctets) ? this.small : this.bulk;
    if (stream.line === line) return;
    stream.line?.remove(stream);
    line.push(stream);
  }

  /** Takes a stream that is going out of line, and drops what it has not sent. */
  drop(stream: Stream): void {
    stream.line?.remove(stream);
    stream.queue = null;
    this.queuedOctets -= stream.queuedOctets;
  }

  /** Sends of the waiting streams what has room, a frame of each in turn. */
  resume(): void {
    const { small, bulk, output } = this;
    if ((small.head === null && bulk.head === null) || this.flushing) return;
    this.flushing = true; // a handler's onSent may call back into here
    let progress = true;
    while (progress && !output.full) {
      progress = false;
      if (small.head !== null && this.roomFor(small.head, small.head.queuedOctets) > 0) progress = this.flush(small.head);
      if (bulk.head !== null && this.roomFor(bulk.head, bulk.head.queuedOctets) > 0 && this.flush(bulk.head)) progress = true;
    }
    this.flushing = false;
  }

  /** What the connection's window leaves to a stream that has so many octets to send: a large one leaves the reserve. */
  private roomFor(stream: Stream, octets: number): number {
    if (!this.keepsReserve || this.streams.size <= 1 || isSmall(stream, octets)) return this.window;
    return Math.max(0, this.window - SMALL_CALL_RESERVE);
  }

  /** Sends one frame of a stream that stands in line, and lets it stand at the end. @returns whether anything was sent */
  private flush(stream: Stream): boolean {
    stream.line!.remove(stream);
    const queue = stream.queue!;
    const chunk = queue[0];
    const octets = Math.min(chunk.end - chunk.start, MAX_FRAME_SIZE, stream.sendWindow, this.roomFor(stream, stream.queuedOctets));
    if (octets <= 0 || this.output.full) {
      this.lineUp(stream);
      return false;
    }
    const last = queue.length === 1 && stream.queuedEnd && chunk.start + octets === chunk.end;
    stream.queuedOctets -= octets;
    this.queuedOctets -= octets;
    stream.progressAtMs = this.clock.nowMs;
    const sent = this.sendNow(stream, chunk.buf, chunk.start, chunk.start + octets, last); // all: there was room
    chunk.start += sent;
    // Not for crumbs: a peer that grants its window octet by octet earns nothing (CVE-2019-9511).
    if (sent >= OCTETS_PER_WINDOW_UPDATE) this.flood.work();
    if (chunk.start === chunk.end) queue.shift();
    if (queue.length === 0) {
      stream.queue = null;
      const trailers = stream.queuedTrailers;
      if (trailers !== null) {
        stream.queuedTrailers = null;
        this.streams.sendHeaders(stream, trailers.source, trailers.varying, true);
      }
    } else this.lineUp(stream);
    // Last, because the handler may send or reset.
    stream.handler.onSent(stream, sent);
    return true;
  }
}

/** With so many octets more the stream will not have sent more than a small call does. */
function isSmall(stream: Stream, octets: number): boolean {
  return stream.sentOctets + octets <= SMALL_CALL_OCTETS;
}
