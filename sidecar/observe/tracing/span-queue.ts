// Spans between their end and the collector: encoded at once, in batches, a bounded number of them. What does not fit
// is dropped and counted.
import { lengthTag, varint } from './protobuf.ts';

/** Fields of opentelemetry.proto.trace.v1: TracesData.resource_spans, ResourceSpans.scope_spans. */
const RESOURCE_SPANS = 1;
const SCOPE_SPANS = 2;

/** A span is never larger: values are cut, and what calls share is bounded by their headers' limit. */
export const MAX_SPAN_OCTETS = 8 * 1024;
/**
 * Octets of a batch, at most: 512 spans of some 560 octets, with room for longer names. Memory that no span reached is
 * never touched.
 */
const BATCH_OCTETS = 384 * 1024;
/** In front of the spans, for what a request begins with: resource and scope. */
const HEADROOM = 8 * 1024;
/** The resource's and the scope's octets together may not be more: the tags and lengths need the rest. */
export const MAX_PREFIX_OCTETS = HEADROOM - 32;
/**
 * Batches whose memory is kept for later ones: with the default sizes, as many as wait, are filled and are under way
 * together.
 */
const MAX_SPARE = 8;

/** Spans that leave together. */
export class Batch {
  readonly buffer: Buffer;
  /** End of the spans. */
  end = HEADROOM;
  spans = 0;

  /** @param maxSpans how many it is for */
  constructor(maxSpans: number) {
    this.buffer = Buffer.allocUnsafeSlow(HEADROOM + Math.min(maxSpans * MAX_SPAN_OCTETS, BATCH_OCTETS));
  }

  get hasRoom(): boolean {
    return this.end + MAX_SPAN_OCTETS <= this.buffer.length;
  }

  /**
   * The ExportTraceServiceRequest of these spans, in place.
   * @param resource ResourceSpans.resource as a field @param scope ScopeSpans.scope as a field
   */
  request(resource: Buffer, scope: Buffer): Buffer {
    const { buffer, end } = this;
    let at = HEADROOM - scope.length;
    scope.copy(buffer, at);
    at = prepend(buffer, at, [lengthTag(SCOPE_SPANS), ...varint(end - at)]);
    at -= resource.length;
    resource.copy(buffer, at);
    at = prepend(buffer, at, [lengthTag(RESOURCE_SPANS), ...varint(end - at)]);
    return buffer.subarray(at, end);
  }
}

function prepend(buffer: Buffer, at: number, octets: readonly number[]): number {
  buffer.set(octets, at - octets.length);
  return at - octets.length;
}

export class SpanQueue {
  /** Spans that wait, those of the open batch among them. */
  length = 0;
  private readonly maxLength: number;
  private readonly maxBatch: number;
  private readonly full: Batch[] = [];
  private readonly spare: Batch[] = [];
  private open: Batch | null = null;
  private readonly onFull: () => void;

  /** @param maxLength spans that may wait @param maxBatch spans that leave together @param onFull a batch is full */
  constructor(maxLength: number, maxBatch: number, onFull: () => void) {
    this.maxLength = maxLength;
    this.maxBatch = Math.min(maxBatch, maxLength);
    this.onFull = onFull;
  }

  /** @returns the batch that the next span is written to at its end; null: no more may wait. commit() follows */
  reserve(): Batch | null {
    if (this.length >= this.maxLength) return null;
    if (this.open !== null && !this.open.hasRoom) this.leave();
    return (this.open ??= this.spare.pop() ?? new Batch(this.maxBatch));
  }

  /** The span was written up to there. */
  commit(end: number): void {
    const batch = this.open!;
    batch.end = end;
    batch.spans++;
    this.length++;
    if (batch.spans >= this.maxBatch) this.leave();
  }

  /** The oldest full batch. @param partial the open one too, where none is full @returns null if there is none */
  take(partial: boolean): Batch | null {
    if (this.full.length === 0 && partial && this.open !== null && this.open.spans > 0) this.close();
    const batch = this.full.shift() ?? null;
    if (batch !== null) this.length -= batch.spans;
    return batch;
  }

  /** A batch is not read any more: its memory may serve again. */
  giveBack(batch: Batch): void {
    batch.end = HEADROOM;
    batch.spans = 0;
    if (this.spare.length < MAX_SPARE) this.spare.push(batch);
  }

  private leave(): void {
    this.close();
    this.onFull();
  }

  private close(): void {
    this.full.push(this.open!);
    this.open = null;
  }
}
