// A response's head (RFC 9112 §4), and how its content is framed: that depends on the request, too.
import { fieldOf } from '../http/field.ts';
import { fieldNames } from '../http/field-name.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { Interned } from '../http/interned.ts';
import { ORIGIN_FIELD, SWITCHED } from '../http/origin.ts';
import { Fields } from './fields.ts';
import { MAX_START_LINE_OCTETS } from './limits.ts';
import { type Framing, type Head, MessageFault } from './message.ts';
import type { Section } from './section.ts';

const STATUS = fieldNames.get(':status');
const ORIGIN = fieldNames.get(ORIGIN_FIELD);
const CONTENT_LENGTH = fieldNames.get('content-length');

/** The space behind the status is demanded (RFC 9112 §4), but some servers that have no reason leave it out. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** What of a request decides how its response is framed. */
export interface AnsweredRequest {
  /** It was HEAD. */
  readonly head: boolean;
  /** The protocol that it asked to switch to; '': none. */
  readonly upgrade: string;
}

export class ResponseHeads {
  private readonly interned: Interned;
  private readonly fields: Fields;

  constructor(interned: Interned) {
    this.interned = interned;
    this.fields = new Fields(interned);
  }

  read(section: Section, asked: AnsweredRequest): Head | MessageFault {
    const { buf, start, ends } = section;
    if (section.lines === 0) return new MessageFault('an empty line in place of a response');
    if (ends[0] > MAX_START_LINE_OCTETS) return new MessageFault('the status line is too long', true);
    const line = STATUS_LINE.exec(buf.latin1Slice(start, start + ends[0]));
    if (line === null) return new MessageFault('the status line is not one of HTTP/1.1 or HTTP/1.0');
    const isOld = line[1] === '0';
    const status = Number(line[2]);
    const { fields } = this;
    fields.begin();
    fields.read(section, 1);
    const fault = fields.fault || this.faultOf(isOld, status, asked);
    if (fault !== '') return new MessageFault(fault);
    const head = this.head(line[2], status, isOld, asked);
    return head.block.tooLarge ? new MessageFault('the header list is too large', true) : head;
  }

  private faultOf(isOld: boolean, status: number, asked: AnsweredRequest): string {
    const { transferEncoding, contentLength } = this.fields;
    if (status === 101 && asked.upgrade === '') return '101 without a request to switch';
    if (transferEncoding === null) return '';
    if (isOld) return 'transfer-encoding in HTTP/1.0';
    if (contentLength !== -1) return 'content-length beside transfer-encoding';
    return transferEncoding === 'chunked' ? '' : 'a transfer-encoding other than chunked';
  }

  private head(statusText: string, status: number, isOld: boolean, asked: AnsweredRequest): Head {
    const { fields } = this;
    const { options, contentLength } = fields;
    const isSwitch = status === 101;
    const bare = asked.head || status === 204 || status === 304 || (status < 200 && !isSwitch);
    let framing: Framing = 'until close';
    if (isSwitch) framing = 'tunnel';
    else if (bare) framing = 'none';
    else if (fields.transferEncoding !== null) framing = 'chunked';
    else if (contentLength !== -1) framing = contentLength === 0 ? 'none' : 'length';
    const keepsAlive = isOld ? options.includes('keep-alive') && !options.includes('close') : !options.includes('close');
    return {
      block: this.block(isSwitch ? '200' : statusText, status),
      framing,
      length: Math.max(contentLength, 0),
      keepsAlive: keepsAlive && framing !== 'until close',
      isOld,
      upgrade: isSwitch ? asked.upgrade : '',
    };
  }

  private block(statusText: string, status: number): HeaderBlock {
    const { fields, interned } = this;
    const { contentLength } = fields;
    const stable = fields.takeStable();
    fields.add(interned.field(STATUS, STATUS.text, statusText, false));
    for (let i = 0; i < stable.length; i++) fields.add(stable[i]);
    if (status === 101) fields.add(interned.field(ORIGIN, ORIGIN.text, SWITCHED, false));
    // Neither 1xx nor 204 may promise content (RFC 9110 §8.6).
    if (contentLength !== -1 && status >= 200 && status !== 204) fields.addVarying(fieldOf(CONTENT_LENGTH, `${contentLength}`, false, 0));
    return fields.block();
  }
}
