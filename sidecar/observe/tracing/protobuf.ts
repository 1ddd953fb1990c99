// Protocol Buffers' wire format, as much of it as a span needs (protobuf.dev/programming-guides/encoding).

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** @returns the octets of an unsigned integer */
export function varint(value: number): number[] {
  const octets: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    octets.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  octets.push(rest);
  return octets;
}

/** A field with octets or a message in it. */
export function lengthField(field: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([...varint((field << 3) | LENGTH), ...varint(payload.length)]), payload]);
}

export function stringField(field: number, text: string): Buffer {
  return lengthField(field, Buffer.from(text, 'utf8'));
}

export function varintField(field: number, value: number): Buffer {
  return Buffer.from([...varint((field << 3) | VARINT), ...varint(value)]);
}

/** The octet that opens a field of a number up to 15 with eight octets, with a length, with four octets. */
export const fixed64Tag = (field: number): number => (field << 3) | FIXED64;
export const lengthTag = (field: number): number => (field << 3) | LENGTH;
export const fixed32Tag = (field: number): number[] => varint((field << 3) | FIXED32);

const TWO_16 = 2 ** 16;
const TWO_32 = 2 ** 32;

/** Writes Unix time in nanoseconds, little endian, without a BigInt. @param ms Unix ms with fraction */
export function putUnixNanos(out: Buffer, at: number, ms: number): void {
  const seconds = Math.floor(ms / 1000);
  const rest = Math.round((ms - seconds * 1000) * 1e6);
  // seconds * 1e9 has 61 bits: in two halves, each exact as a double.
  const upper = Math.floor(seconds / TWO_16) * 1e9;
  const lower = (seconds % TWO_16) * 1e9 + rest;
  const carry = (upper % TWO_16) * TWO_16 + lower;
  putWord(out, at, (carry % TWO_32) | 0);
  putWord(out, at + 4, Math.floor(upper / TWO_16) + Math.floor(carry / TWO_32));
}

/** Little endian. */
export function putWord(out: Buffer, at: number, word: number): void {
  out[at] = word;
  out[at + 1] = word >>> 8;
  out[at + 2] = word >>> 16;
  out[at + 3] = word >>> 24;
}

/** Big endian, as identifiers are written. */
export function putIdentifier(out: Buffer, at: number, word: number): void {
  out[at] = word >>> 24;
  out[at + 1] = word >>> 16;
  out[at + 2] = word >>> 8;
  out[at + 3] = word;
}
