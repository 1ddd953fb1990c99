// The messages that come in on a connection: DATA and whole header blocks are checked against RFC 9113 §8 and handed to
// their stream's handler.
import type { Clock } from '../http/clock.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import { MAX_CONNECTION_BUFFER, MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS } from '../http/limits.ts';
import type { Output } from '../http/output.ts';
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
  STREAM_CLOSED,
} from '../http/reset-code.ts';
import type { StreamHandler } from '../http/stream.ts';
import { FLAG_END_STREAM, FLAG_PADDED } from './codes.ts';
import type { FloodGuard } from './flood.ts';
import { HpackDecoder, HpackError } from './hpack-decoder.ts';
import type { ConnectionLife } from './life.ts';
import { DECODER_TABLE_SIZE } from './limits.ts';
import type { Stream } from './stream.ts';
import type { Streams } from './streams.ts';

/** The handler of a stream that is being opened or refused. */
const NO_HANDLER: StreamHandler = { onHeaders() {}, onData() {}, onTrailers() {}, onReset() {}, onSent() {} };

const WRONG_LENGTH = 'the content is shorter or longer than its content-length';
const BAD_LENGTH = 'content-length is not a number, or there are two that differ';

export interface MessagesDeps {
  /** We are the client. */
  readonly client: boolean;
  /** Streams that the peer may have open at once. */
  readonly maxPeerStreams: number;
  readonly life: ConnectionLife;
  readonly streams: Streams;
  readonly output: Output;
  readonly flood: FloodGuard;
  readonly clock: Clock;
}

export class Messages {
  private readonly client: boolean;
  private readonly maxPeerStreams: number;
  private readonly life: ConnectionLife;
  private readonly streams: Streams;
  private readonly output: Output;
  private readonly flood: FloodGuard;
  private readonly clock: Clock;
  private readonly decoder = new HpackDecoder(DECODER_TABLE_SIZE);

  constructor(deps: MessagesDeps) {
    this.client = deps.client;
    this.maxPeerStreams = deps.maxPeerStreams;
    this.life = deps.life;
    this.streams = deps.streams;
    this.output = deps.output;
    this.flood = deps.flood;
    this.clock = deps.clock;
  }

  // === DATA

  onData(flags: number, id: number, buf: Buffer, start: number, end: number): void {
    if (id === 0) return this.life.fail(PROTOCOL_ERROR, 'DATA on stream 0');
    const length = end - start; // padding counts for flow control (RFC 9113 §6.1)
    if ((flags & FLAG_PADDED) !== 0) {
      if (length < 1 || buf[start] >= length) return this.life.fail(PROTOCOL_ERROR, 'padding past the frame');
      end -= buf[start];
      start++;
    }
    this.streams.receiveWindow -= length;
    if (this.streams.receiveWindow < 0) return this.life.fail(FLOW_CONTROL_ERROR, 'connection window');
    const stream = this.streams.table.get(id);
    if (stream === undefined) {
      this.streams.returnWindow(length);
      if (length === 0 && this.streams.idleFrame()) return this.life.fail(ENHANCE_YOUR_CALM, 'empty DATA frames');
      return this.onClosedStream(id, 'DATA');
    }
    if (stream.remoteClosed) {
      this.streams.returnWindow(length);
      return this.life.streamError(id, STREAM_CLOSED, 'DATA after END_STREAM');
    }
    const endStream = (flags & FLAG_END_STREAM) !== 0;
    const octets = end - start;
    if (octets === 0 && !endStream) {
      if (this.streams.idleFrame()) return this.life.fail(ENHANCE_YOUR_CALM, 'empty DATA frames');
    } else this.flood.work();
    this.streams.hold(stream, length);
    if (stream.closed) return; // it was shed
    if (stream.receiveWindow < 0) return this.life.streamError(id, FLOW_CONTROL_ERROR, 'stream window');
    if (!stream.headersReceived) return this.life.streamError(id, PROTOCOL_ERROR, 'DATA before HEADERS');
    if (stream.bodyLeft >= 0) {
      stream.bodyLeft -= octets;
      if (stream.bodyLeft < 0 || (endStream && stream.bodyLeft !== 0)) return this.life.streamError(id, PROTOCOL_ERROR, WRONG_LENGTH);
    }
    if (length > octets) this.streams.credit(stream, length - octets);
    if (endStream) stream.remoteClosed = true;
    stream.handler.onData(stream, buf, start, end, endStream);
    if (endStream) this.streams.remoteEnd(stream);
  }

