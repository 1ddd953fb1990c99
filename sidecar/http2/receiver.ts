// What comes in on a connection, frame by frame (RFC 9113 §6): header blocks are put together, and the small frames
// take effect; messages.ts does the rest.

import type { Clock } from '../http/clock.ts';
import { HANDSHAKE_TIMEOUT_MS } from '../http/limits.ts';
import type { Output } from '../http/output.ts';
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, REFUSED_STREAM } from '../http/reset-code.ts';
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_PADDED,
  FLAG_PRIORITY,
  GOAWAY,
  HEADERS,
  MAX_WINDOW,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
} from './codes.ts';
import type { FloodGuard } from './flood.ts';
import type { FrameSink } from './frame-reader.ts';
import { writePing, writeReset, writeSettingsAck } from './frames.ts';
import type { ConnectionLife } from './life.ts';
import { MAX_CONTINUATIONS } from './limits.ts';
import { Messages, type MessagesDeps } from './messages.ts';
import { parseSettings } from './settings.ts';
import type { Streams } from './streams.ts';

function read32(b: Buffer, p: number): number {
  return ((b[p] << 24) | (b[p + 1] << 16) | (b[p + 2] << 8) | b[p + 3]) >>> 0;
}

export class Receiver implements FrameSink {
  private readonly client: boolean;
  private readonly life: ConnectionLife;
  private readonly streams: Streams;
  private readonly messages: Messages;
  private readonly output: Output;
  private readonly flood: FloodGuard;
  private readonly clock: Clock;
  /** The stream of a header block whose CONTINUATION frames are under way; 0: there is none. */
  private blockStreamId = 0;
  private blockFlags = 0;
  private blockSelfDependent = false;
  private blockParts: Buffer[] = [];
  private blockStartedMs = 0;

  constructor(deps: MessagesDeps) {
    this.client = deps.client;
    this.life = deps.life;
    this.streams = deps.streams;
    this.messages = new Messages(deps);
    this.output = deps.output;
    this.flood = deps.flood;
    this.clock = deps.clock;
  }

