// One header field as all codecs show it: interned per connection, and judged once, when it is made (RFC 9113 §8.2).

/**
 * A header field; a name that is not in lower case is a fault. Names and values are latin1 strings: one char is one
 * octet, so nothing is lost on the way through.
 */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** Its size in a header list (RFC 9113 §6.5.2): that of name and value, and 32. */
  readonly size: number;
  /** Its values differ from call to call: it stays out of templates, and no encoder remembers it. */
  readonly varying: boolean;
  /** It came with the demand that no table may hold it, and must leave with it (RFC 7541 §6.2.3). */
  readonly never: boolean;
  /** Why no message may carry this field, or ''. */
  readonly fault: string;
  /** The number of this field on its connection, of which a template's hash is made. */
  readonly id: number;
  /** Its octets as an HTTP/2 literal that is not indexed, if they exist already; else null. */
  readonly encoded: Buffer | null;
}

/** Names whose values change with nearly every call. */
const VARYING = new Set([
  'grpc-timeout',
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-request-id',
  'grpc-trace-bin',
  'grpc-tags-bin',
  'grpc-message',
  'grpc-status-details-bin',
  'content-length',
  'date',
  'etag',
  'last-modified',
]);

const CONNECTION_SPECIFIC = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

export function isVarying(name: string): boolean {
  return VARYING.has(name);
}

export function makeField(name: string, value: string, never: boolean, id: number): Field {
  return {
    name,
    value,
    size: name.length + value.length + 32,
    varying: VARYING.has(name),
    never,
    fault: fieldFault(name, value),
    id,
    encoded: null,
  };
}

/** @returns why RFC 9113 §8.2 forbids the field, or '' */
export function fieldFault(name: string, value: string): string {
  if (name.length === 0) return 'empty field name';
  for (let i = name.charCodeAt(0) === 0x3a ? 1 : 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    // No upper case, no space or control, no ':' but in front, nothing above ASCII.
    if (c <= 0x20 || (c >= 0x41 && c <= 0x5a) || c >= 0x7f || c === 0x3a) return 'forbidden octet in a field name';
  }
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 0 || c === 0x0a || c === 0x0d) return 'forbidden octet in a field value';
  }
  if (value.length > 0 && (isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(value.length - 1)))) {
    return 'a field value begins or ends with white space';
  }
  if (CONNECTION_SPECIFIC.has(name)) return 'connection-specific field';
  if (name === 'te' && value !== 'trailers') return 'te other than trailers';
  return '';
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}