  /** A frame for a stream that is not in the table. */
  private onClosedStream(id: number, what: string): void {
    if (this.isIdle(id)) return this.life.fail(PROTOCOL_ERROR, `${what} on an idle stream`);
    // After our RST_STREAM the peer may still have frames under way (RFC 9113 §5.1).
    if (this.streams.closed.how(id) !== 'ended') return;
    if (this.client) return;
    this.life.streamError(id, STREAM_CLOSED, `${what} on a closed stream`);
  }

  /**
   * The stream was never open. Those above the last id of our GOAWAY do not count as such: their HEADERS were ignored,
   * and so is what follows (RFC 9113 §6.8).
   */
  isIdle(id: number): boolean {
    if (!this.client && this.life.draining && (id & 1) === 1) return false;
    return this.client ? (id & 1) === 0 || id >= this.streams.nextId : (id & 1) === 0 || id > this.streams.lastPeerId;
  }

  // === Header blocks

  /** A whole header block, in one frame or put together of several. @param flags of its HEADERS frame */
  onBlock(id: number, flags: number, selfDependent: boolean, buf: Buffer, start: number, end: number): void {
    let block: HeaderBlock;
    try {
      block = this.decoder.decode(buf, start, end);
    } catch (error) {
      if (error instanceof HpackError) return this.life.fail(COMPRESSION_ERROR, error.message);
      throw error;
    }
    const endStream = (flags & FLAG_END_STREAM) !== 0;
    const stream = this.streams.table.get(id);
    if (selfDependent) return this.life.streamError(id, PROTOCOL_ERROR, 'a stream depends on itself');
    if (stream === undefined) {
      if (!this.client) this.onNewRequest(id, block, endStream);
      else if (this.streams.idleFrame()) this.life.fail(ENHANCE_YOUR_CALM, 'idle-frames');
      else this.onClosedStream(id, 'HEADERS');
    } else if (stream.remoteClosed) this.life.streamError(id, STREAM_CLOSED, 'HEADERS after END_STREAM');
    else if (stream.headersReceived) this.onTrailers(stream, block, endStream);
    else this.onResponse(stream, block, endStream);
  }

  private onNewRequest(id: number, block: HeaderBlock, endStream: boolean): void {
    if ((id & 1) === 0) return this.life.fail(PROTOCOL_ERROR, 'even stream id from a client');
    if (id <= this.streams.lastPeerId) {
      const known = this.streams.closed.how(id);
      if (known === 'reset' || known === 'forgotten') {
        if (this.streams.idleFrame()) this.life.fail(ENHANCE_YOUR_CALM, 'idle-frames');
        return;
      }
      return known === 'ended'
        ? this.life.fail(STREAM_CLOSED, 'HEADERS on a closed stream')
        : this.life.fail(PROTOCOL_ERROR, 'stream id goes backwards');
    }
    if (this.life.draining) {
      // Above the last id of our GOAWAY: the peer knows that it is not processed (RFC 9113 §6.8).
      if (this.streams.idleFrame()) return this.life.fail(ENHANCE_YOUR_CALM, 'idle-frames');
      return this.life.refused('draining', 'the stream is above the last one of our GOAWAY', block, null);
    }
    this.streams.lastPeerId = id;
    this.flood.work();
    this.flood.request();
    if (this.output.waiting > MAX_CONNECTION_BUFFER) return this.life.fail(ENHANCE_YOUR_CALM, 'answers are not read');
    if (this.streams.size >= this.maxPeerStreams) return this.refuseStream(id, block);
    const fault = requestFault(block, endStream);
    const stream = this.streams.add(id, NO_HANDLER);
    stream.headersReceived = true;
    stream.bodyLeft = block.contentLength;
    stream.remoteClosed = endStream;
    if (fault !== '') {
      this.life.refused('malformed', block.faultInWords(fault), block, stream);
      return this.life.streamError(id, PROTOCOL_ERROR, fault);
    }
    stream.handler = this.life.requested(stream, block, endStream);
    if (endStream) this.streams.remoteEnd(stream);
  }

