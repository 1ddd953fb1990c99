// One HTTP/2 stream: a record in its connection's table. Its ends do the work; the handler decides.

import type { Chunk } from '../http/chunk.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { MessageStream, StreamHandler } from '../http/stream.ts';
import { INITIAL_STREAM_WINDOW } from './limits.ts';

/** What a stream's methods do, for all streams of a connection; http/stream.ts says what each means. */
export interface StreamEnds {
  sendHeaders(stream: Stream, source: HeaderSource, varying: readonly Field[], endStream: boolean): void;
  sendData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): number;
  sendTrailers(stream: Stream, source: HeaderSource, varying: readonly Field[]): void;
  credit(stream: Stream, octets: number): void;
  reset(stream: Stream, code: number): void;
  release(stream: Stream): void;
}

export class Stream implements MessageStream {
  readonly id: number;
  readonly connection: StreamEnds;
  handler: StreamHandler;
  /** We sent END_STREAM (or it stands at the end of the queue). */
  localClosed = false;
  /** The peer sent END_STREAM. */
  remoteClosed = false;
  /** Out of the connection's table: ended both ways or reset. */
  closed = false;
  /** The final header section has come. */
  headersReceived = false;
  sendWindow: number;
  receiveWindow = INITIAL_STREAM_WINDOW;
  /** Consumed octets not yet returned to the peer by WINDOW_UPDATE. */
  unreturned = 0;
  /** Received octets that were not yet consumed. */
  held = 0;
  /** All that the peer may have under way and we may hold: receiveWindow + held + unreturned. */
  windowSize = INITIAL_STREAM_WINDOW;
  queue: Chunk[] | null = null;
  queuedOctets = 0;
  /** END_STREAM follows the queue. */
  queuedEnd = false;
  queuedTrailers: { source: HeaderSource; varying: readonly Field[] } | null = null;
  /** Octets of DATA that were sent. */
  sentOctets = 0;
  /** The line that it waits in for room on the connection; null: it has nothing to send, or no window of its own. */
  line: StreamLine | null = null;
  lineNext: Stream | null = null;
  linePrevious: Stream | null = null;
  /** Octets that content-length still promises; -1: no promise. */
  bodyLeft = -1;
  /** Our request was HEAD: content-length of the answer promises nothing (RFC 9110 §9.3.2). */
  head = false;
  readonly openedAtMs: number;
  progressAtMs: number;

  constructor(id: number, connection: StreamEnds, handler: StreamHandler, sendWindow: number, nowMs: number) {
    this.id = id;
    this.connection = connection;
    this.handler = handler;
    this.sendWindow = sendWindow;
    this.openedAtMs = nowMs;
    this.progressAtMs = nowMs;
  }

  sendHeaders(source: HeaderSource, varying: readonly Field[], endStream: boolean): void {
    this.connection.sendHeaders(this, source, varying, endStream);
  }

  sendData(buf: Buffer, start: number, end: number, endStream: boolean): number {
    return this.connection.sendData(this, buf, start, end, endStream);
  }

  sendTrailers(source: HeaderSource, varying: readonly Field[]): void {
    this.connection.sendTrailers(this, source, varying);
  }

  credit(octets: number): void {
    this.connection.credit(this, octets);
  }

  reset(code: number): void {
    this.connection.reset(this, code);
  }

  release(): void {
    this.connection.release(this);
  }
}

/**
 * A line of streams that wait for their turn to send. Its links are fields of the streams, so that joining and leaving
 * cost nothing, and a stream that has closed is never left in it.
 */
export class StreamLine {
  /** The stream whose turn it is; null: the line is empty. */
  head: Stream | null = null;
  private tail: Stream | null = null;

  /** Puts a stream that is in no line at the end. */
  push(stream: Stream): void {
    stream.line = this;
    stream.linePrevious = this.tail;
    if (this.tail === null) this.head = stream;
    else this.tail.lineNext = stream;
    this.tail = stream;
  }

  /** Takes out a stream that is in this line, wherever it stands. */
  remove(stream: Stream): void {
    const { linePrevious, lineNext } = stream;
    if (linePrevious === null) this.head = lineNext;
    else linePrevious.lineNext = lineNext;
    if (lineNext === null) this.tail = linePrevious;
    else lineNext.linePrevious = linePrevious;
    stream.line = null;
    stream.linePrevious = null;
    stream.lineNext = null;
  }
}
