// One HTTP/2 connection, either end: its streams, what is sent on them, flow control and the connection's life.
// What comes in is in receiver.ts. A stream is a record here; no timer, promise or closure is made per stream.
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner, MessageConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import {
  HANDSHAKE_TIMEOUT_MS,
  MAX_CONNECTION_BUFFER,
  MAX_HEADER_LIST_OCTETS,
  MAX_STREAM_BUFFER,
  STALL_TIMEOUT_MS,
} from '../http/limits.ts';
import { Output } from '../http/output.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { CANCEL, ENHANCE_YOUR_CALM, errorName, NO_ERROR, REFUSED_STREAM, SETTINGS_TIMEOUT } from '../http/reset-code.ts';
import type { ResetCause, StreamHandler } from '../http/stream.ts';
import type { Transport } from '../http/transport.ts';
import {
  MAX_STREAM_ID,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_HEADER_LIST_SIZE,
} from './codes.ts';
import { FloodGuard } from './flood.ts';
import { FrameReader } from './frame-reader.ts';
import { writeGoaway, writeHeaders, writePing, writeReset, writeSettings, writeWindowUpdate } from './frames.ts';
import { HpackEncoder } from './hpack-encoder.ts';
import { CONNECTION_WINDOW, DECODER_TABLE_SIZE, ERROR_LINGER_MS, INITIAL_STREAM_WINDOW } from './limits.ts';
import { Receiver } from './receiver.ts';
import { flushQueue, queueData, queueTrailers, sendDataNow } from './send-queue.ts';
import { Stream, type StreamEnds } from './stream.ts';
import { StreamTable } from './stream-table.ts';

const LOCAL_SETTINGS = [
  [SETTINGS_HEADER_TABLE_SIZE, DECODER_TABLE_SIZE],
  [SETTINGS_INITIAL_WINDOW_SIZE, INITIAL_STREAM_WINDOW],
  [SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_OCTETS],
] as const;

/** Streams that closed lately are remembered to tell a late frame from a wrong one: a ring of id * 2 + (we reset it), power of two. */
const CLOSED_RING = 1024;

const PING_DATA = Buffer.from('weft-ka\0');
const DRAIN_PING_DATA = Buffer.from('weft-bye');
/** How long a drain waits for the answer to its PING: what the peer sent before it saw the GOAWAY comes first. */
const DRAIN_PING_WAIT_MS = 1000;

export class Connection implements MessageConnection, StreamEnds {
  readonly client: boolean;
  readonly clock: Clock;
  readonly owner: ConnectionOwner;
  readonly output: Output;
  readonly encoder = new HpackEncoder();
  readonly flood: FloodGuard;
  readonly streams = new StreamTable();
  /** Streams that this peer may have open at once (what we advertise). */
  readonly maxPeerStreams: number;
  /** Streams that we may open at once. */
  peerMaxStreams = 100;
  settingsReceived = false;
  peerInitialWindow = 65_535;
  sendWindow = 65_535;
  receiveWindow = CONNECTION_WINDOW;
  /** Received octets not yet consumed by their streams' handlers, over all streams (L8). */
  held = 0;
  /** Highest stream id that the peer opened. */
  lastPeerStreamId = 0;
  /** The peer said GOAWAY, or we did: no new streams. */
  draining = false;
  closed = false;
  private readonly transport: Transport;
  private readonly receiver: Receiver;
  private readonly reader: FrameReader;
  private nextStreamId = 1;
  private unreturned = 0;
  private waiting: Stream[] = [];
  private flushing = false;
  private readonly closedRing = new Uint32Array(CLOSED_RING);
  private closedAt = 0;
  private readonly openedAtMs: number;
  private failedAtMs = 0;
  private drainDeadlineMs = 0;
  private drainStartedMs = 0;
  private pingSentAtMs = 0;
  private lastReadMs: number;
  private closeReason = '';

  constructor(transport: Transport, owner: ConnectionOwner, clock: Clock, options: { client: boolean; maxPeerStreams: number }) {
    this.transport = transport;
    this.owner = owner;
    this.clock = clock;
    this.client = options.client;
    this.maxPeerStreams = options.maxPeerStreams;
    this.openedAtMs = clock.nowMs;
    this.lastReadMs = clock.nowMs;
    this.flood = new FloodGuard(clock.nowMs);
    this.output = new Output(transport, () => this.resumeWaiting());
    this.receiver = new Receiver(this);
    this.reader = new FrameReader(this.receiver);
    if (this.client) {
      const b = this.output.reserve(HTTP2_PREFACE.length);
      HTTP2_PREFACE.copy(b, this.output.length);
      this.output.length += HTTP2_PREFACE.length;
      writeSettings(this.output, [...LOCAL_SETTINGS, [SETTINGS_ENABLE_PUSH, 0]]);
    } else {
      writeSettings(this.output, [...LOCAL_SETTINGS, [SETTINGS_MAX_CONCURRENT_STREAMS, options.maxPeerStreams]]);
    }
    writeWindowUpdate(this.output, 0, CONNECTION_WINDOW - 65_535);
  }

