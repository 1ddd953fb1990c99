// A peer's certificate that has expired, in words.
import type tls from 'node:tls';

/** OpenSSL's verdict, as Node names it. */
export const EXPIRED = 'CERT_HAS_EXPIRED';

/**
 * When the peer's certificate ended. It may also be that of its authority: then the peer's own has not.
 * @param nowMs Unix ms
 */
export function endedAt(socket: tls.TLSSocket, nowMs: number): string {
  const { valid_to: end = '' } = socket.getPeerCertificate(false);
  const endMs = Date.parse(end);
  if (Number.isNaN(endMs) || endMs > nowMs) return 'a certificate of its chain has expired';
  return `its certificate expired at ${new Date(endMs).toISOString()}`;
}
