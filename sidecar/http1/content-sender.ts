// The content that leaves with one message: framed as its head has announced, held back where the peer does not read.
import { appendChunk, type Chunk } from '../http/chunk.ts';
import type { Field } from '../http/field.ts';
import type { HeaderSource } from '../http/header-source.ts';
import type { Output } from '../http/output.ts';
import { varyingFault, writeSection, writtenFields } from './head-writer.ts';
import type { Framing } from './message.ts';

const LAST_CHUNK = Buffer.from('0\r\n\r\n', 'latin1');
const NO_OCTETS = Buffer.alloc(0);
/** Hexadecimal digits of a chunk's size, and both line ends. */
const CHUNK_ROOM = 12;

export class ContentSender {
  /** How the content is framed: 'tunnel' and 'until close' are octets as they are. */
  framing: Framing = 'none';
  /** Octets that wait for room. */
  queuedOctets = 0;
  /** Octets that the announced length still promises. */
  private left = 0;
  private queue: Chunk[] = [];
  private queuedEnd = false;
  private queuedTrailers: { source: HeaderSource; varying: readonly Field[] } | null = null;
  private readonly output: Output;
  private readonly onEnded: (isWhole: boolean) => void;

  /** @param onEnded the end of the message went out; false: it has another length than was announced */
  constructor(output: Output, onEnded: (isWhole: boolean) => void) {
    this.output = output;
    this.onEnded = onEnded;
  }

  /** @param length octets that are announced, where the framing is 'length' */
  begin(framing: Framing, length: number): void {
    this.framing = framing;
    this.left = length;
  }

  /** Drops what waits. */
  drop(): void {
    this.queue = [];
    this.queuedOctets = 0;
    this.queuedEnd = false;
    this.queuedTrailers = null;
  }

  /** @returns octets that went out; the others wait, see resume() */
  send(buf: Buffer, start: number, end: number, isLast: boolean): number {
    if (this.queuedOctets > 0 || (this.output.full && end > start)) {
      appendChunk(this.queue, buf, start, end);
      this.queuedOctets += end - start;
      this.queuedEnd = isLast;
      return 0;
    }
    if (end > start) this.write(buf, start, end);
    if (isLast) this.close();
    return end - start;
  }

  /** Ends a message that has no content. */
  end(): void {
    this.send(NO_OCTETS, 0, 0, true);
  }

  sendTrailers(source: HeaderSource, varying: readonly Field[]): void {
    if (this.queuedOctets > 0) this.queuedTrailers = { source, varying };
    else this.close(source, varying);
  }

  /** There is room again. @returns octets that went out */
  resume(): number {
    let sent = 0;
    while (this.queue.length > 0 && !this.output.full) {
      const { buf, start, end } = this.queue.shift()!;
      this.queuedOctets -= end - start;
      sent += end - start;
      this.write(buf, start, end);
    }
    if (this.queuedOctets > 0) return sent;
    const { queuedTrailers: trailers } = this;
    if (trailers !== null) {
      this.queuedTrailers = null;
      this.close(trailers.source, trailers.varying);
    } else if (this.queuedEnd) {
      this.queuedEnd = false;
      this.close();
    }
    return sent;
  }

  private write(buf: Buffer, start: number, end: number): void {
    const { output } = this;
    if (this.framing === 'none') return; // an answer to HEAD has none, whoever made it
    if (this.framing === 'length') {
      // More than was announced would be taken for the next message.
      end = Math.min(end, start + this.left);
      this.left -= end - start;
    }
    const b = output.reserve(end - start + CHUNK_ROOM);
    let p = output.length;
    if (this.framing === 'chunked') p += b.latin1Write(`${(end - start).toString(16)}\r\n`, p);
    p += buf.copy(b, p, start, end);
    if (this.framing === 'chunked') p += b.latin1Write('\r\n', p);
    output.length = p;
  }

  private close(source: HeaderSource | null = null, varying: readonly Field[] = []): void {
    const { output } = this;
    if (this.framing === 'chunked') {
      const trailers = source === null ? null : writtenFields(source);
      // Trailers that HTTP/1.1 cannot carry may be left out (RFC 9110 §6.5.1).
      if (trailers !== null && trailers.fault === '' && varyingFault(varying) === '')
        writeSection(output, '0\r\n', trailers.octets, varying, '');
      else {
        const b = output.reserve(LAST_CHUNK.length);
        output.length += LAST_CHUNK.copy(b, output.length);
      }
    }
    this.onEnded(this.framing !== 'length' || this.left === 0);
  }
}
