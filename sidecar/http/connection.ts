// A connection that carries messages, whatever the codec: what it reports to its owner, and what a pool needs of it.
import type { Buffers } from './buffers.ts';
import type { Clock } from './clock.ts';
import type { Field } from './field.ts';
import type { HeaderBlock } from './header-block.ts';
import type { HeaderSource } from './header-source.ts';
import type { ConnectionPeer } from './peer.ts';
import type { MessageStream, StreamHandler } from './stream.ts';
import type { Duplex } from './transport.ts';

/** Either end of a connection. Times are monotonic ms. */
export interface MessageConnection {
  /** The peer has said how many streams it allows. */
  readonly ready: boolean;
  /** Whether open() may be called now; never on the server's end. */
  readonly canOpen: boolean;
  /** At least one stream of ours was opened on it. */
  readonly used: boolean;
  /** Streams that are open. */
  readonly openStreams: number;
  /** It takes no new streams and ends with its last one. */
  readonly draining: boolean;
  /** Nothing that the peer sends counts any more. */
  readonly stopped: boolean;
  /** It is gone. */
  readonly closed: boolean;
  /** Octets that came and were not credited yet, over all its streams (L8). */
  readonly held: number;
  /** Opens a stream with a request's header section; canOpen must hold. */
  open(handler: StreamHandler, source: HeaderSource, varying: readonly Field[], endStream: boolean): MessageStream;
  /** Takes no new streams; the connection closes after its last one or at deadlineMs. */
  drain(deadlineMs: number): void;
  /** Drops everything at once. @param reason short and stable */
  destroy(reason: string): void;
  /** @returns since when nothing was read, in ms */
  idleMs(nowMs: number): number;
  /** What was read last is the answer to a ping. */
  readonly heardOnlyPong: boolean;
  /**
   * Asks the peer for a sign of life, if the protocol has such a question; tick() closes the connection if none comes.
   */
  ping(nowMs: number): void;
  /** About once a second: ends what must not take for ever. @param pingTimeoutMs how long a ping may stay unanswered */
  tick(nowMs: number, pingTimeoutMs: number): void;
}

/**
 * Why a request was refused before it had a handler: it breaks a rule of the protocol, the peer has too many streams
 * open, or it came after our GOAWAY.
 */
export type RefusalCause = 'malformed' | 'too many streams' | 'draining';

/** What a connection reports to its owner. */
export interface ConnectionOwner {
  /** The peer's new request; on the server's end only. The handler's onHeaders is not called for it. */
  onRequest(stream: MessageStream, block: HeaderBlock, endStream: boolean): StreamHandler;
  /**
   * A request of the peer is refused; on the server's end only. Nothing else is reported of it.
   * @param stream to answer on: the codec resets it when this returns, unless the owner did; null: the peer must get no
   * answer, so that it tries elsewhere
   * @param reason in words
   */
  onRefused(cause: RefusalCause, reason: string, block: HeaderBlock, stream: MessageStream | null): void;
  /** There may be another amount of room for streams: the peer allows another number, drains, or a stream ended. */
  onCapacity(connection: MessageConnection): void;
  /**
   * The connection is gone, and the handlers of its streams were called.
   * @param reason short and stable, fit for a metric
   */
  onClosed(connection: MessageConnection, reason: string): void;
}

/** A codec's client end: takes over a transport that was dialled. Nothing is read before transport.start(). */
export type ClientCodec = (transport: Duplex, owner: ConnectionOwner, clock: Clock, endpoint: ConnectedEndpoint) => MessageConnection;

/** The endpoint at the other end. */
export interface ConnectedEndpoint {
  /** "address:port". */
  readonly key: string;
  /** SPIFFE id that it has proved; '': the connection is plaintext. */
  readonly identity: string;
}

/** A connection that a client opened, as those that count all of them use it. */
export interface ServedConnection extends MessageConnection {
  /** Since when it has had no stream; meaningless while it has one. */
  readonly idleSinceMs: number;
  /** Ends one that has no streams: its room is needed. */
  dismiss(reason: string): void;
  /** Ends a new one for which there is no room. */
  turnAway(reason: string): void;
}

/**
 * A codec's server end: takes over a connection that a client opened; nothing is read before transport.start().
 * @param buffers the account of all connections of the sidecar
 */
export type ServerCodec = (
  transport: Duplex,
  owner: ConnectionOwner,
  clock: Clock,
  peer: ConnectionPeer,
  buffers: Buffers,
) => ServedConnection;
