// The messages of one connection, as they come (RFC 9112 §§6 and 7): head, content, trailers, and then the next one
// when the connection asks for it. How the octets were cut changes nothing but in how many pieces content is passed on.
import type { HeaderBlock } from '../http/header-block.ts';
import type { Fields } from './fields.ts';
import { MAX_CHUNK_EXTENSION_OCTETS, MAX_CHUNK_LINE_OCTETS } from './limits.ts';
import { type Head, MessageFault } from './message.ts';
import { HEX_DIGIT } from './octets.ts';
import { BROKEN, MORE, Section } from './section.ts';

const HTAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const SEMICOLON = 0x3b;
const DEL = 0x7f;

/** Digits of a chunk's size: what a number holds exactly. */
const MAX_SIZE_DIGITS = 13;

/** Where in a message the next octet stands. IDLE: between two, nothing is read. */
const IDLE = 0;
const HEAD = 1;
const LENGTH = 2;
const CHUNK_SIZE = 3;
const CHUNK_EXTENSION = 4;
const CHUNK_LINE_END = 5;
const CHUNK_DATA = 6;
const CHUNK_END = 7;
const CHUNK_END_LF = 8;
const TRAILERS = 9;
/** Content up to the end of the connection, or octets of a protocol that was switched to. */
const UNTIL_CLOSE = 10;
const BROKEN_OFF = 11;

/** What becomes of a connection's messages. Octets in buf are only valid during the call. */
export interface MessageSink {
  /** A whole head is in the section. @returns what it is */
  readHead(section: Section): Head | MessageFault;
  /** A head without content has no onEnd(). */
  onHead(head: Head): void;
  /** @param isLast the message ends with it, and onEnd() is not called */
  onContent(buf: Buffer, start: number, end: number, isLast: boolean): void;
  /** @param trailers null: there are none */
  onEnd(trailers: HeaderBlock | null): void;
  /** Nothing more is read. */
  onFault(fault: MessageFault): void;
}

export class MessageReader {
  private state = IDLE;
  /** Octets of content or of a chunk that are still to come. */
  private left = 0;
  private sizeDigits = 0;
  private lineOctets = 0;
  private extensionOctets = 0;
  private readonly section = new Section();
  private readonly sink: MessageSink;
  private readonly trailers: Fields;
  private readonly mayBeginEmpty: boolean;

  /**
   * @param trailers reads trailer sections
   * @param mayBeginEmpty one empty line before a message is passed over
   */
  constructor(sink: MessageSink, trailers: Fields, mayBeginEmpty: boolean) {
    this.sink = sink;
    this.trailers = trailers;
    this.mayBeginEmpty = mayBeginEmpty;
  }

  /** Between two messages: octets are not taken. */
  get isIdle(): boolean {
    return this.state === IDLE;
  }

  /** A head has begun and is not whole. */
  get isInHead(): boolean {
    return this.state === HEAD && !this.section.isEmpty;
  }

  /** Reads the next message. */
  next(): void {
    this.state = HEAD;
    this.section.begin(this.mayBeginEmpty);
  }

  /** All that comes from now on is octets of another protocol. */
  openTunnel(): void {
    this.state = UNTIL_CLOSE;
  }

  /** Nothing more is read. */
  stop(): void {
    this.state = BROKEN_OFF;
  }

  /** @returns the position up to which the octets were taken: less than `end` where the message has ended before */
  push(buf: Buffer, start: number, end: number): number {
    let pos = start;
    while (pos < end && this.state !== IDLE && this.state !== BROKEN_OFF) pos = this.step(buf, pos, end);
    return this.state === BROKEN_OFF ? end : pos;
  }

  /**
   * The peer has sent FIN.
   * @returns false where that is not the end of a message: what came of it is not whole
   */
  end(): boolean {
    if (this.state === UNTIL_CLOSE) {
      this.state = IDLE;
      this.sink.onEnd(null);
      return true;
    }
    return this.state === IDLE || this.state === BROKEN_OFF || (this.state === HEAD && this.section.isEmpty);
  }

  private step(buf: Buffer, pos: number, end: number): number {
    switch (this.state) {
      case HEAD:
        return this.readHead(buf, pos, end);
      case LENGTH:
      case CHUNK_DATA:
        return this.readContent(buf, pos, end);
      case CHUNK_SIZE:
        return this.readChunkSize(buf, pos, end);
      case CHUNK_EXTENSION:
        return this.readExtension(buf, pos, end);
      case CHUNK_LINE_END:
        return this.endChunkLine(buf, pos);
      case CHUNK_END:
        if (buf[pos] !== CR) return this.fail('no line end behind a chunk', end);
        this.state = CHUNK_END_LF;
        return pos + 1;
      case CHUNK_END_LF:
        if (buf[pos] !== LF) return this.fail('no line end behind a chunk', end);
        this.beginChunk();
        return pos + 1;
      case TRAILERS:
        return this.readTrailers(buf, pos, end);
      default:
        this.sink.onContent(buf, pos, end, false);
        return end;
    }
  }

