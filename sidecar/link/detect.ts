// Which protocol a connection speaks, from its first octets (pure).
import { ALPN_HTTP2, ALPN_TCP } from '#core/contract/names.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { offeredProtocols } from './client-hello.ts';

/** 'tls' is TLS between sidecars; that of an application is for the application, and 'tcp' to us. */
export type Detected = 'tls' | 'http2' | 'tcp' | 'more';

/**
 * @param first the octets so far, at least one
 * @returns 'more' while they are still a beginning of the HTTP/2 preface or of a ClientHello
 */
export function detect(first: Buffer): Detected {
  // A TLS record of type handshake, version 3.x (RFC 8446 §5.1).
  if (first[0] === 0x16) return first.length < 2 ? 'more' : first[1] === 0x03 ? detectTls(first) : 'tcp';
  const length = Math.min(first.length, HTTP2_PREFACE.length);
  if (first.compare(HTTP2_PREFACE, 0, length, 0, length) !== 0) return 'tcp';
  return length === HTTP2_PREFACE.length ? 'http2' : 'more';
}

function detectTls(first: Buffer): Detected {
  const offered = offeredProtocols(first);
  if (offered === 'more') return 'more';
  return offered?.some((name) => name === ALPN_HTTP2 || name === ALPN_TCP) ? 'tls' : 'tcp';
}
