// One HTTP/2 connection, either end: its life from the preface to the end of the socket.
// Its streams are in streams.ts, what comes in is judged in receiver.ts.

import type { BufferHolder, Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner, RefusalCause, ServedConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { HANDSHAKE_TIMEOUT_MS, IDLE_CONNECTION_MS, MAX_HEADER_LIST_OCTETS, STALL_TIMEOUT_MS } from '../http/limits.ts';
import { Output } from '../http/output.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { CANCEL, ENHANCE_YOUR_CALM, errorName, NO_ERROR, SETTINGS_TIMEOUT } from '../http/reset-code.ts';
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
import type { ConnectionOptions } from './connection-options.ts';
import { FloodGuard } from './flood.ts';
import { FrameReader } from './frame-reader.ts';
import { writeGoaway, writePing, writeSettings, writeWindowUpdate } from './frames.ts';
import type { ConnectionLife } from './life.ts';
import {
  CONNECTION_WINDOW,
  DECODER_TABLE_SIZE,
  ERROR_LINGER_MS,
  INITIAL_STREAM_WINDOW,
  RESET_BUDGET,
  RESETS_PER_SECOND,
} from './limits.ts';
import { Receiver } from './receiver.ts';
import type { Stream } from './stream.ts';
import { Streams } from './streams.ts';
import { TokenBucket } from './token-bucket.ts';

const LOCAL_SETTINGS = [
  [SETTINGS_HEADER_TABLE_SIZE, DECODER_TABLE_SIZE],
  [SETTINGS_INITIAL_WINDOW_SIZE, INITIAL_STREAM_WINDOW],
  [SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_OCTETS],
] as const;

const PING_DATA = Buffer.from('weft-ka\0');
const DRAIN_PING_DATA = Buffer.from('weft-bye');
/** How long a drain waits for the answer to its PING: what the peer sent before it saw the GOAWAY comes first. */
const DRAIN_PING_WAIT_MS = 1000;

export class Connection implements ServedConnection, ConnectionLife, BufferHolder {
  readonly streams: Streams;
  readonly output: Output;
  ready = false;
  draining = false;
  closed = false;
  readonly peer: string;
  private readonly buffers: Buffers;
  private readonly client: boolean;
  private readonly clock: Clock;
  private readonly owner: ConnectionOwner;
  private readonly transport: Transport;
  private readonly flood: FloodGuard;
  /** Resets that may still be sent; null: as many as one likes. */
  private readonly resets: TokenBucket | null;
  private readonly receiver: Receiver;
  private readonly reader: FrameReader;
  private readonly openedAtMs: number;
  /** When we sent our last octet: from then on only tick() and the socket's end matter. 0: not yet. */
  private endingSinceMs = 0;
  /** 0: no drain() yet. */
  private drainDeadlineMs = 0;
  private drainStartedMs = 0;
  /** 0: no PING is on its way. */
  private pingSentAtMs = 0;
  private lastReadMs: number;
  /** Since when it has had no stream; meaningless while it has one. */
  idleSinceMs: number;
  /**
   * A server's peer said GOAWAY: it may still send requests (RFC 9113 §6.8), and the connection ends when it has none.
   */
  private peerLeaves = false;
  /** `lastReadMs` of the latest answer to a PING; 0: there was none. */
  private pongReadMs = 0;
  private closeReason = '';

  constructor(transport: Transport, owner: ConnectionOwner, clock: Clock, options: ConnectionOptions) {
    this.transport = transport;
    this.owner = owner;
    this.clock = clock;
    this.client = options.client;
    this.openedAtMs = clock.nowMs;
    this.lastReadMs = clock.nowMs;
    this.idleSinceMs = clock.nowMs;
    const flood = new FloodGuard(clock.nowMs, options.trusted);
    this.flood = flood;
    const resets = options.client && !options.trusted ? new TokenBucket(RESET_BUDGET, RESETS_PER_SECOND, clock.nowMs) : null;
    this.resets = resets;
    const output = new Output(transport, () => this.outputDrained());
    this.output = output;
    this.streams = new Streams({ output, flood, clock, client: options.client, resets, onLeft: this, buffers: options.buffers });
    this.peer = options.peer;
    this.buffers = options.buffers;
    this.buffers.add(this);
    this.receiver = new Receiver({ ...options, life: this, streams: this.streams, output, flood, clock });
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
    if (this.closed || this.endingSinceMs !== 0) return;
    this.lastReadMs = this.clock.nowMs;
    this.reader.push(buf, start, end);
  }

  /** The kernel took what was written. */
  private outputDrained(): void {
    this.streams.sender.resume();
    this.hasRoom();
  }

  /** The socket ended or broke. */
  transportClosed(reason: string): void {
    this.finish(this.closeReason || reason, CANCEL);
  }

  // === Streams

  get used(): boolean {
    return this.streams.nextId > 1;
  }

  get openStreams(): number {
    return this.streams.size;
  }

  get held(): number {
    return this.streams.held;
  }

  get queuedOctets(): number {
    return this.streams.sender.queuedOctets;
  }

  shedLargest(): void {
    this.streams.shedLargest();
  }

  get stopped(): boolean {
    return this.closed || this.endingSinceMs !== 0;
  }

  get canOpen(): boolean {
    if (!this.ready || this.draining || this.stopped || !this.streams.haveRoom) return false;
    if (this.output.full || this.streams.sender.clogged) return false;
    // Each stream that is open may yet be cancelled.
    return this.resets === null || this.resets.left(this.clock.nowMs) > this.streams.size;
  }

  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Stream {
    const stream = this.streams.open(handler, source, varying, endStream);
    if (this.streams.idsUsedUp) this.draining = true; // it ends with its last stream
    return stream;
  }

  requested(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler {
    return this.owner.onRequest(stream, block, endStream);
  }

  refused(cause: RefusalCause, reason: string, block: HeaderBlock, stream: Stream | null): void {
    this.owner.onRefused(cause, reason, block, stream);
  }

  streamLeft(): void {
    if (this.resets !== null && !this.draining && this.resets.left(this.clock.nowMs) < RESET_BUDGET / 4)
      this.drain(Number.POSITIVE_INFINITY);
    if (this.streams.size === 0) this.idleSinceMs = this.clock.nowMs;
    if ((this.draining || this.peerLeaves) && this.streams.size === 0) this.closeWhenIdle();
    else if (this.client) this.owner.onCapacity(this);
  }

  hasRoom(): void {
    if (this.client) this.owner.onCapacity(this);
  }

  // === The connection's life

  settled(): void {
    this.ready = true;
    this.streams.sender.resume();
    this.owner.onCapacity(this);
  }

  /**
   * Graceful end (RFC 9113 §6.8): GOAWAY with the highest id and a PING; when the PING returned nothing older is
   * under way, the real last id follows, and the connection closes after its last stream or at deadlineMs.
   * Called again, the earlier deadline holds.
   */
  drain(deadlineMs: number): void {
    if (this.closed) return;
    if (this.drainDeadlineMs !== 0) {
      this.drainDeadlineMs = Math.min(this.drainDeadlineMs, deadlineMs);
      return;
    }
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
    this.pongReadMs = this.lastReadMs;
    if (this.drainDeadlineMs !== 0 && !this.draining && DRAIN_PING_DATA.compare(buf, start, start + 8) === 0) this.lastGoaway();
  }

  private lastGoaway(): void {
    this.draining = true;
    writeGoaway(this.output, this.streams.lastPeerId, NO_ERROR, 'drained');
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  goawayReceived(lastId: number, code: number): void {
    if (code !== NO_ERROR) this.closeReason ||= `goaway: ${errorName(code)}`;
    if (!this.client) {
      this.peerLeaves = true; // where nothing is under way, tick() closes: what came with the GOAWAY is served
      return;
    }
    this.draining = true;
    this.streams.refuseAbove(lastId);
    this.owner.onCapacity(this);
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  /** Closes a server's connection that has no streams; what may be under way is above the last id of its GOAWAY. */
  dismiss(reason: string): void {
    this.closeReason ||= reason;
    this.closeWhenIdle();
  }

  turnAway(reason: string): void {
    this.fail(ENHANCE_YOUR_CALM, reason);
  }

  /** GOAWAY, and the socket is gone after ERROR_LINGER_MS whatever the peer does (RFC 9113 §5.4.1). */
  fail(code: number, reason: string): void {
    if (this.closed || this.endingSinceMs !== 0) return;
    this.endingSinceMs = this.clock.nowMs;
    this.draining = true;
    this.closeReason ||= `${errorName(code)}: ${reason}`;
    writeGoaway(this.output, this.streams.lastPeerId, code, reason.slice(0, 60));
    this.streams.abort(code, this.closeReason);
    this.output.end();
    this.owner.onCapacity(this);
  }

  streamError(id: number, code: number, reason: string, cause: ResetCause = 'malformed'): void {
    const stream = this.streams.table.get(id);
    // A server's handler may answer first, which ends the stream if the request had ended, and reset it with a code of
    // its own.
    if (stream !== undefined && !this.client) stream.handler.onReset(stream, code, cause, true, reason);
    if (this.stopped) return; // that was the last stream of a drain
    const resetByHandler = stream?.closed === true && !stream.remoteClosed;
    if (!resetByHandler) this.streams.writeReset(id, code);
    if (stream === undefined || stream.closed) this.streams.closed.add(id, true);
    else this.streams.remove(stream, true);
    if (stream !== undefined && this.client) stream.handler.onReset(stream, code, cause, true, reason);
    if (!this.client && this.flood.forcedReset(this.clock.nowMs)) this.fail(ENHANCE_YOUR_CALM, `forced-resets: ${reason}`);
  }

  destroy(reason: string): void {
    this.finish(reason, CANCEL);
  }

  idleMs(nowMs: number): number {
    return nowMs - this.lastReadMs;
  }

  get heardOnlyPong(): boolean {
    return this.lastReadMs === this.pongReadMs;
  }

  ping(nowMs: number): void {
    if (this.pingSentAtMs !== 0 || this.closed) return;
    this.pingSentAtMs = nowMs;
    writePing(this.output, false, PING_DATA, 0);
  }

  tick(nowMs: number, pingTimeoutMs: number): void {
    if (this.closed) return;
    if (this.endingSinceMs !== 0) {
      if (nowMs - this.endingSinceMs >= ERROR_LINGER_MS) this.finish(this.closeReason, CANCEL);
      return;
    }
    if (!this.ready && nowMs - this.openedAtMs > HANDSHAKE_TIMEOUT_MS) return this.fail(SETTINGS_TIMEOUT, 'no SETTINGS');
    if (this.receiver.blockIsStuck(nowMs)) return this.fail(ENHANCE_YOUR_CALM, 'header block does not end');
    if (this.pingSentAtMs !== 0 && nowMs - this.pingSentAtMs > pingTimeoutMs) {
      if (this.lastReadMs < this.pingSentAtMs) return this.finish('ping timeout', CANCEL);
      this.pingSentAtMs = 0;
    }
    if (this.drainDeadlineMs !== 0) {
      if (nowMs >= this.drainDeadlineMs) return this.finish('drain deadline', CANCEL);
      if (!this.draining && nowMs - this.drainStartedMs >= DRAIN_PING_WAIT_MS) this.lastGoaway();
    }
    if (this.streams.sender.queuedOctets > 0 && nowMs - this.lastReadMs >= STALL_TIMEOUT_MS) this.ping(nowMs);
    if (this.streams.size > 0) return;
    if (nowMs - this.idleSinceMs >= IDLE_CONNECTION_MS) this.drain(Number.POSITIVE_INFINITY);
    this.output.shrink();
    if (this.peerLeaves) this.closeWhenIdle();
  }

  private closeWhenIdle(): void {
    if (this.closed || this.endingSinceMs !== 0) return;
    this.endingSinceMs = this.clock.nowMs;
    this.closeReason ||= 'drained';
    if (this.client) writeGoaway(this.output, 0, NO_ERROR, '');
    else if (!this.draining) writeGoaway(this.output, this.streams.lastPeerId, NO_ERROR, this.closeReason);
    this.output.end();
  }

  private finish(reason: string, code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.draining = true;
    this.streams.abort(code, this.closeReason || reason);
    this.buffers.delete(this);
    this.transport.destroy();
    this.owner.onClosed(this, this.closeReason || reason);
  }
}