  // === Octets and the end of them

  /** Octets from the socket, valid during the call. A server's begin after the client's preface. */
  receive(buf: Buffer, start: number, end: number): void {
    if (this.closed || this.failedAtMs !== 0) return;
    this.lastReadMs = this.clock.nowMs;
    this.reader.push(buf, start, end);
  }

  /** The socket ended or broke. */
  transportClosed(reason: string): void {
    this.finish(this.closeReason || reason, CANCEL);
  }

  // === Streams

  /** The id that the next stream of ours will have. */
  get nextId(): number {
    return this.nextStreamId;
  }

  get ready(): boolean {
    return this.settingsReceived;
  }

  get used(): boolean {
    return this.nextStreamId > 1;
  }

  /** No frame counts any more. */
  get stopped(): boolean {
    return this.closed || this.failedAtMs !== 0;
  }

  /** Whether open() may be called now. */
  get canOpen(): boolean {
    return (
      this.settingsReceived &&
      !this.draining &&
      !this.closed &&
      this.failedAtMs === 0 &&
      this.streams.size < this.peerMaxStreams &&
      this.nextStreamId < MAX_STREAM_ID - 2
    );
  }

  /** Opens a stream with a request's header section; canOpen must hold. */
  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Stream {
    const stream = new Stream(this.nextStreamId, this, handler, this.peerInitialWindow, this.clock.nowMs);
    this.nextStreamId += 2;
    if (this.nextStreamId >= MAX_STREAM_ID - 2) this.draining = true; // its ids are used up: it ends with its last stream
    this.streams.add(stream);
    this.flood.work();
    writeHeaders(this.output, stream.id, this.encoder.encode(source), varying, endStream);
    stream.localClosed = endStream;
    return stream;
  }

  /** A header section that does not end the message's headers (1xx), or the final one. */
  sendHeaders(stream: Stream, source: HeaderSource, varying: readonly Field[], endStream: boolean): void {
    if (stream.closed || stream.localClosed) return;
    this.flood.work();
    writeHeaders(this.output, stream.id, this.encoder.encode(source), varying, endStream);
    if (endStream) this.localEnd(stream);
  }

  /**
   * Sends buf[start, end), or queues a copy of what has no room.
   * @returns octets that went out at once; for the others the handler's onSent is called later
   */
  sendData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number {
    if (stream.closed || stream.localClosed) return end - start;
    this.flood.work();
    const sent = stream.queue === null ? sendDataNow(this, stream, buf, start, end, endStream) : 0;
    if (sent < end - start || (endStream && !stream.localClosed)) {
      queueData(stream, buf, start + sent, end, endStream);
      this.wait(stream);
    }
    return sent;
  }

  /** Trailers; they follow what is queued. */
  sendTrailers(stream: Stream, source: HeaderSource, varying: readonly Field[]): void {
    if (stream.closed || stream.localClosed) return;
    if (stream.queue === null) this.sendHeaders(stream, source, varying, true);
    else queueTrailers(stream, source, varying);
  }

  /** Ends the stream at once, both ways. The handler is not told: it asked. */
  reset(stream: Stream, code: number): void {
    if (stream.closed) return;
    writeReset(this.output, stream.id, code);
    this.remove(stream, true);
  }

  /** Octets of the stream's DATA were consumed: the peer may send as many again. */
  credit(stream: Stream, octets: number): void {
    if (stream.closed && stream.held === 0) return; // release() has settled its account
    stream.held -= octets;
    this.held -= octets;
    stream.unreturned += octets;
    if (!stream.remoteClosed && stream.unreturned >= INITIAL_STREAM_WINDOW / 2) {
      let increment = stream.unreturned;
      if (!stream.grown) {
        stream.grown = true;
        increment += MAX_STREAM_BUFFER - INITIAL_STREAM_WINDOW;
      }
      stream.unreturned = 0;
      stream.receiveWindow += increment;
      writeWindowUpdate(this.output, stream.id, increment);
    }
    if (this.unreturned > 0) this.returnConnectionWindow(0);
  }

