// Heads of HTTP/1.1 as they leave: each is built of parts that were judged, whatever protocol they came by, and what
// belongs to the connection is written by the connection alone.
import { CONNECTION_HEADERS } from '#core/contract/header-names.ts';
import type { Field } from '../http/field.ts';
import { VARYING_PATH } from '../http/field-name.ts';
import type { HeaderSource } from '../http/header-source.ts';
import { ORIGIN_FIELD, SWITCHED } from '../http/origin.ts';
import type { Output } from '../http/output.ts';
import { isFieldValue, isHost, isTarget, isToken } from './octets.ts';
import { REASONS } from './reasons.ts';

/** Fields of a list that are not written as they stand: the connection has its own, or they are for sidecars. */
const NOT_WRITTEN: ReadonlySet<string> = new Set([...CONNECTION_HEADERS, VARYING_PATH.text].filter((name) => name !== 'trailer'));

/** The stable part of a head, written once for each header source. */
export class WrittenHead {
  /** Start line and fields, each with its line end. */
  readonly octets: Buffer;
  /** Why it cannot be written; '': it can. */
  readonly fault: string;
  readonly method: string;
  /** A protocol that the request asks to switch to; '': none. */
  readonly upgrade: string;
  readonly status: number;
  /** The response switches protocols. */
  readonly isSwitch: boolean;

  constructor(text: string, fault: string, method: string, upgrade: string, status: number, isSwitch: boolean) {
    this.octets = Buffer.from(text, 'latin1');
    this.fault = fault;
    this.method = method;
    this.upgrade = upgrade;
    this.status = status;
    this.isSwitch = isSwitch;
  }
}

/**
 * The stable part of a request, from the version in its request line on. Where it is a switch of protocols, the
 * connection adds the fields for that.
 */
export function writtenRequest(source: HeaderSource): WrittenHead {
  const { encoder } = source;
  if (encoder instanceof WrittenHead) return encoder;
  const method = valueIn(source, ':method');
  const upgrade = valueIn(source, ':protocol');
  const authority = valueIn(source, ':authority') || valueIn(source, 'host');
  let fault = '';
  if (!isToken(method)) fault = 'the method is no token';
  else if (method === 'CONNECT' && !isToken(upgrade.replace('/', ''))) fault = 'CONNECT has no form in HTTP/1.1 that may pass';
  else if (authority !== '' && !isHost(authority)) fault = 'the authority is no host';
  const verb = method === 'CONNECT' ? 'GET' : method;
  const te = valueIn(source, 'te') === '' ? '' : 'TE: trailers\r\nConnection: TE\r\n';
  const lines = `${linesOf(source)}${te}`;
  const head = new WrittenHead(` HTTP/1.1\r\nHost: ${authority}\r\n${lines}`, fault || faultOf(source), verb, upgrade, 0, false);
  source.encoder = head;
  return head;
}

/** The stable part of a response without its status line, or that of trailers. */
export function writtenFields(source: HeaderSource): WrittenHead {
  const { encoder } = source;
  if (encoder instanceof WrittenHead) return encoder;
  const head = new WrittenHead(
    linesOf(source),
    faultOf(source),
    '',
    '',
    Number(valueIn(source, ':status')),
    valueIn(source, ORIGIN_FIELD) === SWITCHED,
  );
  source.encoder = head;
  return head;
}

/** The path of a request; '': it has none that may stand in a request line. */
export function targetIn(source: HeaderSource, varying: readonly Field[]): string {
  const path = varying.length > 0 && varying[0].of === VARYING_PATH ? varying[0].value : valueIn(source, ':path');
  return isTarget(path) && (path.charCodeAt(0) === 0x2f || path === '*') ? path : '';
}

export function statusLine(status: number): string {
  return `HTTP/1.1 ${status} ${REASONS.get(status) ?? ''}\r\n`;
}

/** @returns why the fields cannot be written; '': they can */
export function varyingFault(varying: readonly Field[]): string {
  for (let i = 0; i < varying.length; i++) {
    if (varying[i].of === VARYING_PATH) continue; // targetIn() judges it
    if (!isToken(varying[i].name)) return 'a field name is no token';
    if (!isFieldValue(varying[i].value)) return 'control character in a field value';
  }
  return '';
}

/** The value of a content-length among the fields; -1: there is none. */
export function contentLengthIn(varying: readonly Field[]): number {
  for (let i = 0; i < varying.length; i++) if (varying[i].name === 'content-length') return Number(varying[i].value);
  return -1;
}

/**
 * Writes a head or trailers, with the empty line.
 * @param before in front of the stable part @param after behind all fields
 */
export function writeSection(out: Output, before: string, stable: Buffer, varying: readonly Field[], after: string): void {
  let room = before.length + stable.length + after.length + 2;
  for (let i = 0; i < varying.length; i++) room += varying[i].spelled.length + varying[i].value.length + 4;
  const b = out.reserve(room);
  let p = out.length;
  p += b.latin1Write(before, p);
  p += stable.copy(b, p);
  let isCookieWritten = false;
  for (let i = 0; i < varying.length; i++) {
    const { name, spelled, value } = varying[i];
    if (NOT_WRITTEN.has(name) || (isCookieWritten && name === 'cookie')) continue;
    p += b.latin1Write(`${spelled}: ${value}`, p);
    if (name === 'cookie') {
      // Crumbs are joined where HTTP/2 is left (RFC 9113 §8.2.3).
      isCookieWritten = true;
      for (let k = i + 1; k < varying.length; k++) if (varying[k].name === 'cookie') p += b.latin1Write(`; ${varying[k].value}`, p);
    }
    p += b.latin1Write('\r\n', p);
  }
  p += b.latin1Write(after, p);
  out.length = p + b.latin1Write('\r\n', p);
}

function valueIn({ list }: HeaderSource, name: string): string {
  for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
  return '';
}

function linesOf({ list, spelled }: HeaderSource): string {
  let text = '';
  let cookies = '';
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i];
    if (name.charCodeAt(0) === 0x3a || NOT_WRITTEN.has(name)) continue;
    if (name === 'cookie') cookies += cookies === '' ? list[i + 1] : `; ${list[i + 1]}`;
    else text += `${spelled?.get(name) ?? name}: ${list[i + 1]}\r\n`;
  }
  return cookies === '' ? text : `${text}${spelled?.get('cookie') ?? 'cookie'}: ${cookies}\r\n`;
}

function faultOf({ list }: HeaderSource): string {
  for (let i = 0; i < list.length; i += 2) {
    if (list[i].charCodeAt(0) === 0x3a) continue;
    if (!isToken(list[i])) return 'a field name is no token';
    if (!isFieldValue(list[i + 1])) return 'control character in a field value';
  }
  return '';
}
