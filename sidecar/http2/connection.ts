// One HTTP/2 connection, either end: its life from the preface to the end of the socket.
// Its streams are in streams.ts, what comes in is judged in receiver.ts.
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner, MessageConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { HANDSHAKE_TIMEOUT_MS, MAX_HEADER_LIST_OCTETS } from '../http/limits.ts';
import { Output } from '../http/output.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { CANCEL, ENHANCE_YOUR_CALM, errorName, NO_ERROR, SETTINGS_TIMEOUT } from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
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
import { writeGoaway, writePing, writeReset, writeSettings, writeWindowUpdate } from './frames.ts';
import type { ConnectionLife } from './life.ts';
import { CONNECTION_WINDOW, DECODER_TABLE_SIZE, ERROR_LINGER_MS, INITIAL_STREAM_WINDOW } from './limits.ts';
import { Receiver } from './receiver.ts';
import type { Stream } from './stream.ts';
import { Streams } from './streams.ts';

const LOCAL_SETTINGS = [
  [SETTINGS_HEADER_TABLE_SIZE, DECODER_TABLE_SIZE],
  [SETTINGS_INITIAL_WINDOW_SIZE, INITIAL_STREAM_WINDOW],
  [SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST_OCTETS],
] as const;

const PING_DATA = Buffer.from('weft-ka\0');
const DRAIN_PING_DATA = Buffer.from('weft-bye');
/** How long a drain waits for the answer to its PING: what the peer sent before it saw the GOAWAY comes first. */
const DRAIN_PING_WAIT_MS = 1000;

export class Connection implements MessageConnection, ConnectionLife {
  readonly streams: Streams;
  readonly output: Output;
  ready = false;
  draining = false;
  closed = false;
  private readonly client: boolean;
  private readonly clock: Clock;
  private readonly owner: ConnectionOwner;
  private readonly transport: Transport;
  private readonly flood: FloodGuard;
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
  /** `lastReadMs` of the latest answer to a PING; 0: there was none. */
  private pongReadMs = 0;
  private closeReason = '';

  /** @param options.maxPeerStreams streams that the peer may have open at once: what a server announces */
  constructor(transport: Transport, owner: ConnectionOwner, clock: Clock, options: { client: boolean; maxPeerStreams: number }) {
    this.transport = transport;
    this.owner = owner;
    this.clock = clock;
    this.client = options.client;
    this.openedAtMs = clock.nowMs;
    this.lastReadMs = clock.nowMs;
    const flood = new FloodGuard(clock.nowMs);
    this.flood = flood;
    const output = new Output(transport, () => this.streams.sender.resume());
    this.output = output;
    this.streams = new Streams({ output, flood, clock, onLeft: this });
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

  get stopped(): boolean {
    return this.closed || this.endingSinceMs !== 0;
  }

  get canOpen(): boolean {
    return this.ready && !this.draining && !this.closed && this.endingSinceMs === 0 && this.streams.haveRoom;
  }

  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Stream {
    const stream = this.streams.open(handler, source, varying, endStream);
    if (this.streams.idsUsedUp) this.draining = true; // it ends with its last stream
    return stream;
  }

  requested(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler {
    return this.owner.onRequest(stream, block, endStream);
  }

  streamLeft(): void {
    if (this.draining && this.streams.size === 0) this.closeWhenIdle();
    else if (this.client) this.owner.onCapacity(this);
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
    this.pongReadMs = this.lastReadMs;
    if (this.drainDeadlineMs !== 0 && !this.draining && DRAIN_PING_DATA.compare(buf, start, start + 8) === 0) this.lastGoaway();
  }

  private lastGoaway(): void {
    this.draining = true;
    writeGoaway(this.output, this.streams.lastPeerId, NO_ERROR, 'drained');
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  goawayReceived(lastId: number, code: number): void {
    this.draining = true;
    // Before its last stream may go, and the connection with it.
    if (code !== NO_ERROR) this.closeReason ||= `goaway: ${errorName(code)}`;
    if (this.client) this.streams.refuseAbove(lastId);
    this.owner.onCapacity(this);
    if (this.streams.size === 0) this.closeWhenIdle();
  }

  /** GOAWAY, and the socket is gone after ERROR_LINGER_MS whatever the peer does (RFC 9113 §5.4.1). */
  fail(code: number, reason: string): void {
    if (this.closed || this.endingSinceMs !== 0) return;
    this.endingSinceMs = this.clock.nowMs;
    this.draining = true;
    this.closeReason ||= `${errorName(code)}: ${reason}`;
    writeGoaway(this.output, this.streams.lastPeerId, code, reason.slice(0, 60));
    this.streams.abort(code);
    this.output.end();
    this.owner.onCapacity(this);
  }

  streamError(id: number, code: number, reason: string): void {
    const stream = this.streams.table.get(id);
    writeReset(this.output, id, code);
    if (stream !== undefined) {
      this.streams.remove(stream, true);
      stream.handler.onReset(stream, code, 'malformed', true);
    } else {
      this.streams.closed.add(id, true);
    }
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
    this.streams.resetStalled(nowMs);
    if (this.streams.size === 0) this.output.shrink();
  }

  private closeWhenIdle(): void {
    if (this.closed || this.endingSinceMs !== 0) return;
    this.endingSinceMs = this.clock.nowMs;
    if (this.client) writeGoaway(this.output, 0, NO_ERROR, '');
    this.closeReason ||= 'drained';
    this.output.end();
  }

  private finish(reason: string, code: number): void {
    if (this.closed) return;
    this.closed = true;
    this.draining = true;
    this.streams.abort(code);
    this.transport.destroy();
    this.owner.onClosed(this, this.closeReason || reason);
  }
}
