// HPACK decoding (RFC 7541) with two caches: whole blocks by their bytes, and templates by the fields they are made of.
// The first serves peers whose blocks repeat (h2load, nghttp2, grpc-js without deadlines); the second serves those that
// insert a value per call (grpc-go's and Java's grpc-timeout shifts all indexes). A call's decision is found again
// either way.
import { type Field, fieldOf, makeField } from '../http/field.ts';
import { type FieldNames, fieldNames, VARYING_PATH } from '../http/field-name.ts';
import { HeaderBlock } from '../http/header-block.ts';
import { Interned } from '../http/interned.ts';
import { MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS } from '../http/limits.ts';
import { huffmanDecode } from './huffman.ts';
import { MAX_CONTINUATIONS, MAX_FRAME_SIZE } from './limits.ts';
import { STATIC_TABLE } from './static-table.ts';

/** A broken block: the connection ends with COMPRESSION_ERROR (RFC 9113 §4.3). */
export class HpackError extends Error {}

const BLOCK_CACHE_SLOTS = 64; // power of two
const BLOCK_CACHE_MAX_OCTETS = 512;
/** Blocks in a row that were not remembered, past which most are not even looked for; one in so many still is. */
const MISSES_BEFORE_REST = 64;
const LOOK_EVERY = 16;

const STATIC_FIELDS: readonly Field[] = STATIC_TABLE.map(([name, value], i) => makeField(name, value, false, i + 1));

interface CachedBlock {
  generation: number;
  bytes: Uint8Array;
  block: HeaderBlock;
}

/** The largest block there is, in the shortest codes (five bits). */
const scratch = new Uint8Array(((MAX_CONTINUATIONS + 1) * MAX_FRAME_SIZE * 8) / 5 + 2);
const scratchBuffer = Buffer.from(scratch.buffer);

export class HpackDecoder {
  // Dynamic table: newest at the end; entry i of RFC 7541 is table[table.length - i].
  private table: Field[] = [];
  private first = 0; // table[first] is the oldest live entry: eviction moves this, compaction is rare
  private tableSize = 0;
  private maxTableSize: number;
  private readonly allowedTableSize: number;
  private generation = 0;
  private readonly blocks: (CachedBlock | null)[] = new Array(BLOCK_CACHE_SLOTS).fill(null);
  /**
   * Hash of the last block of each slot: a block is remembered when it comes for the second time, so that unique ones
   * leave nothing.
   */
  private readonly lastHashes = new Int32Array(BLOCK_CACHE_SLOTS);
  private misses = 0;
  private readonly interned: Interned;
  private pos = 0;
  private readonly names: FieldNames;

  /** @param names what is known of names; default: by the whole process */
  constructor(tableSize: number, names: FieldNames = fieldNames) {
    this.names = names;
    this.interned = new Interned(names, STATIC_FIELDS.length + 1, () => this.blocks.fill(null));
    this.maxTableSize = tableSize;
    this.allowedTableSize = tableSize;
  }

