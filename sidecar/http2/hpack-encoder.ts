// HPACK encoding (RFC 7541): stable fields go into the table once and then cost an octet each, varying ones are
// literals that are never inserted. So the bytes of a header source stay the same until the table changes, and are
// copied instead of made. The table is filled and never evicts, because every insertion would make all remembered bytes
// void; when it is full and much is sent as literals, it is emptied once and starts again.
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { MAX_REMEMBERED_OCTETS } from '../http/limits.ts';
import { ENCODER_TABLE_SIZE } from './limits.ts';
import { STATIC_FIELD_INDEX, STATIC_NAME_INDEX, STATIC_TABLE } from './static-table.ts';

/** Fields that found the table full before it is emptied. */
const MISSES_BEFORE_RESET = 4096;
const MAX_REMEMBERED = 512;

export class HpackEncoder {
  /** Grows with each change of the table: bytes made at an older one are void. */
  generation = 0;
  private readonly dynamic = new Map<string, number>(); // "name\0value" → insertion number, from 1
  private readonly dynamicNames = new Map<string, number>();
  private inserted = 0;
  private tableSize = 0;
  private limit = ENCODER_TABLE_SIZE;
  private misses = 0;
  /** Table size updates that must open the next block (RFC 7541 §4.2). */
  private updates: number[] = [];
  private readonly remembered = new Map<HeaderSource, { generation: number; bytes: Buffer }>();
  private rememberedOctets = 0;
  private out: Buffer = Buffer.allocUnsafe(512);
  private pos = 0;

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setPeerTableSize(size: number): void {
    const limit = Math.min(size, ENCODER_TABLE_SIZE);
    if (limit === this.limit) return;
    this.limit = limit;
    this.clear();
    // Sizes that were announced and not sent yet do not matter any more: the smallest must be seen, then the last.
    this.updates = limit === 0 ? [0] : [0, limit];
  }

  /** @returns the encoded stable part of a source, remembered; valid until the next call that changes the table */
  encode(source: HeaderSource): Buffer {
    if (source.encoder === this && source.generation === this.generation && this.updates.length === 0) return source.bytes;
    return this.encodeSlowly(source);
  }

  private encodeSlowly(source: HeaderSource): Buffer {
    if (this.updates.length === 0) {
      const known = this.remembered.get(source);
      if (known !== undefined && known.generation === this.generation) {
        source.encoder = this;
        source.generation = known.generation;
        return (source.bytes = known.bytes);
      }
      if (this.misses > MISSES_BEFORE_RESET) {
        this.clear();
        this.updates = [0, this.limit];
      }
    }
    this.pos = 0;
    const updated = this.updates.length > 0;
    for (const size of this.updates) this.writeInteger(size, 5, 0x20);
    this.updates = [];
    const before = this.generation;
    const { list, never } = source;
    for (let i = 0; i < list.length; i += 2) this.writeStable(list[i], list[i + 1], never?.has(list[i]) === true);
    const bytes = Buffer.from(this.out.subarray(0, this.pos));
    // Bytes that insert or announce may be sent only once.
    if (!updated && before === this.generation && bytes.length <= MAX_REMEMBERED_OCTETS / 8) {
      if (this.remembered.size >= MAX_REMEMBERED || this.rememberedOctets + bytes.length > MAX_REMEMBERED_OCTETS) {
        this.remembered.clear();
        this.rememberedOctets = 0;
      }
      this.rememberedOctets += bytes.length;
      this.remembered.set(source, { generation: this.generation, bytes });
      source.encoder = this;
      source.generation = this.generation;
      source.bytes = bytes;
    }
    return bytes;
  }