  /** Returns octets to the connection's window, unless too much is held already. */
  returnConnectionWindow(octets: number): void {
    this.unreturned += octets;
    if (this.unreturned < CONNECTION_WINDOW / 2 || this.held > MAX_CONNECTION_BUFFER) return;
    this.receiveWindow += this.unreturned;
    writeWindowUpdate(this.output, 0, this.unreturned);
    this.unreturned = 0;
  }

  /** The peer broke a rule on one stream (RFC 9113 §5.4.2): it is reset and its handler told. */
  streamError(id: number, code: number, reason: string): void {
    const stream = this.streams.get(id);
    writeReset(this.output, id, code);
    if (stream !== undefined) {
      this.remove(stream, true);
      stream.handler.onReset(stream, code, 'malformed', true);
    } else {
      this.remember(id, true);
    }
    if (!this.client && this.flood.forcedReset(this.clock.nowMs)) this.fail(ENHANCE_YOUR_CALM, `forced-resets: ${reason}`);
  }

  localEnd(stream: Stream): void {
    stream.localClosed = true;
    if (stream.remoteClosed && !stream.closed) this.leave(stream, false);
  }

  remoteEnd(stream: Stream): void {
    stream.remoteClosed = true;
    if (stream.localClosed && !stream.closed) this.leave(stream, false);
  }

  /** What the stream's handler still holds of its DATA is not wanted any more; credit() does nothing from here on if the stream is closed. */
  release(stream: Stream): void {
    this.held -= stream.held;
    stream.held = 0;
    if (this.unreturned > 0) this.returnConnectionWindow(0);
  }

  /** Takes a stream that was reset out of the table and settles its account. */
  remove(stream: Stream, byUs: boolean): void {
    if (stream.closed) return;
    stream.queue = null;
    this.release(stream);
    this.leave(stream, byUs);
  }

  /** Takes a stream out of the table. What its handler still holds goes on counting (L8) until it is credited. */
  private leave(stream: Stream, byUs: boolean): void {
    stream.closed = true;
    this.streams.delete(stream.id);
    this.remember(stream.id, byUs);
    if (this.draining && this.streams.size === 0) this.closeWhenIdle();
    else if (this.client) this.owner.onCapacity(this);
  }

  /** @returns 'reset' if we reset the stream lately, 'ended' if it closed otherwise, 'forgotten' if it may be one of long ago, null if it never was */
  recentlyClosed(id: number): 'reset' | 'ended' | 'forgotten' | null {
    for (let i = 0; i < CLOSED_RING; i++) {
      if (this.closedRing[i] >>> 1 === id) return (this.closedRing[i] & 1) === 1 ? 'reset' : 'ended';
    }
    return this.closedAt > CLOSED_RING ? 'forgotten' : null;
  }

  private remember(id: number, byUs: boolean): void {
    this.closedRing[this.closedAt++ & (CLOSED_RING - 1)] = (id << 1) | (byUs ? 1 : 0);
  }

  // === Room to send

  /** Puts a stream with queued data in line for windows and output. */
  wait(stream: Stream): void {
    if (stream.waiting || stream.closed) return;
    stream.waiting = true;
    stream.progressAtMs = this.clock.nowMs;
    this.waiting.push(stream);
  }

  /** Sends of the waiting streams what has room, a frame of each in turn. */
  resumeWaiting(): void {
    if (this.waiting.length === 0 || this.flushing) return;
    this.flushing = true; // a handler's onSent may call back into here
    let progress = true;
    while (progress && this.sendWindow > 0 && !this.output.full) {
      progress = false;
      const line = this.waiting;
      this.waiting = [];
      for (let i = 0; i < line.length; i++) {
        const stream = line[i];
        if (!stream.closed && flushQueue(this, stream)) progress = true;
        if (!stream.closed && stream.queue !== null) this.waiting.push(stream);
        else stream.waiting = false;
      }
    }
    this.flushing = false;
  }

  // === The connection's life

  /**
   * Graceful end (RFC 9113 §6.8): GOAWAY with the highest id and a PING; when the PING returned nothing older is
   * under way, the real last id follows, and the connection closes after its last stream or at deadlineMs.
   */
  drain(deadlineMs: number): void {
    if (this.closed || this.drainDeadlineMs !== 0) return;
    this.drainDeadlineMs = deadlineMs;
    this.drainStartedMs = this.clock.nowMs;
    if (this.client) {
      this.draining = true;
      if (this.streams.size === 0) this.closeWhenIdle();
      return;
    }
    writeGoaway(this.output, MAX_STREAM_ID, NO_ERROR, 'draining');
    writePing(this.output, false, DRAIN_PING_DATA, 0);
  }

