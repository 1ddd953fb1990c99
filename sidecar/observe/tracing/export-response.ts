// What a collector answers to spans: opentelemetry.proto.collector.trace.v1.ExportTraceServiceResponse, as much of it
// as is counted.

const PARTIAL_SUCCESS = 1;
const REJECTED_SPANS = 1;

/** How many spans it refused; 0 where the answer does not say so, or is none. */
export function rejectedSpans(response: Uint8Array): number {
  const partial = fieldOf(response, PARTIAL_SUCCESS);
  const rejected = partial instanceof Uint8Array ? fieldOf(partial, REJECTED_SPANS) : undefined;
  return typeof rejected === 'number' ? rejected : 0;
}

/**
 * The first value of a field: a number, or octets; undefined: it is not there, or the message is malformed before it.
 */
function fieldOf(message: Uint8Array, wanted: number): number | Uint8Array | undefined {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; at < message.length && shift < 10; shift++) {
      const octet = message[at++];
      value += (octet & 0x7f) * 2 ** (7 * shift);
      if (octet < 0x80) return value;
    }
    return Number.NaN;
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag % 8;
    const first = varint();
    if (type === 2) at += first;
    else if (type !== 0) return undefined; // no field of it has another type
    if (!(at <= message.length)) return undefined;
    if (Math.floor(tag / 8) === wanted) return type === 2 ? message.subarray(at - first, at) : first;
  }
  return undefined;
}
