// What both ends of an HTTP/1.1 connection share: octets in and out, what is held of them, and the connection's life.
import type { BufferHolder, Buffers } from '../http/buffers.ts';
import type { Clock } from '../http/clock.ts';
import type { ConnectionOwner, MessageConnection } from '../http/connection.ts';
import type { Field } from '../http/field.ts';
import { fieldNames } from '../http/field-name.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { Interned } from '../http/interned.ts';
import { HANDSHAKE_TIMEOUT_MS, IDLE_CONNECTION_MS, MAX_STREAM_BUFFER } from '../http/limits.ts';
import { Output } from '../http/output.ts';
import { ENHANCE_YOUR_CALM } from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
import type { Duplex } from '../http/transport.ts';
import { ContentSender } from './content-sender.ts';
import { Fields } from './fields.ts';
import { LAST_WORDS_MS } from './limits.ts';
import type { Head, MessageFault } from './message.ts';
import { MessageReader, type MessageSink } from './message-reader.ts';
import type { Section } from './section.ts';
import type { Turn } from './turn.ts';

export const NOTHING = Buffer.alloc(0);

export abstract class TurnConnection implements MessageConnection, BufferHolder, MessageSink {
  readonly ready = true;
  readonly heardOnlyPong = false;
  readonly peer: string;
  draining = false;
  closed = false;
  held = 0;
  idleSinceMs: number;
  protected turn: Turn | null = null;
  protected readonly output: Output;
  protected readonly reader: MessageReader;
  protected readonly content: ContentSender;
  protected readonly interned: Interned;
  protected readonly transport: Duplex;
  protected readonly owner: ConnectionOwner;
  protected readonly clock: Clock;
  /** Octets that came behind the message that is under way. */
  protected behind: Buffer = NOTHING;
  protected closeReason = '';
  /** The peer has sent FIN. */
  protected peerEnded = false;
  /** 0: our last octet is still to come. */
  private endingSinceMs = 0;
  private drainDeadlineMs = Number.POSITIVE_INFINITY;
  private headSinceMs = 0;
  private lastReadMs: number;
  private isPaused = false;
  private isFeeding = false;
  private readonly buffers: Buffers;

  /** @param mayBeginEmpty as in MessageReader */
  constructor(transport: Duplex, owner: ConnectionOwner, clock: Clock, peer: string, buffers: Buffers, mayBeginEmpty: boolean) {
    this.transport = transport;
    this.owner = owner;
    this.clock = clock;
    this.peer = peer;
    this.buffers = buffers;
    this.idleSinceMs = clock.nowMs;
    this.lastReadMs = clock.nowMs;
    this.interned = new Interned(fieldNames, 1, () => {});
    this.output = new Output(transport, () => this.resumeSending());
    this.content = new ContentSender(this.output, (isWhole) => this.localEnd(isWhole));
    this.reader = new MessageReader(this, new Fields(this.interned), mayBeginEmpty);
    buffers.add(this);
    transport.onBytes = (buf, length) => this.receive(buf, length);
    transport.onEnd = () => this.remoteFin();
    transport.onClosed = (reason) => this.finish(reason);
  }

  // === What each end does in its own way

