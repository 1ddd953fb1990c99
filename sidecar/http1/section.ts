// A section of lines up to its empty one: the start line with the header section, or the trailer section. Each octet is
// looked at once, however the octets were cut; a section that came in one piece is not copied.
import { MAX_HEADER_FIELDS } from '../http/limits.ts';
import { MAX_SECTION_OCTETS } from './limits.ts';

/** What take() answers beside a position. */
export const MORE = -1;
export const BROKEN = -2;

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const DEL = 0x7f;

/** Larger buffers are not kept for the next section. */
const KEPT_OCTETS = 4096;
const NONE = Buffer.alloc(0);

/** Why a section is no section: '' while nothing is wrong. */
export type SectionFault = '' | 'bare LF' | 'bare CR' | 'control character' | 'too large';

export class Section {
  fault: SectionFault = '';
  /** Lines without the empty one. */
  lines = 0;
  /** Where the whole section is, once take() has given a position: its octets from buf[start]. */
  buf: Buffer = NONE;
  start = 0;
  /** Offset of each line's end, without CRLF, from `start`. */
  readonly ends = new Int32Array(MAX_HEADER_FIELDS + 1);
  /** Offset of the first line. */
  first = 0;
  private held: Buffer = NONE;
  /** Octets that were looked at. */
  private count = 0;
  private lineAt = 0;
  private afterCr = false;
  private mayBeginEmpty = false;

  /** Octets of the lines up to the last one's end, from `start`. */
  get length(): number {
    return this.lines === 0 ? 0 : this.ends[this.lines - 1];
  }

  /** Nothing of it has come. */
  get isEmpty(): boolean {
    return this.count === 0;
  }

  /** @param mayBeginEmpty one empty line in front is passed over (RFC 9112 §2.2: of requests) */
  begin(mayBeginEmpty: boolean): void {
    this.fault = '';
    this.lines = 0;
    this.first = 0;
    this.count = 0;
    this.lineAt = 0;
    this.afterCr = false;
    this.mayBeginEmpty = mayBeginEmpty;
    this.buf = NONE;
    if (this.held.length > KEPT_OCTETS) this.held = NONE;
  }

  /**
   * Takes octets from buf[pos, end).
   * @returns the position after the section; MORE; BROKEN: `fault` says why
   */
  take(buf: Buffer, pos: number, end: number): number {
    // What follows the bound is not looked at, so that the verdict does not depend on how the octets were cut.
    const bound = Math.min(end, pos + MAX_SECTION_OCTETS - this.count);
    const at = this.scan(buf, pos, bound);
    if (at === BROKEN) return BROKEN;
    if (at === MORE) {
      if (bound < end) return this.broken('too large');
      this.hold(buf, pos, end);
      this.count += end - pos;
      return MORE;
    }
    if (this.count === 0) {
      this.buf = buf;
      this.start = pos;
    } else {
      this.hold(buf, pos, at);
      this.buf = this.held;
      this.start = 0;
    }
    return at;
  }

  private scan(buf: Buffer, pos: number, end: number): number {
    const base = this.count - pos;
    let { afterCr, lineAt } = this;
    for (let i = pos; i < end; i++) {
      const c = buf[i];
      if (c > 0x1f && c !== DEL) {
        if (afterCr) return this.broken('bare CR');
      } else if (c === LF) {
        if (!afterCr) return this.broken('bare LF');
        afterCr = false;
        const lineEnd = i + base - 1;
        if (lineEnd > lineAt) {
          if (this.lines === this.ends.length) return this.broken('too large');
          this.ends[this.lines++] = lineEnd;
        } else if (this.lines === 0 && this.mayBeginEmpty) {
          this.mayBeginEmpty = false;
          this.first = i + base + 1;
        } else return i + 1;
        lineAt = i + base + 1;
      } else if (afterCr) return this.broken('bare CR');
      else if (c === CR) afterCr = true;
      else if (c !== HTAB) return this.broken('control character');
    }
    this.afterCr = afterCr;
    this.lineAt = lineAt;
    return MORE;
  }

  private hold(buf: Buffer, pos: number, end: number): void {
    const length = this.count + end - pos;
    if (length > this.held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.held.length, length, 512));
      this.held.copy(larger, 0, 0, this.count);
      this.held = larger;
    }
    buf.copy(this.held, this.count, pos, end);
  }

  private broken(fault: SectionFault): number {
    this.fault = fault;
    return BROKEN;
  }
}
