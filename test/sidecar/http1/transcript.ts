// What a reader made of octets, as one text: the same for every way to cut them.
import { fieldNames } from '#sidecar/http/field-name.ts';
import type { HeaderBlock } from '#sidecar/http/header-block.ts';
import { Interned } from '#sidecar/http/interned.ts';
import { Fields } from '#sidecar/http1/fields.ts';
import type { Head, MessageFault } from '#sidecar/http1/message.ts';
import { MessageReader, type MessageSink } from '#sidecar/http1/message-reader.ts';
import { RequestHeads } from '#sidecar/http1/request-head.ts';
import { type AnsweredRequest, ResponseHeads } from '#sidecar/http1/response-head.ts';
import type { Section } from '#sidecar/http1/section.ts';

/** Lists with the original case of regular fields, e.g. ":method=GET Accept=a". */
function listOf(block: HeaderBlock): string[] {
  return [...block.template.fields, ...block.varying].map(({ spelled, value }) => `${spelled}=${value}`);
}

function shown(block: HeaderBlock): string {
  return listOf(block).join(' ');
}

class Transcript implements MessageSink {
  readonly lines: string[] = [];
  /** Of the newest head. */
  fields: string[] = [];
  readonly reader: MessageReader;
  private readonly requests: RequestHeads;
  private readonly responses: ResponseHeads;
  private readonly asked: AnsweredRequest | null;
  private content = '';

  /** @param asked what the responses answer; null: requests are read */
  constructor(asked: AnsweredRequest | null) {
    const interned = new Interned(fieldNames, 1, () => {});
    this.requests = new RequestHeads(interned);
    this.responses = new ResponseHeads(interned);
    this.asked = asked;
    this.reader = new MessageReader(this, new Fields(interned), asked === null);
    this.reader.next();
  }

  readHead(section: Section): Head | MessageFault {
    return this.asked === null ? this.requests.read(section) : this.responses.read(section, this.asked);
  }

  onHead({ block, framing, length, keepsAlive, upgrade }: Head): void {
    const flags = `${keepsAlive ? '' : ' close'}${upgrade === '' ? '' : ` upgrade ${upgrade}`}`;
    this.fields = listOf(block);
    this.lines.push(`head ${framing} ${length}${flags}: ${shown(block)}`);
    if (upgrade !== '') this.reader.openTunnel();
    else if (block.template.status >= 100 && block.template.status < 200) this.reader.next();
    else if (framing === 'none') this.onEnd(null);
  }

  onContent(buf: Buffer, start: number, end: number, isLast: boolean): void {
    this.content += buf.latin1Slice(start, end);
    if (isLast) this.onEnd(null);
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.flush();
    this.lines.push(`end${trailers === null ? '' : ` ${shown(trailers)}`}`);
    this.reader.next();
  }

  onFault({ reason, isTooLarge }: MessageFault): void {
    this.flush();
    this.lines.push(`${isTooLarge ? 'too large' : 'malformed'}: ${reason}`);
  }

  flush(): void {
    if (this.content !== '') this.lines.push(`content ${this.content}`);
    this.content = '';
  }
}

/** Cuts of octets at the given places, which need not be in order. */
function piecesOf(octets: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...[...cuts].sort((a, b) => a - b), octets.length];
  // Copies, so that what a reader kept of a piece beyond the call would show.
  return places.slice(1).map((end, i) => Buffer.from(octets.subarray(places[i], end)));
}

function transcribe(asked: AnsweredRequest | null, octets: Buffer, cuts: readonly number[], ends: boolean): string[] {
  const transcript = new Transcript(asked);
  for (const piece of piecesOf(octets, cuts)) {
    for (let pos = 0; pos < piece.length; ) pos = transcript.reader.push(piece, pos, piece.length);
    piece.fill(0);
  }
  transcript.flush();
  if (ends && !transcript.reader.end()) transcript.lines.push('cut short');
  return transcript.lines;
}

export function requestsIn(text: string, cuts: readonly number[] = [], ends = false): string[] {
  return transcribe(null, Buffer.from(text, 'latin1'), cuts, ends);
}

export function responsesIn(text: string, asked: Partial<AnsweredRequest> = {}, cuts: readonly number[] = [], ends = false): string[] {
  return transcribe({ head: false, upgrade: '', ...asked }, Buffer.from(text, 'latin1'), cuts, ends);
}

/** The fields of the first head, each as "name=value". */
export function fieldsIn(text: string): string[] {
  const transcript = new Transcript(null);
  transcript.reader.push(Buffer.from(text, 'latin1'), 0, text.length);
  return transcript.fields;
}

/** Every single cut, every octet by itself, and pieces of two and three. */
export function cutsOf(length: number): number[][] {
  const all = Array.from({ length }, (_, i) => i);
  return [[], ...(length <= 400 ? all.map((i) => [i]) : []), all, all.filter((i) => i % 2 === 0), all.filter((i) => i % 3 === 0)];
}