  private readHead(buf: Buffer, pos: number, end: number): number {
    const { section, sink } = this;
    const at = section.take(buf, pos, end);
    if (at === MORE) return end;
    if (at === BROKEN) return this.fail(section.fault, end, section.fault === 'too large');
    const head = sink.readHead(section);
    if (head instanceof MessageFault) {
      this.state = BROKEN_OFF;
      sink.onFault(head);
      return end;
    }
    this.beginContent(head);
    sink.onHead(head);
    return at;
  }

  private beginContent({ framing, length }: Head): void {
    switch (framing) {
      case 'none':
        this.state = IDLE;
        return;
      case 'length':
        this.left = length;
        this.state = LENGTH;
        return;
      case 'chunked':
        this.extensionOctets = 0;
        return this.beginChunk();
      case 'until close':
        this.state = UNTIL_CLOSE;
        return;
      case 'tunnel':
        this.state = IDLE; // until openTunnel()
    }
  }

  private readContent(buf: Buffer, pos: number, end: number): number {
    const octets = Math.min(this.left, end - pos);
    this.left -= octets;
    const isLast = this.left === 0 && this.state === LENGTH;
    if (isLast) this.state = IDLE;
    else if (this.left === 0) this.state = CHUNK_END;
    this.sink.onContent(buf, pos, pos + octets, isLast);
    return pos + octets;
  }

  private beginChunk(): void {
    this.state = CHUNK_SIZE;
    this.left = 0;
    this.sizeDigits = 0;
    this.lineOctets = 0;
  }

  private readChunkSize(buf: Buffer, pos: number, end: number): number {
    for (; pos < end; pos++) {
      const digit = HEX_DIGIT[buf[pos]];
      if (digit < 0) break;
      if (++this.sizeDigits > MAX_SIZE_DIGITS) return this.fail('a chunk size has too many digits', end);
      this.left = this.left * 16 + digit;
    }
    if (pos === end) return end;
    if (this.sizeDigits === 0) return this.fail('a chunk without a size', end);
    if (buf[pos] === CR) this.state = CHUNK_LINE_END;
    else if (buf[pos] === SEMICOLON) this.state = CHUNK_EXTENSION;
    else return this.fail('a chunk size is no hexadecimal number', end);
    return pos + 1;
  }

  /** Extensions are read and dropped: nobody is known to use them, and they are of this hop alone (RFC 9112 §7.1.1). */
  private readExtension(buf: Buffer, pos: number, end: number): number {
    for (; pos < end; pos++) {
      const c = buf[pos];
      if (c === CR) {
        this.state = CHUNK_LINE_END;
        return pos + 1;
      }
      if ((c < SPACE && c !== HTAB) || c === DEL) return this.fail('control character in a chunk extension', end);
      if (++this.lineOctets > MAX_CHUNK_LINE_OCTETS - MAX_SIZE_DIGITS || ++this.extensionOctets > MAX_CHUNK_EXTENSION_OCTETS)
        return this.fail('chunk extensions are too long', end);
    }
    return end;
  }

  private endChunkLine(buf: Buffer, pos: number): number {
    if (buf[pos] !== LF) return this.fail('bare CR', pos);
    if (this.left > 0) this.state = CHUNK_DATA;
    else {
      this.state = TRAILERS;
      this.section.begin(false);
    }
    return pos + 1;
  }

  private readTrailers(buf: Buffer, pos: number, end: number): number {
    const { section, trailers } = this;
    const at = section.take(buf, pos, end);
    if (at === MORE) return end;
    if (at === BROKEN) return this.fail(`${section.fault} in trailers`, end, section.fault === 'too large');
    if (section.lines === 0) {
      this.finish(null);
      return at;
    }
    trailers.begin();
    trailers.read(section, 0);
    if (trailers.fault !== '') return this.fail(`${trailers.fault} in trailers`, end);
    if (trailers.host !== null || trailers.contentLength !== -1 || trailers.transferEncoding !== null)
      return this.fail('a field of the framing in trailers', end);
    if (trailers.isTooLarge) return this.fail('trailers are too large', end, true);
    this.finish(trailers.stable.length + trailers.varying.length === 0 ? null : trailers.block());
    return at;
  }

  private finish(trailers: HeaderBlock | null): void {
    this.state = IDLE;
    this.sink.onEnd(trailers);
  }

  private fail(reason: string, end: number, isTooLarge = false): number {
    this.state = BROKEN_OFF;
    this.sink.onFault(new MessageFault(reason, isTooLarge));
    return end;
  }
}
