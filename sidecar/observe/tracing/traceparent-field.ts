// The traceparent that goes on, as the octets that HPACK sends: one field for all calls, rewritten for each, so that a
// call without a span costs some 50 ns (a string, a field and an array for each took 200).
import type { Field } from '../../http/field.ts';
import { fieldNames } from '../../http/field-name.ts';
import { TRACEPARENT_SIZE } from './context.ts';
import { putHex } from './ids.ts';

const NAME = 'traceparent';
const VALUE = `00-${'0'.repeat(32)}-${'0'.repeat(16)}-00`;
/** Literal without indexing, new name (RFC 7541 §6.2.2); both lengths fit the prefix. */
const ENCODED = Buffer.concat([Buffer.from([0x00, NAME.length]), Buffer.from(NAME), Buffer.from([VALUE.length]), Buffer.from(VALUE)]);
const VALUE_AT = ENCODED.length - VALUE.length;
const TRACE_AT = VALUE_AT + 3;
const SPAN_AT = TRACE_AT + 33;
const FLAGS_AT = SPAN_AT + 17;

/** Valid until it is written again: a header section is encoded at once. */
export class TraceparentField implements Field {
  readonly name = NAME;
  readonly size = TRACEPARENT_SIZE;
  readonly of = fieldNames.get(NAME);
  readonly never = false;
  readonly fault = '';
  readonly id = 0;
  readonly spelled = NAME;
  readonly encoded: Buffer = Buffer.from(ENCODED);
  private readonly alone: readonly Field[] = [this];

  get value(): string {
    return this.encoded.latin1Slice(VALUE_AT, ENCODED.length);
  }

  /** @param flags up to 9 */
  write(t0: number, t1: number, t2: number, t3: number, s0: number, s1: number, flags: number): void {
    const { encoded } = this;
    putHex(encoded, TRACE_AT, t0);
    putHex(encoded, TRACE_AT + 8, t1);
    putHex(encoded, TRACE_AT + 16, t2);
    putHex(encoded, TRACE_AT + 24, t3);
    putHex(encoded, SPAN_AT, s0);
    putHex(encoded, SPAN_AT + 8, s1);
    encoded[FLAGS_AT + 1] = 0x30 | flags;
  }

  /**
   * The varying fields of a request with this one in place of what came.
   * @param keepState whether tracestate goes on
   */
  among(varying: readonly Field[], keepState: boolean): readonly Field[] {
    if (varying.length === 0) return this.alone;
    const fields: Field[] = [];
    for (let i = 0; i < varying.length; i++) {
      const { name } = varying[i];
      if (name !== NAME && (keepState || name !== 'tracestate')) fields.push(varying[i]);
    }
    fields.push(this);
    return fields;
  }
}
