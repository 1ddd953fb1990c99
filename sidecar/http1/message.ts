// What is known of a message once its head is read, or why it is none.
import type { HeaderBlock } from '../http/header-block.ts';

/** What a head says of the content that follows it (RFC 9112 §6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'until close' | 'tunnel';

export interface Head {
  readonly block: HeaderBlock;
  readonly framing: Framing;
  /** Octets, where the framing is 'length'. */
  readonly length: number;
  /** The connection may carry another message after this one. */
  readonly keepsAlive: boolean;
  /** HTTP/1.0. */
  readonly isOld: boolean;
  /** A protocol that the client asks to switch to, or the server switches to; '': none. */
  readonly upgrade: string;
}

/** What came is no message of HTTP/1.1; the reason is for people. */
export class MessageFault {
  readonly reason: string;
  readonly isTooLarge: boolean;

  constructor(reason: string, isTooLarge = false) {
    this.reason = reason;
    this.isTooLarge = isTooLarge;
  }
}
