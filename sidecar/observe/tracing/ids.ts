// Random identifiers of traces and spans, and their hexadecimal digits, without strings: a span is begun in some ten
// nanoseconds. xoshiro128** (Blackman, Vigna): trace identifiers must be unique, not secret.

const DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
/** Value of an octet as a lower-case hexadecimal digit, 0xff where it is none. */
const VALUES = new Uint8Array(256).fill(0xff);
DIGITS.forEach((octet, value) => {
  VALUES[octet] = value;
});

export class RandomWords {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /** @param seed at least 16 octets of real randomness */
  constructor(seed: Buffer) {
    this.a = seed.readInt32LE(0);
    this.b = seed.readInt32LE(4);
    this.c = seed.readInt32LE(8);
    this.d = seed.readInt32LE(12) | 1; // all zeros would stay so
  }

  /** @returns 32 random bits, signed; never 0, so that no identifier is all zeros (W3C Trace Context §3.2.2) */
  next(): number {
    const { b } = this;
    let result = Math.imul(b, 5);
    result = Math.imul((result << 7) | (result >>> 25), 9);
    const shifted = b << 9;
    this.c ^= this.a;
    this.d ^= b;
    this.b = b ^ this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = (this.d << 11) | (this.d >>> 21);
    return result === 0 ? 1 : result | 0;
  }
}

/** Writes a word as eight lower-case hexadecimal digits. */
export function putHex(out: Uint8Array, at: number, word: number): void {
  out[at] = DIGITS[word >>> 28];
  out[at + 1] = DIGITS[(word >>> 24) & 0xf];
  out[at + 2] = DIGITS[(word >>> 20) & 0xf];
  out[at + 3] = DIGITS[(word >>> 16) & 0xf];
  out[at + 4] = DIGITS[(word >>> 12) & 0xf];
  out[at + 5] = DIGITS[(word >>> 8) & 0xf];
  out[at + 6] = DIGITS[(word >>> 4) & 0xf];
  out[at + 7] = DIGITS[word & 0xf];
}

/** Whether text[from, to) is lower-case hexadecimal digits. */
export function isHex(text: string, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    const c = text.charCodeAt(i);
    if (c > 0xff || VALUES[c] === 0xff) return false;
  }
  return true;
}

/** The eight hexadecimal digits at text[at] as a signed word; they were checked by isHex(). */
export function wordAt(text: string, at: number): number {
  let word = 0;
  for (let i = at; i < at + 8; i++) word = (word << 4) | VALUES[text.charCodeAt(i)];
  return word;
}
