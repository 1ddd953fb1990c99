// Which header names there are, and which a route may not edit: both planes refuse the same ones.

/** A field name in lower case (RFC 9110 §5.6.2, and the CRD's own pattern). */
export const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/**
 * The connection's own headers: set or removed, they make a malformed message (RFC 9113 §8.2.2) or smuggle one; and
 * that of the mesh's own connections (sidecar/http/origin.ts).
 */
export const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'weft-origin',
]);
