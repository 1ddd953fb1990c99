// A request's head (RFC 9112 §3): the request line, Host, and how its content is framed. What goes on is built anew of
// parts that were judged; nothing is passed as it came.

import { type Field, fieldOf } from '../http/field.ts';
import { type FieldName, fieldNames } from '../http/field-name.ts';
import type { HeaderBlock } from '../http/header-block.ts';
import type { Interned } from '../http/interned.ts';
import { HTTP1_ORIGIN, ORIGIN_FIELD } from '../http/origin.ts';
import { Fields } from './fields.ts';
import { MAX_START_LINE_OCTETS } from './limits.ts';
import { type Framing, type Head, MessageFault } from './message.ts';
import { isHost, isTarget, isToken } from './octets.ts';
import type { Section } from './section.ts';

const METHOD = fieldNames.get(':method');
const SCHEME = fieldNames.get(':scheme');
const AUTHORITY = fieldNames.get(':authority');
const PATH = fieldNames.get(':path');
const PROTOCOL = fieldNames.get(':protocol');
const CONTENT_LENGTH = fieldNames.get('content-length');
const TE = fieldNames.get('te');
const ORIGIN = fieldNames.get(ORIGIN_FIELD);

/** scheme "://" authority and the rest (RFC 9112 §3.2.2). */
const ABSOLUTE = /^http:\/\/([^/?]*)(.*)$/i;

/** Octets of a head that is remembered. */
const LONGEST_REMEMBERED = 2048;

interface Target {
  readonly path: string;
  /** null: the target names none. */
  readonly authority: string | null;
}

export class RequestHeads {
  private readonly interned: Interned;
  private readonly fields: Fields;
  /** Octets of the last head; null: there was none. */
  private last: Buffer | null = null;
  private lastLength = 0;
  private lastHead: Head | null = null;

  constructor(interned: Interned) {
    this.interned = interned;
    this.fields = new Fields(interned);
  }

  /** Clients send the same head again and again: the last one is known by its octets. */
  read(section: Section): Head | MessageFault {
    const { buf, start, length } = section;
    const { last } = this;
    if (last !== null && length === this.lastLength && buf.compare(last, 0, length, start, start + length) === 0) return this.lastHead!;
    const head = this.judge(section);
    if (head instanceof MessageFault || length > LONGEST_REMEMBERED) return head;
    if (last === null || last.length < length) this.last = Buffer.allocUnsafeSlow(length);
    this.lastLength = buf.copy(this.last!, 0, start, start + length);
    this.lastHead = head;
    return head;
  }

  private judge(section: Section): Head | MessageFault {
    const { buf, start, first, ends } = section;
    if (section.lines === 0) return new MessageFault('an empty line in place of a request');
    if (ends[0] - first > MAX_START_LINE_OCTETS) return new MessageFault('the request line is too long', true);
    const [method, target, version, more] = buf.latin1Slice(start + first, start + ends[0]).split(' ');
    if (more !== undefined || version === undefined) return new MessageFault('the request line is not three words');
    if (!isToken(method)) return new MessageFault('the method is no token');
    if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') return new MessageFault('the version is neither HTTP/1.1 nor HTTP/1.0');
    const found = targetOf(method, target);
    if (found === null) return new MessageFault('the request target is not of a form that its method may have');
    const isOld = version === 'HTTP/1.0';
    const { fields } = this;
    fields.begin();
    fields.read(section, 1);
    const fault = fields.fault || this.faultOf(isOld, found);
    if (fault !== '') return new MessageFault(fault);
    const head = this.head(method, found, isOld);
    return head.block.tooLarge ? new MessageFault('the header list is too large', true) : head;
  }

