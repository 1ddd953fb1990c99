// Makes the span of a call that has ended: OTLP's octets, straight into the queue. What its calls share is made once
// per plan and endpoint, so a span costs about 0.1 µs; the SDK's span objects and serializer took ten
// (docs/decisions/0012-tracing.md).
import { statusName } from '#core/contract/grpc-codes.ts';
import type { CallObserver, EndedCall } from '../../forward/ended-call.ts';
import { attributeOctets, endpointAttributes, planAttributes, retryEvents } from './attributes.ts';
import { fixed32Tag, fixed64Tag, lengthTag, putIdentifier, putUnixNanos, putWord, stringField } from './protobuf.ts';
import { MAX_SPAN_OCTETS, type SpanQueue } from './span-queue.ts';
import type { RecordedTrace } from './tracer.ts';

/** Fields of opentelemetry.proto.trace.v1. */
const SPANS = 2; // of ScopeSpans
const TRACE_ID = 1;
const SPAN_ID = 2;
const TRACE_STATE = 3;
const PARENT_SPAN_ID = 4;
const START_TIME = 7;
const END_TIME = 8;
const STATUS = 15;
const FLAGS_TAG = fixed32Tag(16);
/**
 * Beside the trace's own flags: whether the parent is remote is known, and it is
 * (opentelemetry.proto.trace.v1.SpanFlags).
 */
const FLAGS_ROOT = 0x100;
const FLAGS_REMOTE = 0x300;
/** Status { code = STATUS_CODE_ERROR }. */
const STATUS_ERROR = [(STATUS << 3) | 2, 2, (3 << 3) | 0, 2];
/** Statuses that are the server's fault (semantic conventions for RPC: the others are the client's). */
const SERVER_FAULTS = new Set([2, 4, 12, 13, 14, 15]);

/** Names under which a span says what it is. */
const OURS = /^(?:rpc|http|url|server|network|error|weft)\./;

/** Outcomes that are remembered: an endpoint may answer with any of 900 HTTP statuses and 17 of gRPC's. */
const MAX_STATUSES = 256;

/** Octets of attributes that the configuration adds: with more, spans would be too large to be sent at all. */
const MAX_MORE_OCTETS = MAX_SPAN_OCTETS / 2;

const NOTHING = Buffer.alloc(0);

export class SpanRecorder implements CallObserver {
  /** Unix time less the monotonic clock's, in ms; its owner keeps it right. */
  unixOffsetMs = 0;
  /** Where spans go; another one for another collector. */
  queue: SpanQueue;
  private more: Buffer = NOTHING;
  private readonly dropped: (reason: 'queue_full' | 'too_large') => void;
  /** By variant, or by plan where the call fell to no backend. */
  private plans = new WeakMap<object, Buffer>();
  private readonly endpoints = new WeakMap<object, Buffer>();
  /** Of answers by the endpoint, by all that they differ in. */
  private readonly statuses = new Map<number, Buffer>();

  constructor(queue: SpanQueue, dropped: (reason: 'queue_full' | 'too_large') => void) {
    this.queue = queue;
    this.dropped = dropped;
  }

  /**
   * Attributes that every span has besides; they do not take the place of our own.
   * @returns the names of those for which there is no room
   */
  setAttributes(attributes: Readonly<Record<string, string>>): string[] {
    const leftOut: string[] = [];
    let more: Buffer = NOTHING;
    for (const [key, value] of Object.entries(attributes)) {
      if (OURS.test(key)) continue;
      const octets = attributeOctets({ [key]: value });
      if (more.length + octets.length > MAX_MORE_OCTETS) leftOut.push(key);
      else more = Buffer.concat([more, octets]);
    }
    this.more = more;
    this.plans = new WeakMap();
    return leftOut;
  }

