// Which protocol a connection speaks, from its first octets (pure).
import { PREFACE } from '../http2/codes.ts';

export type Detected = 'tls' | 'http2' | 'tcp' | 'more';

/**
 * @param first the octets so far, at least one
 * @returns 'more' while they are still a beginning of the HTTP/2 preface
 */
export function detect(first: Buffer): Detected {
  // A TLS record of type handshake, version 3.x (RFC 8446 §5.1).
  if (first[0] === 0x16) return first.length < 2 ? 'more' : first[1] === 0x03 ? 'tls' : 'tcp';
  const length = Math.min(first.length, PREFACE.length);
  if (first.compare(PREFACE, 0, length, 0, length) !== 0) return 'tcp';
  return length === PREFACE.length ? 'http2' : 'more';
}