  private faultOf(isOld: boolean, { authority }: Target): string {
    const { host, transferEncoding, contentLength } = this.fields;
    if (host === null && !isOld) return 'no host field';
    if (host !== null && host !== '' && !isHost(host)) return 'the host field is no host';
    if (authority !== null && host !== null && authority.toLowerCase() !== host.toLowerCase())
      return 'the host field is another one than that of the request target';
    if (transferEncoding === null) return '';
    if (isOld) return 'transfer-encoding in HTTP/1.0';
    if (contentLength !== -1) return 'content-length beside transfer-encoding';
    return transferEncoding === 'chunked' ? '' : 'a transfer-encoding other than chunked';
  }

  private head(method: string, target: Target, isOld: boolean): Head {
    const { fields } = this;
    const { options, contentLength } = fields;
    const upgrade = isOld || method !== 'GET' || !options.includes('upgrade') ? '' : upgradeOf(fields.upgrade);
    let framing: Framing = 'none';
    if (fields.transferEncoding !== null) framing = 'chunked';
    else if (contentLength > 0) framing = 'length';
    const switches = upgrade !== '' && framing === 'none';
    const authority = target.authority ?? fields.host ?? '';
    const keepsAlive = isOld ? options.includes('keep-alive') && !options.includes('close') : !options.includes('close');
    return {
      block: this.block(switches ? 'CONNECT' : method, target.path, authority, switches ? upgrade : ''),
      framing: switches ? 'tunnel' : framing,
      length: Math.max(contentLength, 0),
      keepsAlive,
      isOld,
      upgrade: switches ? upgrade : '',
    };
  }

  private block(method: string, path: string, authority: string, protocol: string): HeaderBlock {
    const { fields } = this;
    const stable = fields.takeStable();
    this.pseudo(METHOD, method);
    if (protocol !== '') this.pseudo(PROTOCOL, protocol);
    this.pseudo(SCHEME, 'http');
    if (authority !== '') this.pseudo(AUTHORITY, authority);
    if (path !== '') this.pseudo(PATH, path);
    for (let i = 0; i < stable.length; i++) fields.add(stable[i]);
    if (fields.acceptsTrailers) this.pseudo(TE, 'trailers');
    this.pseudo(ORIGIN, HTTP1_ORIGIN);
    if (fields.contentLength !== -1 && protocol === '') fields.addVarying(fieldOf(CONTENT_LENGTH, `${fields.contentLength}`, false, 0));
    return fields.block();
  }

  private pseudo(of: FieldName, value: string): void {
    const field: Field = this.interned.field(of, of.text, value, false);
    if (field.of.varying) this.fields.addVaryingPath(field);
    else this.fields.add(field);
  }
}

/** @returns null: the method may not have such a target (RFC 9112 §3.2) */
function targetOf(method: string, target: string): Target | null {
  if (!isTarget(target)) return null;
  if (method === 'CONNECT') return isHost(target) && /:[0-9]+$/.test(target) ? { path: '', authority: target } : null;
  if (target.charCodeAt(0) === 0x2f) return { path: target, authority: null };
  if (target === '*') return method === 'OPTIONS' ? { path: '*', authority: null } : null;
  const absolute = ABSOLUTE.exec(target);
  if (absolute === null || !isHost(absolute[1])) return null;
  const [, authority, rest] = absolute;
  if (rest === '') return { path: method === 'OPTIONS' ? '*' : '/', authority };
  return { path: rest.startsWith('?') ? `/${rest}` : rest, authority };
}

/**
 * The one protocol that a client asks to switch to; '': none, or several, of which the server would choose. HTTP/2 is
 * not switched to: who can do it has a preface (RFC 9113 §3.1 has done away with "Upgrade: h2c").
 */
function upgradeOf(value: string): string {
  const protocols = value
    .split(',')
    .map((protocol) => protocol.trim())
    .filter((protocol) => protocol !== '' && protocol.toLowerCase() !== 'h2c');
  return protocols.length === 1 && /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:\/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?$/.test(protocols[0])
    ? protocols[0].toLowerCase()
    : '';
}