  onFrame(type: number, flags: number, id: number, buf: Buffer, start: number, end: number): boolean {
    if (this.blockStreamId !== 0 && (type !== CONTINUATION || id !== this.blockStreamId)) {
      this.life.fail(PROTOCOL_ERROR, 'a frame inside a header block');
    } else if (!this.life.ready && (type !== SETTINGS || (flags & FLAG_ACK) !== 0)) {
      this.life.fail(PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    } else if (type === DATA) {
      this.messages.onData(flags, id, buf, start, end);
    } else if (type === HEADERS) {
      this.onHeaders(flags, id, buf, start, end);
    } else if (type === WINDOW_UPDATE) {
      this.onWindowUpdate(id, buf, start, end);
    } else if (type === RST_STREAM) {
      this.onReset(id, buf, start, end);
    } else if (type === CONTINUATION) {
      this.onContinuation(flags, id, buf, start, end);
    } else if (this.streams.idleFrame()) {
      this.life.fail(ENHANCE_YOUR_CALM, 'idle-frames');
    } else if (type === SETTINGS) {
      this.onSettings(flags, id, buf, start, end);
    } else if (type === PING) {
      this.onPing(flags, id, buf, start, end);
    } else if (type === GOAWAY) {
      this.onGoaway(id, buf, start, end);
    } else if (type === PRIORITY) {
      this.onPriority(id, buf, start, end);
    } else if (type === PUSH_PROMISE) {
      this.life.fail(PROTOCOL_ERROR, 'PUSH_PROMISE');
    } // unknown types are ignored (RFC 9113 §4.1)
    return !this.life.stopped;
  }

  onFrameTooLarge(_type: number, _id: number): void {
    this.life.fail(FRAME_SIZE_ERROR, 'frame too large');
  }

  /** A header block was begun and does not end (L7). */
  blockIsStuck(nowMs: number): boolean {
    return this.blockStreamId !== 0 && nowMs - this.blockStartedMs > HANDSHAKE_TIMEOUT_MS;
  }

  // === Header blocks

  private onHeaders(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    if (id === 0) return this.life.fail(PROTOCOL_ERROR, 'HEADERS on stream 0');
    if ((flags & FLAG_PADDED) !== 0) {
      if (end - start < 1 || buf[start] >= end - start) return this.life.fail(PROTOCOL_ERROR, 'padding past the frame');
      end -= buf[start];
      start++;
    }
    let selfDependent = false;
    if ((flags & FLAG_PRIORITY) !== 0) {
      if (end - start < 5) return this.life.fail(PROTOCOL_ERROR, 'HEADERS too short for its priority');
      selfDependent = (read32(buf, start) & MAX_WINDOW) === id;
      start += 5;
    }
    if ((flags & FLAG_END_HEADERS) !== 0) return this.messages.onBlock(id, flags, selfDependent, buf, start, end);
    this.blockStreamId = id;
    this.blockFlags = flags;
    this.blockStartedMs = this.clock.nowMs;
    this.blockSelfDependent = selfDependent;
    this.blockParts = [Buffer.from(buf.subarray(start, end))];
  }

  private onContinuation(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    if (this.blockStreamId === 0) return this.life.fail(PROTOCOL_ERROR, 'CONTINUATION outside a header block');
    if (this.blockParts.length > MAX_CONTINUATIONS) return this.life.fail(ENHANCE_YOUR_CALM, 'continuations');
    this.blockParts.push(Buffer.from(buf.subarray(start, end)));
    if ((flags & FLAG_END_HEADERS) === 0) return;
    const whole = Buffer.concat(this.blockParts);
    this.blockStreamId = 0;
    this.blockParts = [];
    this.messages.onBlock(id, this.blockFlags, this.blockSelfDependent, whole, 0, whole.length);
  }

  // === The small frames

  private onSettings(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    const { life } = this;
    if (id !== 0) return life.fail(PROTOCOL_ERROR, 'SETTINGS on a stream');
    if ((flags & FLAG_ACK) !== 0) {
      if (start !== end) life.fail(FRAME_SIZE_ERROR, 'SETTINGS ack with a payload');
      return;
    }
    const settings = parseSettings(buf, start, end, this.client);
    if (!settings.ok) return life.fail(settings.code, settings.reason);
    if (!this.streams.apply(settings)) return life.fail(FLOW_CONTROL_ERROR, 'INITIAL_WINDOW_SIZE overflows a window');
    writeSettingsAck(this.output);
    life.settled();
  }

  private onGoaway(id: number, buf: Buffer, start: number, end: number): void {
    if (id !== 0) return this.life.fail(PROTOCOL_ERROR, 'GOAWAY on a stream');
    if (end - start < 8) return this.life.fail(FRAME_SIZE_ERROR, 'short GOAWAY');
    this.life.goawayReceived(read32(buf, start) & MAX_WINDOW, read32(buf, start + 4));
  }

  private onReset(id: number, buf: Buffer, start: number, end: number): void {
    if (id === 0) return this.life.fail(PROTOCOL_ERROR, 'RST_STREAM on stream 0');
    if (end - start !== 4) return this.life.fail(FRAME_SIZE_ERROR, 'RST_STREAM length');
    if (this.messages.isIdle(id)) return this.life.fail(PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
    const stream = this.streams.table.get(id);
    if (stream === undefined) {
      // The stream has ended, as when grpc-go gives up its half after our trailers: no rapid reset, but no work either.
      if (this.streams.idleFrame()) this.life.fail(ENHANCE_YOUR_CALM, 'idle-frames');
      return;
    }
    const code = read32(buf, start);
    this.streams.remove(stream, false);
    stream.handler.onReset(stream, code, 'peer', code !== REFUSED_STREAM, '');
    if (!this.client && this.flood.peerReset(this.clock.nowMs - stream.openedAtMs, this.clock.nowMs))
      this.life.fail(ENHANCE_YOUR_CALM, 'rapid-reset');
  }

  private onWindowUpdate(id: number, buf: Buffer, start: number, end: number): void {
    if (end - start !== 4) return this.life.fail(FRAME_SIZE_ERROR, 'WINDOW_UPDATE length');
    if (this.flood.windowUpdate() && this.streams.idleFrame()) return this.life.fail(ENHANCE_YOUR_CALM, 'window updates');
    const increment = read32(buf, start) & MAX_WINDOW;
    if (id === 0) {
      if (increment === 0) return this.life.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      const wasClogged = this.streams.sender.grow(increment);
      if (this.streams.sender.window > MAX_WINDOW) return this.life.fail(FLOW_CONTROL_ERROR, 'connection window overflow');
      this.streams.sender.resume();
      if (wasClogged) this.life.hasRoom();
      return;
    }
    if (this.messages.isIdle(id)) return this.life.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
    const stream = this.streams.table.get(id);
    if (stream === undefined) return; // closed: may come late
    if (increment === 0) return this.life.streamError(id, PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return this.life.streamError(id, FLOW_CONTROL_ERROR, 'stream window overflow');
    if (stream.queue === null) return;
    this.streams.sender.lineUp(stream);
    this.streams.sender.resume();
  }

  private onPing(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    if (id !== 0) return this.life.fail(PROTOCOL_ERROR, 'PING on a stream');
    if (end - start !== 8) return this.life.fail(FRAME_SIZE_ERROR, 'PING length');
    if ((flags & FLAG_ACK) !== 0) this.life.pingAcked(buf, start);
    else writePing(this.output, true, buf, start);
  }

  private onPriority(id: number, buf: Buffer, start: number, end: number): void {
    if (id === 0) return this.life.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0');
    if (end - start !== 5) {
      writeReset(this.output, id, FRAME_SIZE_ERROR);
      return this.life.fail(FRAME_SIZE_ERROR, 'PRIORITY length');
    }
    // Priorities are deprecated and ignored (RFC 9113 §5.3), but a circle is still an error.
    if ((read32(buf, start) & MAX_WINDOW) === id) this.life.streamError(id, PROTOCOL_ERROR, 'a stream depends on itself');
  }
}
