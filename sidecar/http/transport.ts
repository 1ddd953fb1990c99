// The octets under a codec: what link/ offers of a socket, plain or TLS, and what a codec takes of it.

/** Where a codec's octets go. */
export interface Transport {
  /** Takes the octets; they may be reused once done was called. One write at a time. */
  write(octets: Buffer, done: () => void): void;
  /** Sends what was written, then FIN. */
  end(): void;
  destroy(): void;
}

/** A transport that can be read too. A codec sets the three functions when it takes the connection over. */
export interface Duplex extends Transport {
  /** Octets 0 to length of buf, valid during the call. */
  onBytes: (buf: Buffer, length: number) => void;
  /** The peer sent FIN. */
  onEnd: () => void;
  /** The transport is gone; `reason` is short and stable, such as the error's code. Called once. */
  onClosed: (reason: string) => void;
  /** Begins to read. */
  start(): void;
  /** Reads nothing for now. */
  pause(): void;
  resume(): void;
  /** Destroys it so that the peer does not take what it got for all there was. */
  reset(): void;
}

/** Why a transport to an endpoint could not be opened, by the labels of docs/reference/errors.md. */
export type DialFailure = 'connect_failed' | 'connect_timeout' | 'identity_mismatch' | 'certificate_expired' | 'own_certificate_expired';
