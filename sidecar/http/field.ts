// One header field as all codecs show it: interned per connection, and judged once, when it is made (RFC 9113 §8.2).
import { type FieldName, fieldNames } from './field-name.ts';

/**
 * A header field; a name that is not in lower case is a fault. Names and values are latin1 strings: one char is one
 * octet, so nothing is lost on the way through.
 */
export interface Field {
  readonly name: string;
  readonly value: string;
  /** Its size in a header list (RFC 9113 §6.5.2): that of name and value as they came, and 32. */
  readonly size: number;
  /** What is known of its name; among it whether its values differ from call to call. */
  readonly of: FieldName;
  /** It came with the demand that no table may hold it, and must leave with it (RFC 7541 §6.2.3). */
  readonly never: boolean;
  /** Why no message may carry this field, or ''. */
  readonly fault: string;
  /** The number of this field on its connection, of which a template's hash is made. */
  readonly id: number;
  /** Its octets as an HTTP/2 literal that is not indexed, if they exist already; else null. */
  readonly encoded: Buffer | null;
  /** The name in the case in which HTTP/1.1 leaves: that in which it came. */
  readonly spelled: string;
}

/** @param id number of the field on its connection; 0 for one that is in no template */
export function makeField(name: string, value: string, never: boolean, id: number): Field {
  return fieldOf(fieldNames.get(name), value, never, id);
}

/**
 * As makeField(), where the record of the name is at hand. White space around the value is no part of it (RFC 9110
 * §5.5): it is taken off.
 */
export function fieldOf(of: FieldName, value: string, never: boolean, id: number): Field {
  return fieldSpelled(of, of.text, value, never, id);
}

/** As fieldOf(), where HTTP/1.1 has spelled the name in a case of its own. */
export function fieldSpelled(of: FieldName, spelled: string, value: string, never: boolean, id: number): Field {
  const size = of.text.length + value.length + 32;
  const stripped = stripBlanks(value);
  const fault = of.fault || valueFault(of, stripped);
  return { name: of.text, value: stripped, size, of, never, fault, id, encoded: null, spelled };
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
