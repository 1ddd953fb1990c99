// One HTTP/2 stream: a record in its connection's table. The connection does the work; the handler decides.

import type { Field } from '../http/field.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { Connection } from './connection.ts';
import { INITIAL_STREAM_WINDOW } from './limits.ts';

/** Why a stream ended early: the peer reset it, its connection went away, the peer broke a rule on it, or it stalled (L6). */
export type ResetCause = 'peer' | 'connection' | 'malformed' | 'stalled';

/** What becomes of a stream's events. Octets in buf are only valid during the call. */
export interface StreamHandler {
  /** A request's or response's header section; informational responses (1xx) come here too. */
  onHeaders(stream: Stream, block: HeaderBlock, endStream: boolean): void;
  /** buf[start, end) is payload. For every octet Connection.credit() must be called once it is consumed. */
  onData(stream: Stream, buf: Buffer, start: number, end: number, endStream: boolean): void;
  onTrailers(stream: Stream, block: HeaderBlock): void;
  /** The stream is gone; nothing more may be sent on it. `processed` is false when the peer surely did nothing (RFC 9113 §8.7). */
  onReset(stream: Stream, code: number, cause: ResetCause, processed: boolean): void;
  /** Octets that sendData() had queued went out. */
  onSent(stream: Stream, octets: number): void;
}

export interface Chunk {
  buf: Buffer;
  start: number;
  end: number;
}

export class Stream {
  readonly id: number;
  readonly connection: Connection;
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
  /** The window was raised to MAX_STREAM_BUFFER. */
  grown = false;
  queue: Chunk[] | null = null;
  queuedOctets = 0;
  /** END_STREAM follows the queue. */
  queuedEnd = false;
  queuedTrailers: { source: HeaderSource; varying: readonly Field[] } | null = null;
  /** In the connection's list of streams that wait for room. */
  waiting = false;
  /** Octets that content-length still promises; -1: no promise. */
  bodyLeft = -1;
  /** Our request was HEAD: content-length of the answer promises nothing (RFC 9110 §9.3.2). */
  head = false;
  readonly openedAtMs: number;
  progressAtMs: number;

  constructor(id: number, connection: Connection, handler: StreamHandler, sendWindow: number, nowMs: number) {
    this.id = id;
    this.connection = connection;
    this.handler = handler;
    this.sendWindow = sendWindow;
    this.openedAtMs = nowMs;
    this.progressAtMs = nowMs;
  }
}
