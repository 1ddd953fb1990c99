// Who is at the other end of a connection that a client opened: how far it is trusted, and what it may have open.
import { MAX_STREAMS_MESH_PEER, MAX_STREAMS_OWN_APP, MAX_STREAMS_PLAINTEXT_PEER } from './limits.ts';

export interface ConnectionPeer {
  /**
   * Connections with the same key are counted and judged together: a SPIFFE id, an address, '' for the own application.
   */
  readonly key: string;
  /**
   * An authenticated sidecar or the pod's own application: honest calls that are cancelled or malformed, however many,
   * never end its connection, because other callers share it.
   */
  readonly trusted: boolean;
  /** Streams that it may have open at once (L1). */
  readonly maxStreams: number;
  /** End of its certificate, Unix ms; infinite in plaintext. */
  readonly notAfterMs: number;
}

/** Anything that comes in plaintext from outside the pod. */
export function strangerAt(address: string): ConnectionPeer {
  return { key: address, trusted: false, maxStreams: MAX_STREAMS_PLAINTEXT_PEER, notAfterMs: Number.POSITIVE_INFINITY };
}

/** Another sidecar. @param identity its SPIFFE id @param notAfterMs end of its certificate, Unix ms */
export function meshPeer(identity: string, notAfterMs: number): ConnectionPeer {
  return { key: identity, trusted: true, maxStreams: MAX_STREAMS_MESH_PEER, notAfterMs };
}

/** The application of our own pod, on the way out. */
export const OWN_APPLICATION: ConnectionPeer = {
  key: '',
  trusted: true,
  maxStreams: MAX_STREAMS_OWN_APP,
  notAfterMs: Number.POSITIVE_INFINITY,
};
