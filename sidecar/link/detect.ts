// Which protocol a connection speaks, from its first octets (pure).
import { ALPN_HTTP2, ALPN_TCP } from '#core/contract/names.ts';
import { HTTP2_PREFACE } from '../http/preface.ts';
import { offeredProtocols } from './client-hello.ts';
import { detectHttp1 } from './detect-http1.ts';

/**
 * 'tls' is TLS between sidecars; that of an application is for the application, and 'tcp' to us. 'malformed' begins as
 * the HTTP/2 preface does and goes on otherwise.
 */
export type Detected = 'tls' | 'http1' | 'http2' | 'tcp' | 'malformed' | 'more';

/**
 * The method of the preface with its space. HTTP has reserved it for this use (RFC 9113 §11.6), so that a request line
 * with it is an attempt at HTTP/2. Servers that read it as one take other ends of the line than ours.
 */
const PREFACE_METHOD_OCTETS = 4;

/** A TLS record of type handshake; version 3.x follows (RFC 8446 §5.1). */
const TLS_HANDSHAKE = 0x16;

/** Length, type, flags and stream of a frame (RFC 9113 §4.1). */
const FRAME_HEADER_OCTETS = 9;
const SETTINGS = 4;
const SETTING_OCTETS = 6;

/**
 * @param first the octets so far, at least one
 * @returns 'more' while they are still a beginning of the HTTP/2 preface, of a ClientHello, or of a request line
 */
export function detect(first: Buffer): Detected {
  if (first[0] === TLS_HANDSHAKE) return first.length < 2 ? 'more' : first[1] === 0x03 ? detectTls(first) : 'tcp';
  if (beginsAsPreface(first, HTTP2_PREFACE.length)) return first.length < HTTP2_PREFACE.length ? 'more' : 'http2';
  if (first.length >= PREFACE_METHOD_OCTETS && beginsAsPreface(first, PREFACE_METHOD_OCTETS)) return 'malformed';
  return detectHttp1(first);
}

/** Whether octets that need 'more' are a beginning of the HTTP/2 preface, not of anything else. */
export function isPrefaceBegun(first: Buffer): boolean {
  return first.length > 0 && beginsAsPreface(first, HTTP2_PREFACE.length);
}

/** Whether octets that need 'more' are a beginning of a ClientHello. */
export function isHelloBegun(first: Buffer): boolean {
  return first.length > 0 && first[0] === TLS_HANDSHAKE;
}

/**
 * Whether a server that speaks first speaks HTTP/2: its preface is a SETTINGS frame (RFC 9113 §3.4).
 * @param first the octets so far, at least one
 */
export function detectServer(first: Buffer): 'http2' | 'other' | 'more' {
  // No SETTINGS frame is as long as 64 KiB.
  if (first[0] !== 0) return 'other';
  if (first.length >= 3 && first.readUInt16BE(1) % SETTING_OCTETS !== 0) return 'other';
  for (let i = 3; i < Math.min(first.length, FRAME_HEADER_OCTETS); i++) if (first[i] !== (i === 3 ? SETTINGS : 0)) return 'other';
  return first.length < FRAME_HEADER_OCTETS ? 'more' : 'http2';
}

function beginsAsPreface(first: Buffer, octets: number): boolean {
  const length = Math.min(first.length, octets);
  return first.compare(HTTP2_PREFACE, 0, length, 0, length) === 0;
}

function detectTls(first: Buffer): Detected {
  const offered = offeredProtocols(first);
  if (offered === 'more') return 'more';
  return offered?.some((name) => name === ALPN_HTTP2 || name === ALPN_TCP) ? 'tls' : 'tcp';
}
