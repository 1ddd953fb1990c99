// The one table of errors that the proxy makes itself (docs/reference/errors.md is for users): what the client sees and
// how it is counted.
import { type Field, makeField } from '../http/field.ts';
import { type HeaderSource, newHeaderSource } from '../http/header-source.ts';
import type { DialFailure } from '../http/transport.ts';

/** gRPC statuses that forwarding itself decides on. */
export const CANCELLED = 1;
export const INTERNAL = 13;
export const UNAVAILABLE = 14;

/** A proxy-made error. `label` is its name in metrics and messages. */
export interface ProxyError {
  readonly label: string;
  readonly http: number;
  readonly grpc: number;
  /** Reply headers for a gRPC and for any other call. */
  readonly grpcSource: HeaderSource;
  readonly httpSource: HeaderSource;
}

function row(label: string, http: number, grpc: number): ProxyError {
  return {
    label,
    http,
    grpc,
    grpcSource: newHeaderSource([':status', '200', 'content-type', 'application/grpc', 'grpc-status', `${grpc}`], null),
    httpSource: newHeaderSource([':status', `${http}`, 'content-type', 'text/plain; charset=utf-8'], null),
  };
}

/** Routes are attached and none matches (Gateway API: 404; UNIMPLEMENTED for gRPC). */
export const NO_ROUTE = row('no_route', 404, 12);
/** The rule cannot be served, or has no backend with weight (Gateway API: 500). */
export const INVALID_RULE = row('invalid_rule', 500, 14);
/** The share of a backend that is not valid (Gateway API: 500). */
export const INVALID_BACKEND = row('invalid_backend', 500, 14);
/** The Service has no ready endpoints (Gateway API: 503). */
export const NO_ENDPOINTS = row('no_endpoints', 503, 14);
/** The sidecar has no configuration of this Service yet. */
export const NO_CONFIG = row('no_config', 503, 14);
/** The endpoint is reached but has no room: no stream, no further connection, or too many calls wait for one. */
export const ENDPOINT_FULL = row('endpoint_full', 503, 14);
export const CONNECT_FAILED = row('connect_failed', 503, 14);
export const CONNECT_TIMEOUT = row('connect_timeout', 504, 14);
/**
 * grpc-timeout or the route's request timeout expired. The status is DEADLINE_EXCEEDED and not UNAVAILABLE, because
 * clients must not retry the call.
 */
export const DEADLINE = row('deadline', 504, 4);
/** The route's backendRequest timeout expired, in the last attempt that it asks for. */
export const ATTEMPT_TIMEOUT = row('attempt_timeout', 504, 4);
/** The endpoint refused the stream, after retries. */
export const REFUSED = row('refused', 503, 14);
/** The connection broke before a response came. */
export const CONNECTION_LOST = row('connection_lost', 503, 14);
/** The endpoint reset the stream before a response came. */
export const UPSTREAM_RESET = row('upstream_reset', 502, 13);
/** The endpoint's response broke HTTP/2's rules or our limits. */
export const BAD_RESPONSE = row('bad_response', 502, 13);
/** The sidecar holds too much that is not read, most of it of this call (L8, docs/reference/limits.md). */
export const SHED = row('shed', 503, 8);
/** The endpoint's headers or trailers exceed L2. */
export const RESPONSE_TOO_LARGE = row('response_too_large', 502, 8);
/** The header list exceeds L2 (docs/reference/limits.md). */
export const HEADERS_TOO_LARGE = row('headers_too_large', 431, 8);
/** The endpoint's certificate is not that of the identity the control plane named. */
export const IDENTITY_MISMATCH = row('identity_mismatch', 502, 14);
/** The endpoint's certificate has expired. Another endpoint may have a newer one. */
export const CERTIFICATE_EXPIRED = row('certificate_expired', 503, 14);
/** Our own certificate has expired: no endpoint would take it, and none is to blame. */
export const OWN_CERTIFICATE_EXPIRED = row('own_certificate_expired', 503, 14);
/** The request is malformed (RFC 9113 §8.1.1). */
export const BAD_REQUEST = row('bad_request', 400, 13);
/** The client has as many streams open as it may (L1); the stream is refused without an answer. */
export const TOO_MANY_STREAMS = row('too_many_streams', 503, 14);
/** The stream came after our GOAWAY, and gets no answer: the client knows that it was not processed. */
export const DRAINING = row('draining', 503, 14);
/**
 * The label of a connection that is refused because it is not the HTTP/2 that it must be, or that it began as. It
 * carries no call, so there is no status.
 */
export const NOT_HTTP2 = 'not_http2';
/** CONNECT is not served. */
export const NOT_SERVED = row('not_served', 501, 12);

/** The error of a call that was not sent because its endpoint could not be dialled. */
export const DIAL_ERRORS: Readonly<Record<DialFailure, ProxyError>> = {
  connect_failed: CONNECT_FAILED,
  connect_timeout: CONNECT_TIMEOUT,
  identity_mismatch: IDENTITY_MISMATCH,
  certificate_expired: CERTIFICATE_EXPIRED,
  own_certificate_expired: OWN_CERTIFICATE_EXPIRED,
};

/**
 * gRPC status for an RST_STREAM code, as gRPC clients map it ("PROTOCOL-HTTP2": HTTP2 transport mapping).
 * @returns 0 to 16
 */
export function grpcStatusOfReset(code: number): number {
  switch (code) {
    case 7: // REFUSED_STREAM
      return 14;
    case 8: // CANCEL
      return 1;
    case 0xb: // ENHANCE_YOUR_CALM
      return 8;
    case 0xc: // INADEQUATE_SECURITY
      return 7;
    default:
      return 13;
  }
}

/** gRPC status for an HTTP status without grpc-status, as gRPC clients map it ("http-grpc-status-mapping"). */
export function grpcStatusOfHttp(status: number): number {
  switch (status) {
    case 200:
      return 2;
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    case 431:
      return 13;
    default:
      return 2;
  }
}

/** An error as the client reads it. */
export function clientText({ label }: ProxyError, message: string): string {
  return `weft: ${label}: ${message}`;
}

/** A grpc-message field; the text is percent-encoded as gRPC asks. */
export function messageField(text: string): Field {
  const octets = Buffer.from(text, 'utf8');
  let value = '';
  for (const octet of octets) {
    value +=
      octet >= 0x20 && octet <= 0x7e && octet !== 0x25
        ? String.fromCharCode(octet)
        : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return makeField('grpc-message', value, false, 0);
}

/** Trailers with a status of ours, for a response that broke off after its headers. */
export const TRAILERS: readonly HeaderSource[] = Array.from({ length: 17 }, (_, status) =>
  newHeaderSource(['grpc-status', `${status}`], null),
);
