// A decoded header block: a template (the stable part, shared by all blocks that are alike) and the fields that vary.
// Decisions (route, counters, encoded bytes) are remembered on the template, so a repeated call costs no string work.
import { type MessageFormat, messageFormat } from './content-type.ts';
import type { Field } from './field.ts';
import { VARYING_PATH } from './field-name.ts';
import { type HeaderSource, newHeaderSource } from './header-source.ts';
import { HTTP1_ORIGIN, ORIGIN_FIELD } from './origin.ts';

const NONE: readonly Field[] = [];
/** Longer names are cut where a fault is put in words. */
const LONGEST_NAME = 64;

export class Template {
  readonly fields: readonly Field[];
  /** The sizes of the fields, added up as a header list counts them (RFC 9113 §6.5.2). */
  readonly octets: number;
  /** What an encoder sends of it when nothing is edited. */
  readonly source: HeaderSource;
  readonly method: string;
  /** '': there is none, or it varies, see HeaderBlock.path. */
  readonly path: string;
  readonly scheme: string;
  readonly authority: string;
  /** The protocol that a CONNECT asks for (RFC 8441); '': none. Only calls that began as HTTP/1.1 may have one. */
  readonly protocol: string;
  /** The call began as HTTP/1.1: to an application it goes so, to a sidecar as HTTP/2 (decision 24). */
  readonly fromHttp1: boolean;
  /** The status of a response; 0 if there is none. */
  readonly status: number;
  /** Its content-type is that of gRPC: the message ends with a grpc-status. */
  readonly grpc: boolean;
  /** What its content-type says. */
  readonly format: MessageFormat;
  /** The value of a grpc-status field, -1 if there is none. */
  readonly grpcStatus: number;
  /** Why the fields are malformed in every role, or ''. */
  readonly fault: string;
  private readonly pseudoCount: number;
  private readonly host: string | null;
  /** What forwarding remembers of requests with these fields; it alone sets and checks it. */
  plan: unknown = null;
  /** The same for requests with a varying header that matters. */
  plansByRule: unknown[] | null = null;
  /** Remembered edited responses: pairs of [edits, source]. */
  edited: { edits: unknown; source: HeaderSource }[] | null = null;

  constructor(fields: readonly Field[]) {
    this.fields = fields;
    const list: string[] = [];
    let never: Set<string> | null = null;
    let method = '';
    let path = '';
    let scheme = '';
    let authority = '';
    let protocol = '';
    let fromHttp1 = false;
    let status = 0;
    let format: MessageFormat = 'other';
    let grpcStatus = -1;
    let fault = '';
    let pseudoCount = 0;
    let regular = false;
    let host: string | null = null;
    const seen = new Set<string>();
    let spelled: Map<string, string> | null = null;
    let octets = 0;
    for (const field of fields) {
      octets += field.size;
      list.push(field.name, field.value);
      if (field.never) {
        never ??= new Set();
        never.add(field.name);
      }
      if (field.fault !== '') fault ||= field.fault;
      if (field.spelled !== field.name) {
        spelled ??= new Map();
        if (!spelled.has(field.name)) spelled.set(field.name, field.spelled);
      }
      if (field.name.charCodeAt(0) === 0x3a) {
        if (regular) fault ||= 'a pseudo-header field follows a regular one';
        if (seen.has(field.name)) fault ||= `${field.name} stands twice`;
        seen.add(field.name);
        pseudoCount++;
        if (field.name === ':method') method = field.value;
        else if (field.name === ':path') path = field.value;
        else if (field.name === ':scheme') scheme = field.value;
        else if (field.name === ':authority') authority = field.value;
        else if (field.name === ':status') status = parseStatus(field.value);
        else if (field.name === ':protocol') protocol = field.value;
        else fault ||= 'unknown pseudo-header field';
      } else {
        regular = true;
        if (field.name === 'content-type') format = messageFormat(field.value);
        else if (field.name === 'grpc-status') grpcStatus = parseGrpcStatus(field.value);
        else if (field.name === 'host') {
          if (host !== null) fault ||= 'two host fields';
          host = field.value;
        } else if (field.name === ORIGIN_FIELD) fromHttp1 = field.value === HTTP1_ORIGIN;
      }
    }
    if (protocol !== '' && !fromHttp1) fault ||= 'unknown pseudo-header field';
    this.octets = octets;
    this.source = newHeaderSource(list, never, spelled);
    this.method = method;
    this.path = path;
    this.scheme = scheme;
    this.authority = authority;
    this.protocol = protocol;
    this.fromHttp1 = fromHttp1;
    this.status = status;
    this.grpc = format === 'grpc';
    this.format = format;
    this.grpcStatus = grpcStatus;
    this.fault = fault;
    this.pseudoCount = pseudoCount;
    this.host = host;
  }