  ended(call: EndedCall): void {
    const batch = this.queue.reserve();
    if (batch === null) return this.dropped('queue_full');
    const trace = call.trace as RecordedTrace;
    const shared = this.planOf(call);
    const endpoint = this.endpointOf(call);
    const status = this.statusOf(call);
    const rare = rareOctets(call, trace, this.unixOffsetMs);
    const most = 96 + shared.length + endpoint.length + status.length + rare.length;
    if (most > MAX_SPAN_OCTETS) return this.dropped('too_large');
    const { buffer } = batch;
    const start = batch.end;
    // The length always takes two octets: it is under 2^14, and protobuf allows leading zeros.
    let at = start + 3;
    buffer[at++] = lengthTag(TRACE_ID);
    buffer[at++] = 16;
    putIdentifier(buffer, at, trace.t0);
    putIdentifier(buffer, at + 4, trace.t1);
    putIdentifier(buffer, at + 8, trace.t2);
    putIdentifier(buffer, at + 12, trace.t3);
    at += 16;
    buffer[at++] = lengthTag(SPAN_ID);
    buffer[at++] = 8;
    putIdentifier(buffer, at, trace.s0);
    putIdentifier(buffer, at + 4, trace.s1);
    at += 8;
    const root = (trace.p0 | trace.p1) === 0;
    if (!root) {
      buffer[at++] = lengthTag(PARENT_SPAN_ID);
      buffer[at++] = 8;
      putIdentifier(buffer, at, trace.p0);
      putIdentifier(buffer, at + 4, trace.p1);
      at += 8;
    }
    buffer[at++] = FLAGS_TAG[0];
    buffer[at++] = FLAGS_TAG[1];
    putWord(buffer, at, (root ? FLAGS_ROOT : FLAGS_REMOTE) | trace.flags);
    at += 4;
    buffer[at++] = fixed64Tag(START_TIME);
    putUnixNanos(buffer, at, this.unixOffsetMs + call.startMs);
    at += 8;
    buffer[at++] = fixed64Tag(END_TIME);
    putUnixNanos(buffer, at, this.unixOffsetMs + call.endMs);
    at += 8;
    buffer.set(shared, at);
    at += shared.length;
    buffer.set(endpoint, at);
    at += endpoint.length;
    buffer.set(status, at);
    at += status.length;
    if (rare.length > 0) {
      buffer.set(rare, at);
      at += rare.length;
    }
    const length = at - start - 3;
    buffer[start] = lengthTag(SPANS);
    buffer[start + 1] = (length & 0x7f) | 0x80;
    buffer[start + 2] = length >>> 7;
    this.queue.commit(at);
  }

  private planOf(call: EndedCall): Buffer {
    const key = call.block.hasVaryingPath ? null : (call.variant ?? call.plan);
    let octets = key === null ? undefined : this.plans.get(key);
    if (octets === undefined) {
      octets = Buffer.concat([planAttributes(call), this.more]);
      if (key !== null) this.plans.set(key, octets);
    }
    return octets;
  }

  private endpointOf({ lastEndpoint, origin }: EndedCall): Buffer {
    // Inbound that is the application in this pod, not the peer.
    if (lastEndpoint === null || origin.direction === 'inbound') return NOTHING;
    let octets = this.endpoints.get(lastEndpoint);
    if (octets === undefined) this.endpoints.set(lastEndpoint, (octets = endpointAttributes(lastEndpoint)));
    return octets;
  }

  private statusOf({ block, origin, grpcStatus, httpStatus, error }: EndedCall): Buffer {
    const { grpc } = block.template;
    const { direction } = origin;
    if (error !== null) return statusOctets(grpc, direction, grpcStatus, httpStatus || (grpc ? 0 : error.http), error.label);
    const key = (httpStatus * 32 + grpcStatus) * 4 + (grpc ? 2 : 0) + (direction === 'outbound' ? 1 : 0);
    let octets = this.statuses.get(key);
    if (octets === undefined) {
      octets = statusOctets(grpc, direction, grpcStatus, httpStatus, '');
      if (this.statuses.size < MAX_STATUSES) this.statuses.set(key, octets);
    }
    return octets;
  }
}

/** Attributes of a call's outcome, and the span's own status. */
function statusOctets(grpc: boolean, direction: string, grpcStatus: number, httpStatus: number, error: string): Buffer {
  const name = statusName(grpcStatus);
  // An HTTP call has no status yet when its client gives up.
  const byName = grpc || httpStatus === 0;
  const faulty = byName
    ? grpcStatus !== 0 && (direction === 'outbound' || SERVER_FAULTS.has(grpcStatus))
    : error !== '' || httpStatus >= (direction === 'outbound' ? 400 : 500);
  return Buffer.concat([
    attributeOctets({
      'rpc.status_code': grpc ? name : undefined,
      'http.response.status_code': httpStatus !== 0 && (!grpc || httpStatus !== 200) ? httpStatus : undefined,
      'error.type': faulty ? error || (byName ? name : `${httpStatus}`) : undefined,
      'weft.error': error,
    }),
    Buffer.from(faulty ? STATUS_ERROR : []),
  ]);
}

/** What few calls have: a tracestate, further attempts. */
function rareOctets({ attempts }: EndedCall, { tracestate, retries }: RecordedTrace, unixOffsetMs: number): Buffer {
  if (tracestate === '' && retries === null && attempts <= 1) return NOTHING;
  const parts: Buffer[] = [];
  if (tracestate !== '') parts.push(stringField(TRACE_STATE, tracestate));
  if (attempts > 1) parts.push(attributeOctets({ 'weft.attempts': attempts }));
  if (retries !== null) parts.push(retryEvents(retries, unixOffsetMs));
  return Buffer.concat(parts);
}
