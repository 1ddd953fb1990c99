// The field lines of a section: each is judged, those of the connection and the framing are taken out, and the others
// become the fields of a template and those that vary.
import { type Field, fieldSpelled } from '../http/field.ts';
import { HeaderBlock } from '../http/header-block.ts';
import type { Interned } from '../http/interned.ts';
import { MAX_HEADER_FIELDS, MAX_HEADER_LIST_OCTETS } from '../http/limits.ts';
import {
  CONNECTION,
  CONTENT_LENGTH,
  DROPPED,
  END_TO_END,
  HOST,
  LOOKALIKE,
  spelledName,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
} from './field-role.ts';
import { IS_TOKEN } from './octets.ts';
import type { Section } from './section.ts';

const COLON = 0x3a;
const SPACE = 0x20;
const HTAB = 0x09;

/** Digits of a content-length: what a number holds exactly. */
const LENGTH = /^[0-9]{1,15}$/;

/** Names that a connection option may not take out of a message: without them it would be another one. */
const NEVER_NOMINATED: ReadonlySet<string> = new Set(['host', 'content-length', 'content-type', 'content-encoding', 'transfer-encoding']);

/** The fields of one section, and what they say of the connection and the content. Used again for the next one. */
export class Fields {
  stable: Field[] = [];
  varying: Field[] = [];
  /** Sizes of the fields of either list (L2). */
  stableOctets = 0;
  varyingOctets = 0;
  hash = 0;
  /** Why it is no section of fields; '': it is one. */
  fault = '';
  host: string | null = null;
  /** -1: there is none. */
  contentLength = -1;
  /** There is a transfer-encoding, in lower case; null: none. */
  transferEncoding: string | null = null;
  /** Connection options, in lower case; empty: none. */
  options: string[] = [];
  /** '': none. */
  upgrade = '';
  acceptsTrailers = false;
  private underscored = false;
  private readonly interned: Interned;

  constructor(interned: Interned) {
    this.interned = interned;
  }

  begin(): void {
    this.stable = [];
    this.varying = [];
    this.stableOctets = 0;
    this.varyingOctets = 0;
    this.hash = 0;
    this.fault = '';
    this.host = null;
    this.contentLength = -1;
    this.transferEncoding = null;
    if (this.options.length > 0) this.options = [];
    this.upgrade = '';
    this.acceptsTrailers = false;
    this.underscored = false;
  }

  /** The list exceeds L2. */
  get isTooLarge(): boolean {
    return this.stableOctets + this.varyingOctets > MAX_HEADER_LIST_OCTETS || this.stable.length + this.varying.length > MAX_HEADER_FIELDS;
  }

  /** Takes out the fields of the template, so that others may stand in front of them. */
  takeStable(): Field[] {
    const { stable } = this;
    this.stable = [];
    this.stableOctets = 0;
    this.hash = 0;
    return stable;
  }

  /** Adds a field of the template. */
  add(field: Field): void {
    this.stable.push(field);
    this.stableOctets += field.size;
    this.hash = (Math.imul(this.hash, 31) + field.id) | 0;
  }

  /** Reads the lines of a section from `line` on. */
  read(section: Section, line: number): void {
    const { buf, start, ends, lines } = section;
    let at = line === 0 ? start + section.first : start + ends[line - 1] + 2;
    for (; line < lines && this.fault === ''; line++) {
      const end = start + ends[line];
      this.readLine(buf, at, end);
      at = end + 2;
    }
    if (this.underscored && this.fault === '' && this.haveTwins()) this.fault = 'two names that differ by "_" and "-" alone';
    if (this.options.length > 0) this.dropNominated();
  }

  /** The block of all fields. */
  block(): HeaderBlock {
    return new HeaderBlock(this.interned.template(this.stable, this.hash, this.stableOctets), this.varying, this.isTooLarge);
  }

  private readLine(buf: Buffer, at: number, end: number): void {
    const first = buf[at];
    if (first === SPACE || first === HTAB) {
      this.fault = 'obs-fold';
      return;
    }
    let colon = at;
    while (colon < end && IS_TOKEN[buf[colon]] === 1) colon++;
    if (colon === at || colon === end || buf[colon] !== COLON) {
      this.fault = 'a field name is no token, or no ":" follows it';
      return;
    }
    const spelled = buf.latin1Slice(at, colon);
    const { of, role, hasUnderscore } = spelledName(spelled);
    let from = colon + 1;
    while (from < end && (buf[from] === SPACE || buf[from] === HTAB)) from++;
    while (end > from && (buf[end - 1] === SPACE || buf[end - 1] === HTAB)) end--;
    const value = buf.latin1Slice(from, end);
    if (hasUnderscore) this.underscored = true;
    if (role !== END_TO_END) return this.readSpecial(role, value);
    if (of.varying) this.addVarying(fieldSpelled(of, spelled, value, false, 0));
    else {
      const field = this.interned.field(of, spelled, value, false);
      // Its name may have become one that varies by this very value.
      if (field.id === 0) this.addVarying(field);
      else this.add(field);
    }
  }

  addVarying(field: Field): void {
    this.varying.push(field);
    this.varyingOctets += field.size;
  }

  /** It stands in front of the others (VARYING_PATH). */
  addVaryingPath(field: Field): void {
    this.varying.unshift(field);
    this.varyingOctets += field.size;
  }

  private readSpecial(role: number, value: string): void {
    switch (role) {
      case HOST:
        if (this.host !== null) this.fault = 'two host fields';
        this.host = value;
        return;
      case CONTENT_LENGTH:
        if (this.contentLength !== -1) this.fault = 'two content-length fields';
        else if (!LENGTH.test(value)) this.fault = 'content-length is not a number';
        else this.contentLength = Number(value);
        return;
      case TRANSFER_ENCODING:
        if (this.transferEncoding !== null) this.fault = 'two transfer-encoding fields';
        this.transferEncoding = value.toLowerCase();
        return;
      case CONNECTION:
        for (const option of value.toLowerCase().split(',')) if (option.trim() !== '') this.options.push(option.trim());
        return;
      case UPGRADE:
        this.upgrade = this.upgrade === '' ? value : `${this.upgrade},${value}`;
        return;
      case TE:
        if (
          value
            .toLowerCase()
            .split(',')
            .some((coding) => coding.trim() === 'trailers')
        )
          this.acceptsTrailers = true;
        return;
      case LOOKALIKE:
        this.fault = 'a name with "_" that may be read as one of the framing';
        return;
      case DROPPED:
        return;
    }
  }

  /** Fields that are named as connection options are of this hop alone (RFC 9110 §7.6.1). */
  private dropNominated(): void {
    const nominated = new Set(this.options.filter((option) => !NEVER_NOMINATED.has(option)));
    const { stable, varying } = this;
    if (![...stable, ...varying].some(({ name }) => nominated.has(name))) return;
    this.takeStable();
    for (const field of stable) if (!nominated.has(field.name)) this.add(field);
    this.varying = [];
    this.varyingOctets = 0;
    for (const field of varying) if (!nominated.has(field.name)) this.addVarying(field);
  }

  private haveTwins(): boolean {
    const seen = new Map<string, string>();
    for (const { name } of [...this.stable, ...this.varying]) {
      const plain = name.replaceAll('_', '-');
      const other = seen.get(plain);
      if (other !== undefined && other !== name) return true;
      seen.set(plain, name);
    }
    return false;
  }
}