  abstract readonly used: boolean;
  abstract readonly canOpen: boolean;
  abstract open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): Turn;

  abstract readHead(section: Section): Head | MessageFault;
  abstract onHead(head: Head): void;
  abstract onFault(fault: MessageFault): void;
  /** Our message is whole. @param isWhole false: it has another length than was announced */
  protected abstract localEnd(isWhole: boolean): void;
  /** The message that came is whole, and its handler knows it. */
  protected abstract remoteEnd(): void;
  /** The connection is gone under the turn. */
  protected abstract lose(turn: Turn, reason: string): void;
  /** The peer has sent FIN. @param isWhole it stands between two messages, or ends one */
  protected abstract peerLeft(isWhole: boolean): void;
  /** Octets came while no message is read. @returns whether the next message may be read now */
  protected abstract mayReadOn(): boolean;
  /** The peer takes octets again, or nothing is held any more. */
  protected abstract hasRoom(): void;

  // === In

  private receive(buf: Buffer, length: number): void {
    this.lastReadMs = this.clock.nowMs;
    if (this.stopped) return;
    if (this.behind.length > 0) this.behind = Buffer.concat([this.behind, buf.subarray(0, length)]);
    else this.feed(buf, length);
  }

  /** Reads what stands behind the message that has ended. */
  protected readOn(): void {
    if (this.isFeeding || this.stopped) return;
    if (this.reader.isIdle && !this.mayReadOn()) return;
    const { behind } = this;
    this.behind = NOTHING;
    if (behind.length > 0) this.feed(behind, behind.length);
    this.balance();
  }

  private feed(buf: Buffer, length: number): void {
    const { reader } = this;
    let pos = 0;
    this.isFeeding = true;
    while (pos < length && !this.stopped) {
      if (reader.isIdle && !this.mayReadOn()) break;
      pos = reader.push(buf, pos, length);
    }
    this.isFeeding = false;
    if (this.stopped) return;
    if (pos < length) this.behind = Buffer.from(buf.subarray(pos, length));
    else if (this.peerEnded && this.turn === null) return this.end('closed by the peer');
    if (!reader.isInHead) this.headSinceMs = 0;
    else if (this.headSinceMs === 0) this.headSinceMs = this.clock.nowMs;
    this.balance();
  }

  onContent(buf: Buffer, start: number, end: number, isLast: boolean): void {
    const turn = this.turn!;
    turn.held += end - start;
    this.held += end - start;
    if (isLast) turn.remoteClosed = true;
    this.buffers.take(end - start);
    if (turn.closed) return; // it was shed
    turn.handler.onData(turn, buf, start, end, isLast);
    if (isLast) this.remoteEnd();
  }

  onEnd(trailers: HeaderBlock | null): void {
    const turn = this.turn!;
    turn.remoteClosed = true;
    if (trailers === null) turn.handler.onData(turn, NOTHING, 0, 0, true);
    else turn.handler.onTrailers(turn, trailers);
    this.remoteEnd();
  }

  private remoteFin(): void {
    if (this.closed || this.peerEnded) return;
    this.peerEnded = true;
    if (this.endingSinceMs !== 0) return this.finish(this.closeReason);
    this.peerLeft(this.reader.end() && this.behind.length === 0);
  }

  // === What is held

  credit(turn: Turn, octets: number): void {
    if (turn.held === 0) return; // release() has settled its account
    turn.held -= octets;
    this.held -= octets;
    this.buffers.held -= octets;
    this.balance();
    if (this.held === 0) this.hasRoom();
  }

  release(turn: Turn): void {
    this.held -= turn.held;
    this.buffers.held -= turn.held;
    turn.held = 0;
    this.balance();
  }

  /** Reads only while there is room for what comes. */
  private balance(): void {
    if (this.isFeeding) return;
    const isFull = !this.stopped && (this.behind.length > 0 || this.held >= (this.isPaused ? MAX_STREAM_BUFFER / 2 : MAX_STREAM_BUFFER));
    if (isFull === this.isPaused || this.closed) return;
    this.isPaused = isFull;
    if (isFull) this.transport.pause();
    else this.transport.resume();
  }

  get queuedOctets(): number {
    return this.content.queuedOctets;
  }

  shedLargest(): void {
    const { turn } = this;
    if (turn === null) return;
    turn.handler.onReset(turn, ENHANCE_YOUR_CALM, 'shed', true, 'what is sent is not read, and the sidecar needs its memory');
    this.finish('shed');
  }

  // === Out

  sendData(turn: Turn, buf: Buffer, start: number, end: number, endStream: boolean): number {
    if (turn.closed || turn.localClosed) return end - start;
    return this.content.send(buf, start, end, endStream);
  }

  sendTrailers(turn: Turn, source: HeaderSource, varying: readonly Field[]): void {
    if (!turn.closed && !turn.localClosed) this.content.sendTrailers(source, varying);
  }

  private resumeSending(): void {
    const { turn } = this;
    if (turn !== null && !turn.localClosed && !turn.closed) {
      const sent = this.content.resume();
      if (sent > 0) turn.handler.onSent(turn, sent);
    }
    this.hasRoom();
  }

  // === Life

  get openStreams(): number {
    return this.turn === null ? 0 : 1;
  }

  get stopped(): boolean {
    return this.closed || this.endingSinceMs !== 0;
  }

  idleMs(nowMs: number): number {
    return nowMs - this.lastReadMs;
  }

  /** HTTP/1.1 has no such question: a peer that is gone is noticed by TCP's keepalive. */
  ping(): void {}

  drain(deadlineMs: number): void {
    this.draining = true;
    this.drainDeadlineMs = Math.min(this.drainDeadlineMs, deadlineMs);
    if (this.turn === null && !this.reader.isInHead) this.end('drained');
  }

  destroy(reason: string): void {
    this.finish(reason);
  }

  tick(nowMs: number): void {
    if (this.closed) return;
    if (this.endingSinceMs !== 0) {
      if (nowMs - this.endingSinceMs >= LAST_WORDS_MS) this.finish(this.closeReason);
      return;
    }
    if (this.headSinceMs !== 0 && nowMs - this.headSinceMs > HANDSHAKE_TIMEOUT_MS) return this.finish('a head does not end');
    if (nowMs >= this.drainDeadlineMs) return this.finish('drain deadline');
    if (this.turn !== null) return;
    if (nowMs - this.idleSinceMs >= IDLE_CONNECTION_MS && !this.reader.isInHead) this.end('idle');
    this.output.shrink();
  }

  /** Nothing more is said: what was written goes out, and what comes is dropped. */
  protected end(reason: string): void {
    if (this.stopped) return;
    this.closeReason ||= reason;
    this.draining = true;
    this.endingSinceMs = this.clock.nowMs;
    this.behind = NOTHING;
    this.reader.stop();
    this.balance();
    this.output.end();
    if (this.peerEnded) this.finish(reason);
  }

  /** The turn is over both ways. */
  protected endTurn(): void {
    const { turn } = this;
    if (turn === null) return;
    turn.closed = true;
    this.turn = null;
    this.idleSinceMs = this.clock.nowMs;
  }

  /** The peer must not take what it got for all there was. */
  protected cut(reason: string): void {
    if (this.closed) return;
    this.output.flush();
    this.transport.reset();
    this.finish(reason);
  }

  protected finish(reason: string): void {
    if (this.closed) return;
    this.closed = true;
    this.draining = true;
    this.reader.stop();
    const { turn } = this;
    if (turn !== null) {
      this.turn = null;
      turn.closed = true;
      this.content.drop();
      this.lose(turn, this.closeReason || reason);
      this.release(turn);
    }
    this.buffers.delete(this);
    this.transport.destroy();
    this.owner.onClosed(this, this.closeReason || reason);
  }
}
