// Trace context as it arrives: W3C traceparent (www.w3.org/TR/trace-context-2), and B3 where there is none.
import type { HeaderBlock } from '../http2/header-block.ts';
import { isHex, wordAt } from './ids.ts';

const TRACEPARENT = 'traceparent';
const TRACEPARENT_OCTETS = 55;
/** Longer ones than every implementation must pass on (W3C §3.3.1.5) are not put into spans. */
const MAX_TRACESTATE = 512;

/** Where a call's headers place it. The record is used again for the next call: identifiers are words, trace (t), span (s). */
export class IncomingContext {
  /** none: no context, or one that may not be followed. */
  found: 'none' | 'w3c' | 'b3' = 'none';
  /** null: left to us (B3 only). */
  sampled: boolean | null = null;
  /** There were headers of W3C's that no one may pass on: malformed or more than one. */
  spoilt = false;
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
    this.spoilt = false;
    this.tracestate = '';
    const { varying } = block;
    let traceparents = 0;
    let b3 = false;
    for (let i = 0; i < varying.length; i++) {
      const { name, value } = varying[i];
      if (name === TRACEPARENT) {
        traceparents++;
        if (traceparents === 1) this.readTraceparent(value);
      } else if (name === 'tracestate') {
        this.tracestate = this.tracestate === '' ? value : `${this.tracestate},${value}`;
      } else if (name === 'b3' || name === 'x-b3-traceid') b3 = true;
    }
    if (traceparents > 1 || (traceparents === 1 && this.found === 'none')) {
      this.found = 'none';
      this.spoilt = true;
    }
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
    this.sampled = (Number.parseInt(value[54], 16) & 1) === 1;
  }

  /** github.com/openzipkin/b3-propagation: the single header, else the several ones. Trace identifiers may have half the digits. */
  private readB3(block: HeaderBlock): void {
    const single = block.varyingValue('b3');
    let [traceId = '', spanId = '', sampled = ''] = (single ?? '').toLowerCase().split('-');
    if (single === undefined) {
      traceId = (block.varyingValue('x-b3-traceid') ?? '').toLowerCase();
      spanId = (block.varyingValue('x-b3-spanid') ?? '').toLowerCase();
      sampled = stableValue(block, 'x-b3-flags') === '1' ? 'd' : (stableValue(block, 'x-b3-sampled') ?? '');
    }
    if (traceId.length === 16) traceId = '0'.repeat(16) + traceId;
    if (traceId.length !== 32 || spanId.length !== 16 || !isHex(traceId, 0, 32) || !isHex(spanId, 0, 16)) return;
    if (!this.identifiers(traceId, 0, spanId, 0)) return;
    this.found = 'b3';
    this.sampled = sampled === '' ? null : sampled === '1' || sampled === 'd' || sampled === 'true';
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

function stableValue(block: HeaderBlock, name: string): string | undefined {
  const { list } = block.template.source;
  for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
  return undefined;
}