  /**
   * Decodes one whole header block, buf[start, end).
   * @throws HpackError
   */
  decode(buf: Buffer, start: number, end: number): HeaderBlock {
    const length = end - start;
    if (length > BLOCK_CACHE_MAX_OCTETS) return this.decodeFields(buf, start, end);
    if (this.misses > MISSES_BEFORE_REST && (++this.misses & (LOOK_EVERY - 1)) !== 0) return this.decodeFields(buf, start, end);
    let hash = length;
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + buf[i]) | 0;
    const slot = (hash ^ (hash >>> 15)) & (BLOCK_CACHE_SLOTS - 1);
    const cached = this.blocks[slot];
    if (cached !== null && cached.generation === this.generation && equalBytes(cached.bytes, buf, start, length)) {
      this.misses = 0;
      return cached.block;
    }
    this.misses++;
    const { generation } = this;
    const block = this.decodeFields(buf, start, end);
    const again = this.lastHashes[slot] === hash;
    this.lastHashes[slot] = hash;
    // An array of its own: a slice of a pool would keep the pool's 8 KiB.
    if (again && generation === this.generation && !block.tooLarge) {
      this.blocks[slot] = { generation, bytes: Uint8Array.prototype.slice.call(buf, start, end), block };
    }
    return block;
  }

  private decodeFields(buf: Buffer, start: number, end: number): HeaderBlock {
    const stable: Field[] = [];
    const varying: Field[] = [];
    let octets = 0;
    let count = 0;
    let hash = 0;
    let stableOctets = 0;
    let listFault = '';
    this.pos = start;
    while (this.pos < end) {
      const octet = buf[this.pos];
      let field: Field;
      if ((octet & 0x80) !== 0) {
        field = this.lookup(this.readInteger(buf, end, 7));
      } else if ((octet & 0x40) !== 0) {
        field = this.readLiteral(buf, end, 6, false);
        this.insert(field);
      } else if ((octet & 0x20) !== 0) {
        if (count > 0) throw new HpackError('table size update after a field');
        const size = this.readInteger(buf, end, 5);
        if (size > this.allowedTableSize) throw new HpackError('table size update above the limit');
        this.maxTableSize = size;
        this.generation++;
        this.evict(0);
        continue;
      } else {
        field = this.readLiteral(buf, end, 4, (octet & 0x10) !== 0);
      }
      count++;
      octets += field.size;
      if (octets > MAX_HEADER_LIST_OCTETS || count > MAX_HEADER_FIELDS) continue; // the table must stay right, the list is lost
      if (field.of.varying) {
        if (field.of === VARYING_PATH && !mayHavePath(stable, varying)) listFault = MISPLACED;
        varying.push(field);
      } else {
        stable.push(field);
        stableOctets += field.size;
        // The template sees the stable fields alone.
        if (varying.length > 0 && field.name.charCodeAt(0) === 0x3a && !follows(field, varying)) listFault = MISPLACED;
        hash = (Math.imul(hash, 31) + field.id) | 0;
      }
    }
    const tooLarge = octets > MAX_HEADER_LIST_OCTETS || count > MAX_HEADER_FIELDS;
    return new HeaderBlock(this.interned.template(stable, hash, stableOctets), varying, tooLarge, listFault);
  }

  private lookup(index: number): Field {
    if (index === 0) throw new HpackError('index 0');
    if (index <= STATIC_FIELDS.length) return STATIC_FIELDS[index - 1];
    const at = this.table.length - (index - STATIC_FIELDS.length);
    if (at < this.first) throw new HpackError('index past the table');
    return this.table[at];
  }

  private readLiteral(buf: Buffer, end: number, prefix: number, never: boolean): Field {
    const index = this.readInteger(buf, end, prefix);
    const of = index === 0 ? this.names.get(this.readString(buf, end)) : this.lookup(index).of;
    const value = this.readString(buf, end);
    if (of.varying) return fieldOf(of, value, never, 0);
    return this.interned.field(of, of.text, value, never);
  }

  private readInteger(buf: Buffer, end: number, prefix: number): number {
    const mask = (1 << prefix) - 1;
    let value = buf[this.pos++] & mask;
    if (value < mask) return value;
    let shift = 0;
    for (;;) {
      if (this.pos >= end || shift > 21) throw new HpackError('broken integer');
      const octet = buf[this.pos++];
      value += (octet & 0x7f) << shift;
      if ((octet & 0x80) === 0) return value;
      shift += 7;
    }
  }

  private readString(buf: Buffer, end: number): string {
    if (this.pos >= end) throw new HpackError('block ends in a field');
    const huffman = (buf[this.pos] & 0x80) !== 0;
    const length = this.readInteger(buf, end, 7);
    const start = this.pos;
    if (start + length > end) throw new HpackError('string past the block');
    this.pos = start + length;
    if (!huffman) return buf.latin1Slice(start, start + length);
    const decoded = huffmanDecode(buf, start, start + length, scratch);
    if (decoded < 0) throw new HpackError('broken Huffman code');
    return scratchBuffer.latin1Slice(0, decoded);
  }

  private insert(field: Field): void {
    this.generation++;
    this.evict(field.size);
    if (field.size > this.maxTableSize) return; // RFC 7541 §4.4: empties the table, is not an error
    this.table.push(field);
    this.tableSize += field.size;
  }

  private evict(room: number): void {
    while (this.first < this.table.length && this.tableSize + room > this.maxTableSize) {
      this.tableSize -= this.table[this.first].size;
      this.table[this.first++] = STATIC_FIELDS[0]; // lets go of its strings
    }
    if (this.first > 128 && this.first * 2 > this.table.length) {
      this.table = this.table.slice(this.first);
      this.first = 0;
    }
  }
}

const MISPLACED = 'a pseudo-header field follows a regular one, or :path stands twice';

/** Whether a path that varies may stand behind these fields. */
function mayHavePath(stable: readonly Field[], varying: readonly Field[]): boolean {
  return varying.length === 0 && stable.every(({ name }) => name.charCodeAt(0) === 0x3a && name !== ':path');
}

/** Whether a pseudo-header field may stand behind fields that vary: only a path may be among them. */
function follows(field: Field, varying: readonly Field[]): boolean {
  return varying.length === 1 && varying[0].of === VARYING_PATH && field.name !== ':path';
}

function equalBytes(a: Uint8Array, b: Buffer, start: number, length: number): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[start + i]) return false;
  return true;
}
