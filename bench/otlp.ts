// Counts the spans of an OTLP/HTTP request without decoding them (opentelemetry-proto,
// collector/trace/v1/trace_service.proto). Pure.

const LENGTH_DELIMITED = 2;
/**
 * Fields on the way to a span: ExportTraceServiceRequest.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans.
 */
const RESOURCE_SPANS = 1;
const SCOPE_SPANS = 2;
const SPANS = 2;

/** @param body an ExportTraceServiceRequest in protobuf @returns its spans; null when it is not one */
export function countSpans(body: Buffer): number | null {
  let spans = 0;
  const whole = eachMessage(body, 0, body.length, RESOURCE_SPANS, (from, to) =>
    eachMessage(body, from, to, SCOPE_SPANS, (scopeFrom, scopeTo) =>
      eachMessage(body, scopeFrom, scopeTo, SPANS, () => {
        spans++;
        return true;
      }),
    ),
  );
  return whole ? spans : null;
}

/** Visits the messages in one field of a message. @returns false when the octets are no message, or a visit said so */
function eachMessage(body: Buffer, from: number, to: number, field: number, visit: (from: number, to: number) => boolean): boolean {
  let at = from;
  while (at < to) {
    const tag = varint(body, at, to);
    if (tag === null) return false;
    const type = tag.value % 8;
    at = tag.next;
    if (type === 0) {
      const skipped = varint(body, at, to);
      if (skipped === null) return false;
      at = skipped.next;
    } else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === LENGTH_DELIMITED) {
      const length = varint(body, at, to);
      if (length === null || length.next + length.value > to) return false;
      at = length.next + length.value;
      if (Math.floor(tag.value / 8) === field && !visit(length.next, at)) return false;
    } else return false;
  }
  return at === to;
}

/** Values up to 2^53: longer ones are no lengths, and as numbers to skip their exact value does not matter. */
function varint(body: Buffer, from: number, to: number): { value: number; next: number } | null {
  let value = 0;
  for (let at = from, scale = 1; at < to && at < from + 10; at++, scale *= 128) {
    value += (body[at] & 127) * scale;
    if (body[at] < 128) return { value, next: at + 1 };
  }
  return null;
}
