// What a connection is made with beside its transport, owner and clock.
import type { Buffers } from '../http/buffers.ts';

export interface ConnectionOptions {
  readonly client: boolean;
  /** The peer is another sidecar or the pod's own application (peer.ts). */
  readonly trusted: boolean;
  /** Streams that the peer may have open at once: what a server announces. */
  readonly maxPeerStreams: number;
  /** Connections with the same one are judged together when memory is short. */
  readonly peer: string;
  /** The account of all connections of the sidecar. */
  readonly buffers: Buffers;
}
