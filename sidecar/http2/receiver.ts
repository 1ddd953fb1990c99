// What comes in on a connection: each frame is checked against RFC 9113 and handed to its stream's handler.

import type { HeaderBlock } from '../http/header-block.ts';
import { HANDSHAKE_TIMEOUT_MS, MAX_CONNECTION_BUFFER } from '../http/limits.ts';
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
import {
  CONTINUATION,
  DATA,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
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
import type { Connection } from './connection.ts';
import type { FrameSink } from './frame-reader.ts';
import { writePing, writeReset } from './frames.ts';
import { HpackDecoder, HpackError } from './hpack-decoder.ts';
import { DECODER_TABLE_SIZE, MAX_CONTINUATIONS } from './limits.ts';
import { applySettings } from './settings.ts';
import { Stream } from './stream.ts';

function read32(b: Buffer, p: number): number {
  return ((b[p] << 24) | (b[p + 1] << 16) | (b[p + 2] << 8) | b[p + 3]) >>> 0;
}

/** Handler of a stream that is being opened: nothing can happen to it yet. */
const NO_HANDLER: StreamHandler = { onHeaders() {}, onData() {}, onTrailers() {}, onReset() {}, onSent() {} };

export class Receiver implements FrameSink {
  private readonly connection: Connection;
  private readonly decoder = new HpackDecoder(DECODER_TABLE_SIZE);
  /** Header block under way over CONTINUATION frames; 0: none. */
  private blockStreamId = 0;
  private blockFlags = 0;
  private blockSelfDependent = false;
  private blockParts: Buffer[] = [];
  private blockStartedMs = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  onFrame(type: number, flags: number, id: number, buf: Buffer, start: number, end: number): boolean {
    const c = this.connection;
    if (this.blockStreamId !== 0 && (type !== CONTINUATION || id !== this.blockStreamId)) {
      c.fail(PROTOCOL_ERROR, 'a frame inside a header block');
    } else if (!c.settingsReceived && (type !== SETTINGS || (flags & FLAG_ACK) !== 0)) {
      c.fail(PROTOCOL_ERROR, 'the first frame is not SETTINGS');
    } else if (type === DATA) {
      this.onData(flags, id, buf, start, end);
    } else if (type === HEADERS) {
      this.onHeaders(flags, id, buf, start, end);
    } else if (type === WINDOW_UPDATE) {
      this.onWindowUpdate(id, buf, start, end);
    } else if (type === RST_STREAM) {
      this.onReset(id, buf, start, end);
    } else if (type === CONTINUATION) {
      this.onContinuation(flags, id, buf, start, end);
    } else if (this.tooManyIdle()) {
      c.fail(ENHANCE_YOUR_CALM, 'idle-frames');
    } else if (type === SETTINGS) {
      if (id !== 0) c.fail(PROTOCOL_ERROR, 'SETTINGS on a stream');
      else applySettings(c, (flags & FLAG_ACK) !== 0, buf, start, end);
    } else if (type === PING) {
      this.onPing(flags, id, buf, start, end);
    } else if (type === GOAWAY) {
      if (id !== 0) c.fail(PROTOCOL_ERROR, 'GOAWAY on a stream');
      else if (end - start < 8) c.fail(FRAME_SIZE_ERROR, 'short GOAWAY');
      else c.goawayReceived(read32(buf, start) & MAX_WINDOW, read32(buf, start + 4));
    } else if (type === PRIORITY) {
      this.onPriority(id, buf, start, end);
    } else if (type === PUSH_PROMISE) {
      c.fail(PROTOCOL_ERROR, 'PUSH_PROMISE');
    } // unknown types are ignored (RFC 9113 §4.1)
    return !c.stopped;
  }

  onFrameTooLarge(_type: number, _id: number): void {
    this.connection.fail(FRAME_SIZE_ERROR, 'frame too large');
  }

  /** A header block was begun and does not end (L7). */
  blockIsStuck(nowMs: number): boolean {
    return this.blockStreamId !== 0 && nowMs - this.blockStartedMs > HANDSHAKE_TIMEOUT_MS;
  }

  /** One more frame that moves nothing; also from a peer that lets our frames pile up. */
  private tooManyIdle(): boolean {
    const c = this.connection;
    return c.flood.idleFrame(c.clock.nowMs) || c.output.waiting > MAX_CONNECTION_BUFFER;
  }

  // === DATA

  private onData(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (id === 0) return c.fail(PROTOCOL_ERROR, 'DATA on stream 0');
    const length = end - start; // padding counts for flow control (RFC 9113 §6.1)
    if ((flags & FLAG_PADDED) !== 0) {
      if (length < 1 || buf[start] >= length) return c.fail(PROTOCOL_ERROR, 'padding past the frame');
      end -= buf[start];
      start++;
    }
    c.receiveWindow -= length;
    if (c.receiveWindow < 0) return c.fail(FLOW_CONTROL_ERROR, 'connection window');
    const stream = c.streams.get(id);
    if (stream === undefined) {
      c.returnConnectionWindow(length);
      if (length === 0 && this.tooManyIdle()) return c.fail(ENHANCE_YOUR_CALM, 'empty DATA frames');
      return this.onClosedStream(id, 'DATA');
    }
    if (stream.remoteClosed) {
      c.returnConnectionWindow(length);
      return c.streamError(id, STREAM_CLOSED, 'DATA after END_STREAM');
    }
    const endStream = (flags & FLAG_END_STREAM) !== 0;
    const octets = end - start;
    if (octets === 0 && !endStream) {
      if (this.tooManyIdle()) return c.fail(ENHANCE_YOUR_CALM, 'empty DATA frames');
    } else c.flood.work();
    stream.receiveWindow -= length;
    stream.held += length;
    c.held += length;
    c.returnConnectionWindow(length);
    if (stream.receiveWindow < 0) return c.streamError(id, FLOW_CONTROL_ERROR, 'stream window');
    if (!stream.headersReceived) return c.streamError(id, PROTOCOL_ERROR, 'DATA before HEADERS');
    if (stream.bodyLeft >= 0) {
      stream.bodyLeft -= octets;
      if (stream.bodyLeft < 0 || (endStream && stream.bodyLeft !== 0)) return c.streamError(id, PROTOCOL_ERROR, 'content-length mismatch');
    }
    if (length > octets) c.credit(stream, length - octets);
    if (endStream) stream.remoteClosed = true;
    stream.handler.onData(stream, buf, start, end, endStream);
    if (endStream) c.remoteEnd(stream);
  }

  /** A frame for a stream that is not in the table. */
  private onClosedStream(id: number, what: string): void {
    const c = this.connection;
    if (this.isIdle(id)) return c.fail(PROTOCOL_ERROR, `${what} on an idle stream`);
    // After our RST_STREAM the peer may still have frames under way (RFC 9113 §5.1).
    if (c.recentlyClosed(id) !== 'ended') return;
    if (c.client) return;
    c.streamError(id, STREAM_CLOSED, `${what} on a closed stream`);
  }

  /** Streams above the last id of our GOAWAY are not: their HEADERS were ignored, and so is what follows (RFC 9113 §6.8). */
  private isIdle(id: number): boolean {
    const c = this.connection;
    if (!c.client && c.draining && (id & 1) === 1) return false;
    return c.client ? (id & 1) === 0 || id >= c.nextId : (id & 1) === 0 || id > c.lastPeerStreamId;
  }

  // === Header blocks

  private onHeaders(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (id === 0) return c.fail(PROTOCOL_ERROR, 'HEADERS on stream 0');
    if ((flags & FLAG_PADDED) !== 0) {
      if (end - start < 1 || buf[start] >= end - start) return c.fail(PROTOCOL_ERROR, 'padding past the frame');
      end -= buf[start];
      start++;
    }
    let selfDependent = false;
    if ((flags & FLAG_PRIORITY) !== 0) {
      if (end - start < 5) return c.fail(PROTOCOL_ERROR, 'HEADERS too short for its priority');
      selfDependent = (read32(buf, start) & MAX_WINDOW) === id;
      start += 5;
    }
    if ((flags & FLAG_END_HEADERS) !== 0) return this.onBlock(id, flags, selfDependent, buf, start, end);
    this.blockStreamId = id;
    this.blockFlags = flags;
    this.blockStartedMs = this.connection.clock.nowMs;
    this.blockSelfDependent = selfDependent;
    this.blockParts = [Buffer.from(buf.subarray(start, end))];
  }

  private onContinuation(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    if (this.blockStreamId === 0) return this.connection.fail(PROTOCOL_ERROR, 'CONTINUATION outside a header block');
    if (this.blockParts.length > MAX_CONTINUATIONS) return this.connection.fail(ENHANCE_YOUR_CALM, 'continuations');
    this.blockParts.push(Buffer.from(buf.subarray(start, end)));
    if ((flags & FLAG_END_HEADERS) === 0) return;
    const whole = Buffer.concat(this.blockParts);
    this.blockStreamId = 0;
    this.blockParts = [];
    this.onBlock(id, this.blockFlags, this.blockSelfDependent, whole, 0, whole.length);
  }

  private onBlock(id: number, flags: number, selfDependent: boolean, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    let block: HeaderBlock;
    try {
      block = this.decoder.decode(buf, start, end);
    } catch (error) {
      if (error instanceof HpackError) return c.fail(COMPRESSION_ERROR, error.message);
      throw error;
    }
    const endStream = (flags & FLAG_END_STREAM) !== 0;
    const stream = c.streams.get(id);
    if (selfDependent) return c.streamError(id, PROTOCOL_ERROR, 'a stream depends on itself');
    if (stream === undefined) {
      if (!c.client) this.onNewRequest(id, block, endStream);
      else if (this.tooManyIdle()) c.fail(ENHANCE_YOUR_CALM, 'idle-frames');
      else this.onClosedStream(id, 'HEADERS');
    } else if (stream.remoteClosed) c.streamError(id, STREAM_CLOSED, 'HEADERS after END_STREAM');
    else if (stream.headersReceived) this.onTrailers(stream, block, endStream);
    else this.onResponse(stream, block, endStream);
  }

  private onNewRequest(id: number, block: HeaderBlock, endStream: boolean): void {
    const c = this.connection;
    if ((id & 1) === 0) return c.fail(PROTOCOL_ERROR, 'even stream id from a client');
    if (id <= c.lastPeerStreamId) {
      const known = c.recentlyClosed(id);
      if (known === 'reset' || known === 'forgotten') {
        if (this.tooManyIdle()) c.fail(ENHANCE_YOUR_CALM, 'idle-frames');
        return;
      }
      return known === 'ended' ? c.fail(STREAM_CLOSED, 'HEADERS on a closed stream') : c.fail(PROTOCOL_ERROR, 'stream id goes backwards');
    }
    if (c.draining) return; // above the last id of our GOAWAY: the peer tries again elsewhere
    c.lastPeerStreamId = id;
    c.flood.work();
    c.flood.request();
    if (c.output.waiting > MAX_CONNECTION_BUFFER) return c.fail(ENHANCE_YOUR_CALM, 'answers are not read');
    if (c.streams.size >= c.maxPeerStreams) return c.streamError(id, REFUSED_STREAM, 'too many streams');
    const fault = block.fault || block.template.requestFault() || (block.contentLength === -2 ? 'bad content-length' : '');
    if (fault !== '' && !block.tooLarge) return c.streamError(id, PROTOCOL_ERROR, fault);
    if (endStream && block.contentLength > 0) return c.streamError(id, PROTOCOL_ERROR, 'content-length mismatch');
    const stream = new Stream(id, c, NO_HANDLER, c.peerInitialWindow, c.clock.nowMs);
    stream.headersReceived = true;
    stream.bodyLeft = block.contentLength;
    stream.remoteClosed = endStream;
    c.streams.add(stream);
    stream.handler = c.owner.onRequest(stream, block, endStream);
    if (endStream) c.remoteEnd(stream);
  }

  private onResponse(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    const c = this.connection;
    const fault = block.fault || (block.tooLarge ? 'response headers too large' : block.template.responseFault());
    if (fault !== '') return c.streamError(stream.id, PROTOCOL_ERROR, fault);
    const informational = block.template.status < 200;
    if (informational && endStream) return c.streamError(stream.id, PROTOCOL_ERROR, 'END_STREAM on an informational response');
    if (informational) {
      if (this.tooManyIdle()) return c.fail(ENHANCE_YOUR_CALM, 'informational responses');
    } else {
      c.flood.work();
      stream.headersReceived = true;
      // A response to HEAD and a 304 have a content-length without content (RFC 9110 §8.6).
      stream.bodyLeft = endStream || stream.head || block.template.status === 304 ? -1 : block.contentLength;
    }
    if (endStream) stream.remoteClosed = true;
    stream.handler.onHeaders(stream, block, endStream);
    if (endStream) c.remoteEnd(stream);
  }

  private onTrailers(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    const c = this.connection;
    c.flood.work();
    if (!endStream) return c.streamError(stream.id, PROTOCOL_ERROR, 'trailers without END_STREAM');
    const fault = block.fault || (block.tooLarge ? 'trailers too large' : block.template.trailersFault());
    if (fault !== '') return c.streamError(stream.id, PROTOCOL_ERROR, fault);
    if (stream.bodyLeft > 0) return c.streamError(stream.id, PROTOCOL_ERROR, 'content-length mismatch');
    stream.remoteClosed = true;
    stream.handler.onTrailers(stream, block);
    c.remoteEnd(stream);
  }

  // === The small frames

  private onReset(id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (id === 0) return c.fail(PROTOCOL_ERROR, 'RST_STREAM on stream 0');
    if (end - start !== 4) return c.fail(FRAME_SIZE_ERROR, 'RST_STREAM length');
    if (this.isIdle(id)) return c.fail(PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
    const stream = c.streams.get(id);
    if (stream === undefined) {
      // The stream has ended, as when grpc-go gives up its half after our trailers: not rapid reset, but not work either.
      if (this.tooManyIdle()) c.fail(ENHANCE_YOUR_CALM, 'idle-frames');
      return;
    }
    const code = read32(buf, start);
    c.remove(stream, false);
    stream.handler.onReset(stream, code, 'peer', code !== REFUSED_STREAM);
    if (!c.client && c.flood.peerReset(c.clock.nowMs - stream.openedAtMs)) c.fail(ENHANCE_YOUR_CALM, 'rapid-reset');
  }

  private onWindowUpdate(id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (end - start !== 4) return c.fail(FRAME_SIZE_ERROR, 'WINDOW_UPDATE length');
    if (c.flood.windowUpdate() && this.tooManyIdle()) return c.fail(ENHANCE_YOUR_CALM, 'window updates');
    const increment = read32(buf, start) & MAX_WINDOW;
    if (id === 0) {
      if (increment === 0) return c.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      c.sendWindow += increment;
      if (c.sendWindow > MAX_WINDOW) return c.fail(FLOW_CONTROL_ERROR, 'connection window overflow');
      return c.resumeWaiting();
    }
    if (this.isIdle(id)) return c.fail(PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
    const stream = c.streams.get(id);
    if (stream === undefined) return; // closed: may come late
    if (increment === 0) return c.streamError(id, PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
    stream.sendWindow += increment;
    if (stream.sendWindow > MAX_WINDOW) return c.streamError(id, FLOW_CONTROL_ERROR, 'stream window overflow');
    if (stream.waiting) c.resumeWaiting();
  }

  private onPing(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (id !== 0) return c.fail(PROTOCOL_ERROR, 'PING on a stream');
    if (end - start !== 8) return c.fail(FRAME_SIZE_ERROR, 'PING length');
    if ((flags & FLAG_ACK) !== 0) c.pingAcked(buf, start);
    else writePing(c.output, true, buf, start);
  }

  private onPriority(id: number, buf: Buffer, start: number, end: number): void {
    const c = this.connection;
    if (id === 0) return c.fail(PROTOCOL_ERROR, 'PRIORITY on stream 0');
    if (end - start !== 5) {
      writeReset(c.output, id, FRAME_SIZE_ERROR);
      return c.fail(FRAME_SIZE_ERROR, 'PRIORITY length');
    }
    // Priorities are deprecated and ignored (RFC 9113 §5.3), but a circle is still an error.
    if ((read32(buf, start) & MAX_WINDOW) === id) c.streamError(id, PROTOCOL_ERROR, 'a stream depends on itself');
  }
}