  /** Writes a varying field at out[pos]; the caller made room for varyingRoom(field). @returns the new position */
  static writeVarying(field: Field, out: Buffer, pos: number): number {
    const { encoded } = field;
    if (encoded !== null) {
      out.set(encoded, pos);
      return pos + encoded.length;
    }
    const nameIndex = STATIC_NAME_INDEX.get(field.name);
    const flags = field.never ? 0x10 : 0x00;
    if (nameIndex !== undefined) {
      pos = putInteger(out, pos, nameIndex, 4, flags);
    } else {
      out[pos++] = flags;
      pos = putString(out, pos, field.name);
    }
    return putString(out, pos, field.value);
  }

  /** @returns octets of the table size updates at the beginning of encoded fields (RFC 7541 §6.3) */
  static updatesIn(encoded: Buffer): number {
    let pos = 0;
    while (pos < encoded.length && (encoded[pos] & 0xe0) === 0x20) {
      const isLong = (encoded[pos++] & 0x1f) === 0x1f;
      if (isLong) while ((encoded[pos++] & 0x80) !== 0);
    }
    return pos;
  }

  static varyingRoom(field: Field): number {
    return field.size; // 32 more than the octets: more than any prefix needs
  }

  private writeStable(name: string, value: string, never: boolean): void {
    if (never) return this.writeLiteral(name, value, 0x10, 4);
    const key = `${name}\0${value}`;
    const staticIndex = STATIC_FIELD_INDEX.get(key);
    if (staticIndex !== undefined) return this.writeInteger(staticIndex, 7, 0x80);
    const number = this.dynamic.get(key);
    if (number !== undefined) return this.writeInteger(this.indexOf(number), 7, 0x80);
    const size = name.length + value.length + 32;
    if (this.tableSize + size > this.limit || size > this.limit / 2) {
      this.misses++;
      return this.writeLiteral(name, value, 0x00, 4);
    }
    this.writeLiteral(name, value, 0x40, 6);
    this.inserted++;
    this.generation++;
    this.tableSize += size;
    this.dynamic.set(key, this.inserted);
    this.dynamicNames.set(name, this.inserted);
  }

  private writeLiteral(name: string, value: string, flags: number, prefix: number): void {
    const staticName = STATIC_NAME_INDEX.get(name);
    const dynamicName = staticName === undefined ? this.dynamicNames.get(name) : undefined;
    this.room(name.length + value.length + 32);
    if (staticName !== undefined) this.pos = putInteger(this.out, this.pos, staticName, prefix, flags);
    else if (dynamicName !== undefined) this.pos = putInteger(this.out, this.pos, this.indexOf(dynamicName), prefix, flags);
    else {
      this.out[this.pos++] = flags;
      this.pos = putString(this.out, this.pos, name);
    }
    this.pos = putString(this.out, this.pos, value);
  }

  private writeInteger(value: number, prefix: number, flags: number): void {
    this.room(8);
    this.pos = putInteger(this.out, this.pos, value, prefix, flags);
  }

  private indexOf(number: number): number {
    return STATIC_TABLE.length + 1 + (this.inserted - number);
  }

  private clear(): void {
    this.dynamic.clear();
    this.dynamicNames.clear();
    this.remembered.clear();
    this.rememberedOctets = 0;
    this.tableSize = 0;
    this.misses = 0;
    this.generation++;
  }

  private room(octets: number): void {
    if (this.pos + octets <= this.out.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.pos + octets));
    this.out.copy(larger, 0, 0, this.pos);
    this.out = larger;
  }
}

function putInteger(out: Buffer, pos: number, value: number, prefix: number, flags: number): number {
  const max = (1 << prefix) - 1;
  if (value < max) {
    out[pos] = flags | value;
    return pos + 1;
  }
  out[pos++] = flags | max;
  let rest = value - max;
  while (rest >= 0x80) {
    out[pos++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[pos] = rest;
  return pos + 1;
}

function putString(out: Buffer, pos: number, value: string): number {
  pos = putInteger(out, pos, value.length, 7, 0x00);
  const length = value.length;
  if (length < 24) {
    for (let i = 0; i < length; i++) out[pos + i] = value.charCodeAt(i);
  } else {
    out.latin1Write(value, pos);
  }
  return pos + length;
}