  pingAcked(buf: Buffer, start: number): void {
    this.pingSentAtMs = 0;
    if (this.drainDeadlineMs !== 0 && !this.draining && DRAIN_PING_DATA.compare(buf, start, start + 8) === 0) this.lastGoaway();
  }

  private lastGoaway(): void {
    this.draining = true;
    writeGoaway(this.output, this.lastPeerStreamId, NO_ERROR, 'drained');
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  /** The peer's GOAWAY: streams above lastId were not processed and may be tried elsewhere. */
  goawayReceived(lastId: number, code: number): void {
    this.draining = true;
    if (this.client) {
      for (const stream of this.streams.all()) {
        if (stream.id <= lastId || stream.closed) continue;
        this.remove(stream, false);
        stream.handler.onReset(stream, REFUSED_STREAM, 'peer', false);
      }
    }
    if (code !== NO_ERROR) this.closeReason ||= `goaway: ${errorName(code)}`;
    this.owner.onCapacity(this);
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  /** A connection error (RFC 9113 §5.4.1): GOAWAY, and the socket is gone after ERROR_LINGER_MS whatever the peer does. */
  fail(code: number, reason: string): void {
    if (this.closed || this.failedAtMs !== 0) return;
    this.failedAtMs = this.clock.nowMs;
    this.draining = true;
    this.closeReason ||= `${errorName(code)}: ${reason}`;
    writeGoaway(this.output, this.lastPeerStreamId, code, reason.slice(0, 60));
    this.abortStreams(code);
    this.output.end();
    this.owner.onCapacity(this);
  }

  /** Drops everything at once. */
  destroy(reason: string): void {
    this.finish(reason, CANCEL);
  }

  /** @returns since when nothing was read, in ms */
  idleMs(nowMs: number): number {
    return nowMs - this.lastReadMs;
  }

  /** Asks the peer for a sign of life; tick() closes the connection if none comes. */
  ping(nowMs: number): void {
    if (this.pingSentAtMs !== 0 || this.closed) return;
    this.pingSentAtMs = nowMs;
    writePing(this.output, false, PING_DATA, 0);
  }

  /** About once a second: what must not take for ever. @param pingTimeoutMs how long a ping may stay unanswered */
  tick(nowMs: number, pingTimeoutMs: number): void {
    if (this.closed) return;
    if (this.failedAtMs !== 0) {
      if (nowMs - this.failedAtMs >= ERROR_LINGER_MS) this.finish(this.closeReason, CANCEL);
      return;
    }
    if (!this.settingsReceived && nowMs - this.openedAtMs > HANDSHAKE_TIMEOUT_MS) return this.fail(SETTINGS_TIMEOUT, 'no SETTINGS');
    if (this.receiver.blockIsStuck(nowMs)) return this.fail(ENHANCE_YOUR_CALM, 'header block does not end');
    if (this.pingSentAtMs !== 0 && nowMs - this.pingSentAtMs > pingTimeoutMs) {
      if (this.lastReadMs < this.pingSentAtMs) return this.finish('ping timeout', CANCEL);
      this.pingSentAtMs = 0;
    }
    if (this.drainDeadlineMs !== 0) {
      if (nowMs >= this.drainDeadlineMs) return this.finish('drain deadline', CANCEL);
      if (!this.draining && nowMs - this.drainStartedMs >= DRAIN_PING_WAIT_MS) this.lastGoaway();
    }
    for (const stream of this.waiting) {
      if (stream.closed || nowMs - stream.progressAtMs < STALL_TIMEOUT_MS) continue;
      this.reset(stream, CANCEL);
      stream.handler.onReset(stream, CANCEL, 'stalled', true);
    }
    if (this.streams.size === 0) this.output.shrink();
  }

  private closeWhenIdle(): void {
    if (this.closed || this.failedAtMs !== 0) return;
    this.failedAtMs = this.clock.nowMs; // from here on only tick() and the socket's end matter
    if (this.client) writeGoaway(this.output, 0, NO_ERROR, '');
    this.closeReason ||= 'drained';
    this.output.end();
  }

  private finish(reason: string, code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.draining = true;
    this.abortStreams(code);
    this.transport.destroy();
    this.owner.onClosed(this, this.closeReason || reason);
  }

  private abortStreams(code: number): void {
    const cause: ResetCause = 'connection';
    for (const stream of this.streams.all()) {
      if (stream.closed) continue;
      this.remove(stream, true);
      stream.handler.onReset(stream, code, cause, true);
    }
  }
}
