// The life of a connection, as what comes in on it bears on it.

import type { RefusalCause } from '../http/connection.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { ResetCause, StreamHandler } from '../http/stream.ts';
import type { Stream } from './stream.ts';

export interface ConnectionLife {
  /** The peer's first SETTINGS have come. */
  readonly ready: boolean;
  /** No new streams. */
  readonly draining: boolean;
  /** No frame counts any more. */
  readonly stopped: boolean;
  /** A connection error (RFC 9113 §5.4.1). @param reason short and stable */
  fail(code: number, reason: string): void;
  /**
   * The peer broke a rule on one stream (RFC 9113 §5.4.2): it is reset and its handler called.
   * @param cause default 'malformed'
   */
  streamError(id: number, code: number, reason: string, cause?: ResetCause): void;
  /** The peer's SETTINGS were applied. */
  settled(): void;
  /** The peer takes octets again on a connection that was clogged. */
  hasRoom(): void;
  /** A PING of ours came back: eight octets from buf[start]. */
  pingAcked(buf: Buffer, start: number): void;
  goawayReceived(lastId: number, code: number): void;
  /** The peer's new request. */
  requested(stream: Stream, block: HeaderBlock, endStream: boolean): StreamHandler;
  /** The peer's new request is refused. @param stream to answer on; null: it gets no answer */
  refused(cause: RefusalCause, reason: string, block: HeaderBlock, stream: Stream | null): void;
}
