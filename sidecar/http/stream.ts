// One request and its response on a connection, whatever the codec: forwarding knows streams by these two interfaces
// alone. They are types only, and each codec has one class of streams, so that they cost nothing at run time.
import type { Field } from './field.ts';
import type { HeaderBlock } from './header-block.ts';
import type { HeaderSource } from './header-source.ts';

/**
 * Why a stream ended early: the peer reset it, its connection went away, the peer broke a rule on it, its
 * headers or trailers exceed L2, or we needed the memory of what its reader leaves unread (L8).
 */
export type ResetCause = 'peer' | 'connection' | 'malformed' | 'too_large' | 'shed';

/** What forwarding may ask and do of a stream. */
export interface MessageStream {
  /** It ended both ways or was reset: nothing can be sent on it any more, and what is sent is dropped. */
  readonly closed: boolean;
  /** Our message is whole: its end was sent. */
  readonly localClosed: boolean;
  /** The peer's message is whole: its end has come. */
  readonly remoteClosed: boolean;
  /** Octets that sendData() took and that have not gone out yet. */
  readonly queuedOctets: number;
  /**
   * Our request is HEAD: its response's content-length promises nothing (RFC 9110 §9.3.2). It is set right after
   * open().
   */
  head: boolean;
  /** A header section: an informational one (1xx), or the final one. `varying` follows the source's fields. */
  sendHeaders(source: HeaderSource, varying: readonly Field[], endStream: boolean): void;
  /**
   * Sends buf[start, end), or queues a copy of what has no room.
   * @returns octets that went out at once; for the others the handler's onSent is called later
   */
  sendData(buf: Buffer, start: number, end: number, endStream: boolean): number;
  /** Trailers and the end of our message; they follow what is queued. */
  sendTrailers(source: HeaderSource, varying: readonly Field[]): void;
  /** Octets that onData() brought were consumed: the peer may send as many again. */
  credit(octets: number): void;
  /** Ends the stream at once, both ways. The handler is not called: it asked. @param code of http/reset-code.ts */
  reset(code: number): void;
  /**
   * What onData() brought and was not credited is not needed any more; on a closed stream credit() does nothing then.
   */
  release(): void;
}

/** What becomes of a stream's events. Octets in buf are only valid during the call. */
export interface StreamHandler {
  /** A request's or response's header section; informational responses (1xx) come here too. */
  onHeaders(stream: MessageStream, block: HeaderBlock, endStream: boolean): void;
  /** buf[start, end) is payload. Each of its octets must be credited once it is consumed. */
  onData(stream: MessageStream, buf: Buffer, start: number, end: number, endStream: boolean): void;
  onTrailers(stream: MessageStream, block: HeaderBlock): void;
  /**
   * The stream is gone; nothing more may be sent on it. One exception: a server may still answer a request that is
   * 'malformed' (RFC 9113 §8.1.1); its stream is reset when this returns, unless the handler did it.
   * @param code of http/reset-code.ts, or any other that the peer chose
   * @param processed false when the peer surely did nothing (RFC 9113 §8.7)
   * @param reason in words, where there is more to say than code and cause; else ''
   */
  onReset(stream: MessageStream, code: number, cause: ResetCause, processed: boolean, reason: string): void;
  /** Octets that sendData() had queued went out. */
  onSent(stream: MessageStream, octets: number): void;
}
