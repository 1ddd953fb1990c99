// A reader of DER (X.690) just large enough for the fields of a certificate that our rules look at. It never recurses.

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** One element: its tag and where its content lies in the buffer. */
export interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Octets that are not the DER we expect. */
export class DerError extends Error {}

/** Walks over the elements of a constructed value. All methods throw DerError. */
export class DerReader {
  private at: number;
  private readonly der: Buffer;
  private readonly end: number;

  constructor(der: Buffer, start = 0, end = der.length) {
    this.der = der;
    this.at = start;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  /** The tag of the next element, or -1 at the end. */
  peek(): number {
    return this.done ? -1 : this.der[this.at]!;
  }

  /** The next element, of this tag when one is given. Lengths must be minimal and at most four octets (X.690 §10.1). */
  next(tag?: number): Element {
    if (this.at + 2 > this.end) throw new DerError('cut short');
    const found = this.der[this.at]!;
    if ((found & 0x1f) === 0x1f) throw new DerError('long tag');
    if (tag !== undefined && found !== tag) throw new DerError('unexpected tag');
    let length = this.der[this.at + 1]!;
    let start = this.at + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      if (octets === 0 || octets > 4 || start + octets > this.end) throw new DerError('bad length');
      length = this.der.readUIntBE(start, octets);
      start += octets;
      if (length < 0x80 || length < 2 ** (8 * (octets - 1))) throw new DerError('length is not minimal');
    }
    if (start + length > this.end) throw new DerError('cut short');
    this.at = start + length;
    return { tag: found, start, end: this.at };
  }

  /** Steps over the next element when it has this tag. */
  skip(tag: number): void {
    if (this.peek() === tag) this.next();
  }

  /** A reader of the elements inside the next element, which must have this tag. */
  enter(tag: number): DerReader {
    const { start, end } = this.next(tag);
    return new DerReader(this.der, start, end);
  }

  /** Nothing may be left. */
  finish(): void {
    if (!this.done) throw new DerError('trailing octets');
  }

  bytes(element: Element): Buffer {
    return this.der.subarray(element.start, element.end);
  }

  /** BOOLEAN: DER knows 00 and FF only. */
  boolean(): boolean {
    const value = this.bytes(this.next(TAG.boolean));
    if (value.length !== 1 || (value[0] !== 0 && value[0] !== 0xff)) throw new DerError('bad BOOLEAN');
    return value[0] === 0xff;
  }

  /** OBJECT IDENTIFIER, as lower-case hexadecimal of its content: for comparison only. */
  oid(): string {
    return this.bytes(this.next(TAG.oid)).toString('hex');
  }

  /** UTCTime or GeneralizedTime as RFC 5280 §4.1.2.5 wants them (seconds, Z), as Unix ms. */
  time(): number {
    const element = this.next();
    const text = this.bytes(element).toString('latin1');
    let digits: string;
    if (element.tag === TAG.utcTime && /^\d{12}Z$/.test(text)) digits = (Number(text.slice(0, 2)) >= 50 ? '19' : '20') + text;
    else if (element.tag === TAG.generalizedTime && /^\d{14}Z$/.test(text)) digits = text;
    else throw new DerError('bad time');
    const ms = Date.parse(digits.replace(/^(....)(..)(..)(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    if (Number.isNaN(ms)) throw new DerError('bad time');
    return ms;
  }
}