  /** One stream more than the peer may have: it learns so from our SETTINGS, which may have crossed with the request. */
  private refuseStream(id: number, block: HeaderBlock): void {
    this.life.refused('too many streams', `more than ${this.maxPeerStreams} streams of one connection are open`, block, null);
    this.streams.writeReset(id, REFUSED_STREAM);
    this.streams.closed.add(id, true);
    if (this.flood.refusedStream(this.clock.nowMs)) this.life.fail(ENHANCE_YOUR_CALM, 'refused streams');
  }

  private onResponse(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    if (block.tooLarge) return this.tooLarge(stream, 'response headers', endStream);
    const fault = responseFault(stream, block, endStream);
    if (fault !== '') return this.life.streamError(stream.id, PROTOCOL_ERROR, block.faultInWords(fault));
    const informational = block.template.status < 200;
    if (informational) {
      if (this.streams.idleFrame()) return this.life.fail(ENHANCE_YOUR_CALM, 'informational responses');
    } else {
      this.flood.work();
      stream.headersReceived = true;
      stream.bodyLeft = hasNoContent(stream, block) ? 0 : block.contentLength;
    }
    if (endStream) stream.remoteClosed = true;
    stream.handler.onHeaders(stream, block, endStream);
    if (endStream) this.streams.remoteEnd(stream);
  }

  /** A response's headers or trailers, or a request's trailers, exceed L2: the stream ends, with the reason. */
  private tooLarge(stream: Stream, what: string, endStream: boolean): void {
    const reason = `${what} exceed ${MAX_HEADER_LIST_OCTETS / 1024} KiB or ${MAX_HEADER_FIELDS} fields`;
    // Where both ends are through there is nothing to reset.
    if (!endStream || !stream.localClosed) return this.life.streamError(stream.id, ENHANCE_YOUR_CALM, reason, 'too_large');
    this.streams.release(stream);
    this.streams.remoteEnd(stream);
    stream.handler.onReset(stream, ENHANCE_YOUR_CALM, 'too_large', true, reason);
  }

  private onTrailers(stream: Stream, block: HeaderBlock, endStream: boolean): void {
    this.flood.work();
    if (!endStream) return this.life.streamError(stream.id, PROTOCOL_ERROR, 'trailers without END_STREAM');
    if (block.tooLarge) return this.tooLarge(stream, 'trailers', endStream);
    const fault = block.trailersFault();
    if (fault !== '') return this.life.streamError(stream.id, PROTOCOL_ERROR, fault);
    if (stream.bodyLeft > 0) return this.life.streamError(stream.id, PROTOCOL_ERROR, WRONG_LENGTH);
    stream.remoteClosed = true;
    stream.handler.onTrailers(stream, block);
    this.streams.remoteEnd(stream);
  }
}

/** @returns why a header section is no request, or ''; too large a list was not kept, and is refused as such */
function requestFault(block: HeaderBlock, endStream: boolean): string {
  if (block.tooLarge) return '';
  const fault = block.requestFault();
  if (fault !== '') return fault;
  if (block.contentLength === -2) return BAD_LENGTH;
  return endStream && block.contentLength > 0 ? WRONG_LENGTH : '';
}

/** @returns why a header section is no response, or '' (RFC 9113 §8.1.1) */
function responseFault(stream: Stream, block: HeaderBlock, endStream: boolean): string {
  const fault = block.responseFault();
  if (fault !== '') return fault;
  if (block.template.status < 200) return endStream ? 'END_STREAM on an informational response' : '';
  if (block.contentLength === -2) return BAD_LENGTH;
  return endStream && block.contentLength > 0 && !hasNoContent(stream, block) ? WRONG_LENGTH : '';
}

/** The response has no content, whatever its content-length says (RFC 9110 §6.4.1). */
function hasNoContent(stream: Stream, { template: { status } }: HeaderBlock): boolean {
  return stream.head || status === 304 || status === 204;
}
