// Trace context as it arrives: W3C traceparent (www.w3.org/TR/trace-context-2), and B3 where there is none.
import type { HeaderBlock } from '../../http/header-block.ts';
import { MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS } from '../../http2/limits.ts';
import { isHex, wordAt } from './ids.ts';

const TRACEPARENT = 'traceparent';
const TRACEPARENT_OCTETS = 55;
/** Longer ones than every implementation must pass on (W3C §3.3.1.5) are not put into spans. */
const MAX_TRACESTATE = 512;
/** Of the traceparent that goes on, in a header list. */
export const TRACEPARENT_SIZE = TRACEPARENT.length + TRACEPARENT_OCTETS + 32;
/** The flag of a trace whose identifier is random (level 2 §3.2.2.5.2): each hop must pass the flag on. */
const RANDOM = 2;

/** d: for debugging, which is as good as yes. */
const B3_DECISIONS: Readonly<Record<string, boolean>> = { 0: false, false: false, 1: true, true: true, d: true };

/**
 * Where a call's headers place it. The record is used again for the next call: identifiers are words, trace (t), span
 * (s).
 */
export class IncomingContext {
  /** none: nothing that says where, or what may not be followed. */
  found: 'none' | 'w3c' | 'b3' = 'none';
  /** null: left to us. B3 may say it without a trace. */
  sampled: boolean | null = null;
  /** Flags that go on beside the decision. */
  flags = 0;
  /** A traceparent of ours fits into the header list that the next one takes. */
  hasRoom = true;
  tracestate = '';
  t0 = 0;
  t1 = 0;
  t2 = 0;
  t3 = 0;
  s0 = 0;
  s1 = 0;

  read(block: HeaderBlock): void {
    this.found = 'none';
    this.sampled = null;
    this.flags = 0;
    this.tracestate = '';
    const { template, varying } = block;
    let traceparents = 0;
    let octets = template.octets + TRACEPARENT_SIZE;
    let b3 = false;
    for (let i = 0; i < varying.length; i++) {
      const { name, value, size } = varying[i];
      octets += size;
      if (name === TRACEPARENT) {
        octets -= size;
        traceparents++;
        if (traceparents === 1) this.readTraceparent(value);
      } else if (name === 'tracestate') {
        this.tracestate = this.tracestate === '' ? value : `${this.tracestate},${value}`;
      } else if (name === 'b3' || name === 'x-b3-traceid' || name === 'x-b3-sampled' || name === 'x-b3-flags') b3 = true;
    }
    if (traceparents > 1) {
      this.found = 'none';
      this.sampled = null;
      this.flags = 0;
    }
    const fields = template.fields.length + varying.length - traceparents + 1;
    this.hasRoom = octets <= MAX_HEADER_LIST_OCTETS && fields <= MAX_HEADER_FIELDS;
    if (this.tracestate.length > MAX_TRACESTATE || this.found === 'none') this.tracestate = '';
    if (traceparents === 0 && b3) this.readB3(block);
  }

  /** Version 00, or what of a later version is the same (W3C §4.1). */
  private readTraceparent(value: string): void {
    if (value.length < TRACEPARENT_OCTETS || !isHex(value, 0, 2) || value.startsWith('ff')) return;
    if (value.length > TRACEPARENT_OCTETS && (value.startsWith('00') || value[TRACEPARENT_OCTETS] !== '-')) return;
    if (value[2] !== '-' || value[35] !== '-' || value[52] !== '-') return;
    if (!isHex(value, 3, 35) || !isHex(value, 36, 52) || !isHex(value, 53, 55)) return;
    if (!this.identifiers(value, 3, value, 36)) return;
    this.found = 'w3c';
    const flags = Number.parseInt(value[54], 16);
    this.sampled = (flags & 1) === 1;
    this.flags = flags & RANDOM;
  }

  /**
   * github.com/openzipkin/b3-propagation: the single header, else the several ones. Trace identifiers may have half the
   * digits; a decision may come without a trace.
   */
  private readB3(block: HeaderBlock): void {
    const single = block.varyingValue('b3');
    let [traceId = '', spanId = '', sampled = ''] = (single ?? '').toLowerCase().split('-');
    if (single === undefined) {
      traceId = (block.varyingValue('x-b3-traceid') ?? '').toLowerCase();
      spanId = (block.varyingValue('x-b3-spanid') ?? '').toLowerCase();
      sampled = block.varyingValue('x-b3-flags') === '1' ? 'd' : (block.varyingValue('x-b3-sampled') ?? '').toLowerCase();
    } else if (traceId === single.toLowerCase()) {
      sampled = traceId;
      traceId = '';
    }
    const decision = Object.hasOwn(B3_DECISIONS, sampled) ? B3_DECISIONS[sampled] : null;
    if (traceId === '' && spanId === '') this.sampled = decision;
    if (traceId.length === 16) traceId = '0'.repeat(16) + traceId;
    if (traceId.length !== 32 || spanId.length !== 16 || !isHex(traceId, 0, 32) || !isHex(spanId, 0, 16)) return;
    if (!this.identifiers(traceId, 0, spanId, 0)) return;
    this.found = 'b3';
    this.sampled = decision;
  }

  /** @returns false if one is all zeros, which is no identifier */
  private identifiers(trace: string, traceAt: number, span: string, spanAt: number): boolean {
    this.t0 = wordAt(trace, traceAt);
    this.t1 = wordAt(trace, traceAt + 8);
    this.t2 = wordAt(trace, traceAt + 16);
    this.t3 = wordAt(trace, traceAt + 24);
    this.s0 = wordAt(span, spanAt);
    this.s1 = wordAt(span, spanAt + 8);
    return (this.t0 | this.t1 | this.t2 | this.t3) !== 0 && (this.s0 | this.s1) !== 0;
  }
}
