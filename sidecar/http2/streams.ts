// The streams of one connection: what is sent on them, the windows of what comes, and how they open and end.
// A stream is a record here; no timer, promise or closure is made per stream.

import type { Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { MAX_CONNECTION_BUFFER, MAX_STREAM_BUFFER } from '../http/limits.ts';
import type { Output } from '../http/output.ts';
import { ENHANCE_YOUR_CALM, REFUSED_STREAM } from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
import { ClosedStreams } from './closed-streams.ts';
import { MAX_STREAM_ID, MAX_WINDOW } from './codes.ts';
import type { FloodGuard } from './flood.ts';
import { writeHeaders, writeReset, writeWindowUpdate } from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { CONNECTION_WINDOW, INITIAL_STREAM_WINDOW, SMALLEST_STREAM_WINDOW } from './limits.ts';
import { Sender, type SentStreams } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import { Stream, type StreamEnds } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface StreamsDeps {
  readonly output: Output;
  readonly flood: FloodGuard;
  readonly clock: Clock;
  /** We are the client. */
  readonly client: boolean;
  /** Resets that may still be sent; null: as many as one likes. */
  readonly resets: TokenBucket | null;
  /** A stream closed and is out of the table. */
  readonly onLeft: { streamLeft(): void };
  /** The account of all connections. */
  readonly buffers: Buffers;
}

export class Streams implements StreamEnds, SentStreams {
  readonly table = new StreamTable();
  readonly sender: Sender;
  readonly closed = new ClosedStreams();
  /** Octets that the peer may still send on the whole connection. */
  receiveWindow = CONNECTION_WINDOW;
  /** Received octets not yet consumed by their streams' handlers, over all streams (L8). */
  held = 0;
  /** Highest stream id that the peer opened. */
  lastPeerId = 0;
  /** The id that the next stream of ours will have. */
  nextId = 1;
  private readonly encoder = new HpackEncoder();
  /** Consumed octets not yet returned to the peer by a WINDOW_UPDATE of the connection. */
  private unreturned = 0;
  /** Streams that we may open at once; a peer that names no number sets no limit. */
  private peerMaxStreams = 0x7fffffff;
  private peerInitialWindow = 65_535;
  private readonly output: Output;
  private readonly flood: FloodGuard;
  private readonly clock: Clock;
  private readonly onLeft: StreamsDeps['onLeft'];
  private readonly buffers: Buffers;
  private readonly resets: TokenBucket | null;
  /** Octets by which windows are larger than INITIAL_STREAM_WINDOW, over all streams. */
  private grownOctets = 0;

  constructor(deps: StreamsDeps) {
    this.output = deps.output;
    this.flood = deps.flood;
    this.clock = deps.clock;
    this.onLeft = deps.onLeft;
    this.buffers = deps.buffers;
    this.resets = deps.resets;
    this.sender = new Sender(deps.output, deps.flood, deps.clock, this, deps.client);
  }

  /** How many are open. */
  get size(): number {
    return this.table.size;
  }

  // === Opening

  /** The peer allows one more of ours, and there is an id for it. */
  get haveRoom(): boolean {
    return this.table.size < this.peerMaxStreams && !this.idsUsedUp;
  }

  get idsUsedUp(): boolean {
    return this.nextId >= MAX_STREAM_ID - 2;
  }

  /** Opens a stream of ours with a request's header section. */
  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Stream {
    const stream = this.add(this.nextId, handler);
    this.nextId += 2;
    this.flood.work();
    writeHeaders(this.output, stream.id, this.encoder.encode(source), varying, endStream);
    stream.localClosed = endStream;
    return stream;
  }

  /** A stream that either side opens. */
  add(id: number, handler: StreamHandler): Stream {
    const stream = new Stream(id, this, handler, this.peerInitialWindow, this.clock.nowMs);
    this.table.add(stream);
    return stream;
  }

  /**
   * Applies the peer's SETTINGS.
   * @returns false when a stream's window overflows: a connection error (RFC 9113 §6.9.2)
   */
  apply(settings: PeerSettings): boolean {
    for (const size of settings.headerTableSizes) this.encoder.setPeerTableSize(size);
    if (settings.maxConcurrentStreams >= 0) this.peerMaxStreams = settings.maxConcurrentStreams;
    // The last value of the frame counts, in one walk over the streams: 32 walks per frame would be an attack.
    const delta = settings.initialWindow < 0 ? 0 : settings.initialWindow - this.peerInitialWindow;
    if (delta === 0) return true;
    this.peerInitialWindow = settings.initialWindow;
    for (const stream of this.table.all()) {
      stream.sendWindow += delta;
      if (stream.sendWindow > MAX_WINDOW) return false;
      this.sender.lineUp(stream);
    }
    return true;
  }

  /**
   * The peer sent one more frame that moves nothing.
   * @returns true when it is one too many, or when the peer lets our frames pile up
   */
  idleFrame(): boolean {
    return this.flood.idleFrame(this.clock.nowMs) || this.output.waiting > MAX_CONNECTION_BUFFER;
  }

  // === Sending

  sendHeaders(stream: Stream, source: HeaderSource, varying: readonly Field[], endStream: boolean): void {
    if (stream.closed || stream.localClosed) return;
    this.flood.work();
    writeHeaders(this.output, stream.id, this.encoder.encode(source), varying, endStream);
    if (endStream) this.localEnd(stream);
  }

  sendData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number {
    if (stream.closed || stream.localClosed) return end - start;
    this.flood.work();
    const sent = stream.queue === null ? this.sender.sendNow(stream, buf, start, end, endStream) : 0;
    if (sent < end - start || (endStream && !stream.localClosed)) this.sender.queue(stream, buf, start + sent, end, endStream);
    return sent;
  }

  sendTrailers(stream: Stream, source: HeaderSource, varying: readonly Field[]): void {
    if (stream.closed || stream.localClosed) return;
    if (stream.queue === null) this.sendHeaders(stream, source, varying, true);
    else stream.queuedTrailers = { source, varying };
  }

  // === The windows of what comes

  /** Octets have come on a stream and are held until credit(). The stream may be shed by this. */
  hold(stream: Stream, octets: number): void {
    stream.receiveWindow -= octets;
    stream.held += octets;
    this.held += octets;
    this.returnWindow(octets);
    this.buffers.take(octets);
  }

  credit(stream: Stream, octets: number): void {
    if (stream.closed && stream.held === 0) return; // release() has settled its account
    stream.held -= octets;
    this.held -= octets;
    this.buffers.held -= octets;
    stream.unreturned += octets;
    if (!stream.remoteClosed && stream.unreturned >= Math.min(stream.windowSize, INITIAL_STREAM_WINDOW) / 2)
      this.returnStreamWindow(stream);
  }

  /** Returns what was consumed to the stream's window, which becomes larger or smaller by it (L8). */
  private returnStreamWindow(stream: Stream): void {
    const size = Math.max(this.fairWindow(stream), stream.windowSize - stream.unreturned);
    const increment = stream.unreturned + size - stream.windowSize;
    stream.unreturned = 0;
    this.resize(stream, size);
    if (increment === 0) return;
    stream.receiveWindow += increment;
    writeWindowUpdate(this.output, stream.id, increment);
  }

  private fairWindow(stream: Stream): number {
    if (this.held > MAX_CONNECTION_BUFFER) return SMALLEST_STREAM_WINDOW;
    if (this.held > MAX_CONNECTION_BUFFER / 2) return INITIAL_STREAM_WINDOW;
    const grown = this.grownOctets - beyondInitial(stream.windowSize) + MAX_STREAM_BUFFER - INITIAL_STREAM_WINDOW;
    return grown <= MAX_CONNECTION_BUFFER ? MAX_STREAM_BUFFER : Math.max(stream.windowSize, INITIAL_STREAM_WINDOW);
  }

  private resize(stream: Stream, size: number): void {
    this.grownOctets += beyondInitial(size) - beyondInitial(stream.windowSize);
    stream.windowSize = size;
  }

  /** Returns octets to the connection's window. */
  returnWindow(octets: number): void {
    this.unreturned += octets;
    if (this.unreturned < CONNECTION_WINDOW / 2) return;
    this.receiveWindow += this.unreturned;
    writeWindowUpdate(this.output, 0, this.unreturned);
    this.unreturned = 0;
  }

  release(stream: Stream): void {
    this.held -= stream.held;
    this.buffers.held -= stream.held;
    stream.held = 0;
  }

  // === Ends

  reset(stream: Stream, code: number): void {
    if (stream.closed) return;
    this.writeReset(stream.id, code);
    this.remove(stream, true);
  }

  writeReset(id: number, code: number): void {
    this.resets?.take(this.clock.nowMs);
    writeReset(this.output, id, code);
  }

  localEnd(stream: Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed && !stream.closed) this.leave(stream, false);
  }

  remoteEnd(stream: Stream): void {
    stream.remoteClosed = true;
    if (stream.localClosed && !stream.closed) this.leave(stream, false);
  }

  /** Takes a stream that was reset out of the table and settles its account. */
  remove(stream: Stream, byUs: boolean): void {
    if (stream.closed) return;
    if (stream.queue !== null) this.sender.drop(stream);
    this.release(stream);
    this.leave(stream, byUs);
  }

  /** Takes a stream out of the table. What its handler still holds goes on counting (L8) until it is credited. */
  private leave(stream: Stream, byUs: boolean): void {
    stream.closed = true;
    this.resize(stream, INITIAL_STREAM_WINDOW);
    this.table.delete(stream.id);
    this.closed.add(stream.id, byUs);
    if (this.table.size === 1) this.sender.resume(); // it may use the whole window
    this.onLeft.streamLeft();
  }

  /** The peer's GOAWAY: streams above lastId were not processed and may be tried elsewhere. */
  refuseAbove(lastId: number): void {
    for (const stream of this.table.all()) {
      if (stream.id <= lastId || stream.closed) continue;
      this.remove(stream, false);
      stream.handler.onReset(stream, REFUSED_STREAM, 'peer', false, '');
    }
  }

  /** Resets the stream with the most octets in its queue, or else the one that holds the most (L8). */
  shedLargest(): void {
    const queued = this.sender.queuedOctets > 0;
    let largest: Stream | null = null;
    let most = 0;
    for (const stream of this.table.all()) {
      const octets = !queued ? stream.held : stream.queue === null ? 0 : stream.queuedOctets;
      if (octets <= most) continue;
      most = octets;
      largest = stream;
    }
    if (largest === null) return;
    this.reset(largest, ENHANCE_YOUR_CALM);
    largest.handler.onReset(largest, ENHANCE_YOUR_CALM, 'shed', true, 'what is sent is not read, and the sidecar needs its memory');
  }

  /** The connection went away under all of them. @param reason of its end */
  abort(code: number, reason: string): void {
    for (const stream of this.table.all()) {
      if (stream.closed) continue;
      this.remove(stream, true);
      stream.handler.onReset(stream, code, 'connection', true, reason);
    }
  }
}

function beyondInitial(windowSize: number): number {
  return Math.max(0, windowSize - INITIAL_STREAM_WINDOW);
}