  /** @param path of the block @returns why this may not be a request (RFC 9113 §8.3.1), or '' */
  requestFault(path: string): string {
    if (this.fault !== '') return this.fault;
    if (this.status !== 0) return ':status in a request';
    if (this.method === '') return 'no :method';
    if (this.method === 'CONNECT' && this.protocol === '') return this.authority === '' ? 'CONNECT without :authority' : '';
    if (path === '' || this.scheme === '') return 'no :path or no :scheme';
    if (path.charCodeAt(0) !== 0x2f && !(path === '*' && this.method === 'OPTIONS')) return ':path is not a path';
    if (path.includes(' ') || this.method.includes(' ')) return 'space in :path or :method';
    if (this.host !== null && this.authority !== '' && this.host !== this.authority) return 'host differs from :authority';
    if (this.authority.includes('@')) return 'userinfo in :authority';
    return '';
  }

  /** @returns why this may not be a response's header section (RFC 9113 §8.3.2), or '' */
  responseFault(): string {
    if (this.fault !== '') return this.fault;
    if (this.status < 100 || this.pseudoCount !== 1) return 'a response without just :status';
    if (this.status === 101) return '101 does not exist in HTTP/2';
    return '';
  }

  /** @returns why this may not be a trailer section (RFC 9113 §8.1), or '' */
  trailersFault(): string {
    if (this.fault !== '') return this.fault;
    return this.pseudoCount > 0 ? 'pseudo-header field in trailers' : '';
  }
}

export class HeaderBlock {
  readonly template: Template;
  readonly varying: readonly Field[];
  /** It passed L2: its fields were dropped, but the decoder's state is right. */
  readonly tooLarge: boolean;
  /** Why the list as a whole or a varying field is malformed, or ''. */
  readonly fault: string;
  /** -1 if there is none, -2 if it is not a number or they disagree. */
  readonly contentLength: number;

  /** @param listFault what is wrong with the list as a whole, or '' */
  constructor(template: Template, varying: readonly Field[], tooLarge: boolean, listFault = '') {
    this.template = template;
    this.varying = varying.length === 0 ? NONE : varying;
    this.tooLarge = tooLarge;
    let fault = listFault;
    let contentLength = -1;
    for (let i = 0; i < varying.length; i++) {
      const field = varying[i];
      if (field.fault !== '') fault = field.fault;
      if (field.name === 'content-length') {
        const length = /^[0-9]{1,15}$/.test(field.value) ? Number(field.value) : -2;
        contentLength = contentLength === -1 || contentLength === length ? length : -2;
      }
    }
    this.fault = fault;
    this.contentLength = contentLength;
  }

  /** The path is not in the template. */
  get hasVaryingPath(): boolean {
    return this.varying.length > 0 && this.varying[0].of === VARYING_PATH;
  }

  /** A request's path. */
  get path(): string {
    return this.hasVaryingPath ? this.varying[0].value : this.template.path;
  }

  /** @returns why it may not be a request, or '' */
  requestFault(): string {
    return this.fault || this.template.requestFault(this.path);
  }

  /** @returns why it may not be a response's header section, or '' */
  responseFault(): string {
    return this.fault || (this.hasVaryingPath ? ':path in a response' : this.template.responseFault());
  }

  /** @returns why it may not be a trailer section, or '' */
  trailersFault(): string {
    return this.fault || (this.hasVaryingPath ? 'pseudo-header field in trailers' : this.template.trailersFault());
  }

  /** A fault with the name of the field that has it, if one has; peers choose names, so it is no label of a metric. */
  faultInWords(fault: string): string {
    for (const fields of [this.template.fields, this.varying]) {
      for (const field of fields) if (field.fault === fault) return `${fault}: ${field.name.slice(0, LONGEST_NAME)}`;
    }
    return fault;
  }

  /** The whole list, stable fields first. Matchers and edits use it on blocks whose decision cannot be remembered. */
  list(): string[] {
    const all = this.template.source.list.slice();
    for (const field of this.varying) all.push(field.name, field.value);
    return all;
  }

  /** The value of a field, varying or not; of several lines the first. undefined: there is none. */
  value(name: string): string | undefined {
    const varying = this.varyingValue(name);
    if (varying !== undefined) return varying;
    const { list } = this.template.source;
    for (let i = 0; i < list.length; i += 2) if (list[i] === name) return list[i + 1];
    return undefined;
  }

  /** The value of a varying field, or undefined. */
  varyingValue(name: string): string | undefined {
    for (let i = 0; i < this.varying.length; i++) if (this.varying[i].name === name) return this.varying[i].value;
    return undefined;
  }
}

function parseStatus(value: string): number {
  return /^[1-9][0-9]{2}$/.test(value) ? Number(value) : 1;
}

function parseGrpcStatus(value: string): number {
  const status = /^[0-9]{1,2}$/.test(value) ? Number(value) : 2;
  return status <= 16 ? status : 2;
}
