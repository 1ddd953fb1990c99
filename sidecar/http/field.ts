// One header field as the codec sees it: interned per connection, judged once when it is made (RFC 9113 §8.2.1).
import { type FieldName, fieldNames } from './field-name.ts';

/** A header field. Names and values are latin1 strings: one char is one octet, so nothing is lost on the way through. */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** Size in a dynamic table and in a header list (RFC 7541 §4.1), of the octets that came. */
  readonly size: number;
  /** What is known of its name, whether its values differ from call to call among it. */
  readonly of: FieldName;
  /** Came as "never indexed": must leave so (RFC 7541 §6.2.3). */
  readonly never: boolean;
  /** Not empty: a field that no message may carry, and why. */
  readonly fault: string;
  /** Number of this field on its connection, for the hash of a template. */
  readonly id: number;
  /** Its octets as a literal that is not indexed, where they are made already; else null. */
  readonly encoded: Buffer | null;
}

/** @param id number of the field on its connection; 0 for one that is in no template */
export function makeField(name: string, value: string, never: boolean, id: number): Field {
  return fieldOf(fieldNames.get(name), value, never, id);
}

/** As makeField(), where the record of the name is at hand. White space around the value is no part of it (RFC 9110 §5.5): it is taken off. */
export function fieldOf(of: FieldName, value: string, never: boolean, id: number): Field {
  const size = of.text.length + value.length + 32;
  const stripped = stripBlanks(value);
  return { name: of.text, value: stripped, size, of, never, fault: of.fault || valueFault(of, stripped), id, encoded: null };
}

/** Where a loop over the octets of a value costs less than three searches by memchr. */
const SHORT_VALUE = 32;

/** @returns why RFC 9113 §8.2.1 forbids the value, or '' */
function valueFault(of: FieldName, value: string): string {
  if (value.length <= SHORT_VALUE) {
    for (let i = 0; i < value.length; i++) {
      const c = value.charCodeAt(i);
      if (c === 0 || c === 0x0a || c === 0x0d) return FORBIDDEN_OCTET;
    }
  } else if (value.includes('\n') || value.includes('\r') || value.includes('\0')) return FORBIDDEN_OCTET;
  return of.text === 'te' && value !== 'trailers' ? 'te other than trailers' : '';
}

const FORBIDDEN_OCTET = 'forbidden octet in a field value';

function stripBlanks(value: string): string {
  const { length } = value;
  if (length === 0 || (!isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(length - 1)))) return value;
  let start = 0;
  let end = length;
  while (start < end && isBlank(value.charCodeAt(start))) start++;
  while (end > start && isBlank(value.charCodeAt(end - 1))) end--;
  return value.slice(start, end);
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}
