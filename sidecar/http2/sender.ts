// DATA and its room: what both windows and the output take goes out, the rest waits as copies in its stream's queue.
// A queue is bounded by the window that we gave its source. Streams that wait send a frame each in turn.
import { appendChunk } from '../http/chunk.ts';
import type { Clock } from '../http/clock.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { Output } from '../http/output.ts';
import type { FloodGuard } from './flood.ts';
import { writeData } from './frames.ts';
import { MAX_FRAME_SIZE, OCTETS_PER_WINDOW_UPDATE } from './limits.ts';
import type { Stream } from './stream.ts';

/** What a sender needs of the streams it sends for. */
export interface SentStreams {
  sendHeaders(stream: Stream, source: HeaderSource, varying: readonly Field[], endStream: boolean): void;
  /** END_STREAM was sent. */
  localEnd(stream: Stream): void;
}

export class Sender {
  /** Octets of DATA that the peer takes on the whole connection. */
  window = 65_535;
  /** Streams with a queue, in the order of their turns; some may have closed. */
  waiting: Stream[] = [];
  private flushing = false;
  private readonly output: Output;
  private readonly flood: FloodGuard;
  private readonly clock: Clock;
  private readonly streams: SentStreams;

  constructor(output: Output, flood: FloodGuard, clock: Clock, streams: SentStreams) {
    this.output = output;
    this.flood = flood;
    this.clock = clock;
    this.streams = streams;
  }

  /** Sends of buf[start, end) what both windows and the output take now. @returns octets sent */
  sendNow(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number {
    const { output } = this;
    let pos = start;
    do {
      if (output.full && end > pos) break;
      // An empty frame needs no window, which may be negative (RFC 9113 §6.9.2).
      const octets = end === pos ? 0 : Math.min(end - pos, MAX_FRAME_SIZE, stream.sendWindow, this.window);
      if (octets < 0 || (octets === 0 && end > pos)) break;
      const last = endStream && pos + octets === end;
      writeData(output, stream.id, buf, pos, pos + octets, last);
      stream.sendWindow -= octets;
      this.window -= octets;
      this.flood.sentOctets += octets;
      pos += octets;
      if (last) this.streams.localEnd(stream);
    } while (pos < end);
    return pos - start;
  }

  /** Queues a copy of buf[start, end), and puts the stream in line for windows and output. */
  queue(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void {
    appendChunk((stream.queue ??= []), buf, start, end);
    stream.queuedOctets += end - start;
    if (endStream) stream.queuedEnd = true;
    if (stream.waiting || stream.closed) return;
    stream.waiting = true;
    stream.progressAtMs = this.clock.nowMs;
    this.waiting.push(stream);
  }

  /** Sends of the waiting streams what has room, a frame of each in turn. */
  resume(): void {
    if (this.waiting.length === 0 || this.flushing) return;
    this.flushing = true; // a handler's onSent may call back into here
    let progress = true;
    while (progress && this.window > 0 && !this.output.full) {
      progress = false;
      const line = this.waiting;
      this.waiting = [];
      for (let i = 0; i < line.length; i++) {
        const stream = line[i];
        if (!stream.closed && this.flush(stream)) progress = true;
        if (!stream.closed && stream.queue !== null) this.waiting.push(stream);
        else stream.waiting = false;
      }
    }
    this.flushing = false;
  }

  /** Sends one frame of the stream's queue, which is not empty, if it has room. @returns whether anything was sent */
  private flush(stream: Stream): boolean {
    const queue = stream.queue!;
    const chunk = queue[0];
    const octets = Math.min(chunk.end - chunk.start, MAX_FRAME_SIZE, stream.sendWindow, this.window);
    if (octets <= 0 || this.output.full) return false;
    const last = queue.length === 1 && stream.queuedEnd && chunk.start + octets === chunk.end;
    const sent = this.sendNow(stream, chunk.buf, chunk.start, chunk.start + octets, last);
    chunk.start += sent;
    // Not for crumbs: a peer that grants its window octet by octet earns nothing (CVE-2019-9511).
    if (sent >= OCTETS_PER_WINDOW_UPDATE) this.flood.work();
    if (chunk.start === chunk.end) queue.shift();
    stream.queuedOctets -= sent;
    stream.progressAtMs = this.clock.nowMs;
    if (queue.length === 0) {
      stream.queue = null;
      const trailers = stream.queuedTrailers;
      if (trailers !== null) {
        stream.queuedTrailers = null;
        this.streams.sendHeaders(stream, trailers.source, trailers.varying, true);
      }
    }
    // Last, because the handler may send or reset.
    stream.handler.onSent(stream, sent);
    return true;
  }
}
