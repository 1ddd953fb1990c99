// Header blocks as a common client writes them (nghttp2's choices): indexed where the peer knows a field, put into its
// dynamic table else, Huffman-coded where that is shorter (RFC 7541).
import { HUFFMAN_CODE_LENGTHS } from '#sidecar/http2/huffman.ts';
import { STATIC_FIELD_INDEX, STATIC_NAME_INDEX, STATIC_TABLE } from '#sidecar/http2/static-table.ts';

export type Header = readonly [name: string, value: string];

/** The table that every peer allows before its SETTINGS say otherwise (RFC 7541 §4.2). */
const TABLE_OCTETS = 4096;
const ENTRY_OVERHEAD = 32;
/** Fields that are literals each time: they are new in each call, or a secret (never indexed). */
const WITHOUT_INDEXING = 0x00;
const NEVER_INDEXED = 0x10;
const LITERAL: ReadonlyMap<string, number> = new Map([
  [':path', WITHOUT_INDEXING],
  ['authorization', NEVER_INDEXED],
]);

/** Values of this length come again (bearer tokens): they are coded once. */
const LONG_OCTETS = 256;
const longStrings = new Map<string, Buffer>();

const CODE_LENGTHS = Uint8Array.from(HUFFMAN_CODE_LENGTHS);
const CODES = huffmanCodes();

/** The code is canonical: ordered by length, then by symbol. */
function huffmanCodes(): Uint32Array {
  const codes = new Uint32Array(HUFFMAN_CODE_LENGTHS.length);
  const order = HUFFMAN_CODE_LENGTHS.map((length, symbol) => ({ length, symbol }));
  order.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  let code = 0;
  let previous = order[0].length;
  for (const { length, symbol } of order) {
    code *= 2 ** (length - previous);
    previous = length;
    codes[symbol] = code++;
  }
  return codes;
}

/** One connection's encoder: its table is what the peer's decoder has by now. */
export class HeaderBlockWriter {
  /** Entries by their number, counted from the first that was ever inserted. */
  private readonly entries: { readonly name: string; readonly field: string; readonly octets: number }[] = [];
  private evicted = 0;
  private tableOctets = 0;
  private readonly byField = new Map<string, number>();
  private readonly byName = new Map<string, number>();
  private readonly out = Buffer.allocUnsafe(16_384);
  private at = 0;

  /** @param headers together at most 16,384 octets @returns octets that the next call overwrites */
  encode(headers: readonly Header[]): Buffer {
    this.at = 0;
    for (const [name, value] of headers) this.field(name, value);
    return this.out.subarray(0, this.at);
  }

  private field(name: string, value: string): void {
    const field = `${name}\0${value}`;
    const known = STATIC_FIELD_INDEX.get(field) ?? this.index(this.byField.get(field));
    if (known !== undefined) return this.integer(0x80, 7, known);
    const nameIndex = STATIC_NAME_INDEX.get(name) ?? this.index(this.byName.get(name)) ?? 0;
    const literal = LITERAL.get(name);
    if (literal === undefined) this.integer(0x40, 6, nameIndex);
    else this.integer(literal, 4, nameIndex);
    if (nameIndex === 0) this.string(name);
    this.string(value);
    if (literal === undefined) this.insert(name, field, name.length + value.length + ENTRY_OVERHEAD);
  }

  private index(number: number | undefined): number | undefined {
    return number === undefined ? undefined : STATIC_TABLE.length + this.evicted + this.entries.length - number;
  }

  private insert(name: string, field: string, octets: number): void {
    while (this.entries.length > 0 && this.tableOctets + octets > TABLE_OCTETS) {
      const oldest = this.entries.shift()!;
      if (this.byField.get(oldest.field) === this.evicted) this.byField.delete(oldest.field);
      if (this.byName.get(oldest.name) === this.evicted) this.byName.delete(oldest.name);
      this.evicted++;
      this.tableOctets -= oldest.octets;
    }
    const number = this.evicted + this.entries.length;
    this.entries.push({ name, field, octets });
    this.tableOctets += octets;
    this.byField.set(field, number);
    this.byName.set(name, number);
  }

  /** RFC 7541 §5.2. */
  private string(text: string): void {
    if (text.length < LONG_OCTETS) {
      this.at = writeString(this.out, this.at, text);
      return;
    }
    let octets = longStrings.get(text);
    if (octets === undefined) {
      octets = Buffer.alloc(text.length + LONG_OCTETS);
      octets = octets.subarray(0, writeString(octets, 0, text));
      longStrings.set(text, octets);
    }
    this.at += octets.copy(this.out, this.at);
  }

  private integer(pattern: number, prefixBits: number, value: number): void {
    this.at = writeInteger(this.out, this.at, pattern, prefixBits, value);
  }
}

/** RFC 7541 §5.1. @returns where the next octet goes */
function writeInteger(out: Buffer, at: number, pattern: number, prefixBits: number, value: number): number {
  const most = 2 ** prefixBits - 1;
  if (value < most) {
    out[at++] = pattern | value;
    return at;
  }
  out[at++] = pattern | most;
  let rest = value - most;
  for (; rest >= 128; rest >>= 7) out[at++] = (rest & 127) | 128;
  out[at++] = rest;
  return at;
}

/** @param text printable ASCII, whose codes have at most 19 bits @returns where the next octet goes */
function writeString(out: Buffer, start: number, text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += CODE_LENGTHS[text.charCodeAt(i)];
  const coded = (bits + 7) >> 3;
  if (coded >= text.length) {
    const at = writeInteger(out, start, 0, 7, text.length);
    return at + out.latin1Write(text, at);
  }
  let at = writeInteger(out, start, 0x80, 7, coded);
  let held = 0;
  let heldBits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    held = (held << CODE_LENGTHS[symbol]) | CODES[symbol];
    heldBits += CODE_LENGTHS[symbol];
    for (; heldBits >= 8; heldBits -= 8) out[at++] = held >> (heldBits - 8);
    held &= 127;
  }
  // What is left is filled up with ones.
  if (heldBits > 0) out[at++] = (held << (8 - heldBits)) | (2 ** (8 - heldBits) - 1);
  return at;
}
