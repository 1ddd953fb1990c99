// What is known of a header's name: whether its values differ from call to call, and whether a message may have it.
// A field whose values differ must stay out of header templates: with one new value per call, each call made a
// template, a plan and an encoding (11 µs instead of 0.8). Some names are known to vary, the others are learned: real
// calls carry user ids, tokens and ids of all kinds.

/** What each connection learns of a name, all others profit from. */
export interface FieldName {
  readonly text: string;
  /**
   * Its values differ from call to call: its fields are kept out of templates, and our encoder does not index their
   * values.
   */
  varying: boolean;
  /** Not empty: no message may have such a field, and why. */
  readonly fault: string;
}

/** Names whose values change with nearly every call. */
const KNOWN_TO_VARY = [
  'grpc-timeout',
  'traceparent',
  'tracestate',
  'baggage',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-request-id',
  'grpc-trace-bin',
  'grpc-tags-bin',
  'grpc-message',
  'grpc-status-details-bin',
  'content-length',
  'date',
  'etag',
  'last-modified',
];

/** A template is judged by these: they are in it whatever their values do. */
const ALWAYS_STABLE = new Set(['content-type', 'grpc-status', 'host', 'te']);

const CONNECTION_SPECIFIC = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

/** Different values on one connection past which a name counts as varying. */
export const MAX_STABLE_VALUES = 16;
/**
 * Names that have a record. Any further one counts as varying, so that made-up names leave nothing behind, neither here
 * nor in templates.
 */
const MAX_NAMES = 1024;
const MAX_NAME_LENGTH = 128;

/** The records of names. There is one table for the process, `fieldNames`; tests make their own. */
export class FieldNames {
  private readonly records = new Map<string, FieldName>();
  private readonly maxStableValues: number;

  constructor(maxStableValues = MAX_STABLE_VALUES) {
    this.maxStableValues = maxStableValues;
    for (const text of KNOWN_TO_VARY) this.records.set(text, newFieldName(text, true));
  }

  /** The record of a name; where the table is full, a new one that counts as varying. */
  get(text: string): FieldName {
    const known = this.records.get(text);
    if (known !== undefined) return known;
    const kept = !isPseudo(text) && text.length <= MAX_NAME_LENGTH;
    const full = this.records.size >= MAX_NAMES;
    const made = newFieldName(text, !mustBeStable(text) && (full || !kept));
    if (kept && !full) this.records.set(text, made);
    return made;
  }

  /**
   * Says that one connection has seen so many different values of a name.
   * @returns whether the name counts as varying from now on, and did not before
   */
  learn(name: FieldName, values: number): boolean {
    if (values <= this.maxStableValues || name.varying || mustBeStable(name.text)) return false;
    name.varying = true;
    return true;
  }

  isVarying(text: string): boolean {
    return this.records.get(text)?.varying ?? false;
  }
}

export const fieldNames = new FieldNames();

/**
 * The name of a path that is not in its template, because its connection has seen too many (http/interned.ts). Such a
 * field stands first among those that vary.
 */
export const VARYING_PATH: FieldName = { text: ':path', varying: true, fault: '' };

function mustBeStable(text: string): boolean {
  return isPseudo(text) || ALWAYS_STABLE.has(text);
}

function newFieldName(text: string, varying: boolean): FieldName {
  return { text, varying, fault: nameFault(text) };
}

function isPseudo(text: string): boolean {
  return text.charCodeAt(0) === 0x3a;
}

/** @returns why RFC 9113 §8.2.1 and §8.2.2 forbid the name, or '' */
function nameFault(name: string): string {
  if (name.length === 0) return 'empty field name';
  for (let i = isPseudo(name) ? 1 : 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    // No upper case, no space or control, no ':' but in front, nothing above ASCII.
    if (c <= 0x20 || (c >= 0x41 && c <= 0x5a) || c >= 0x7f || c === 0x3a) return 'forbidden octet in a field name';
  }
  return CONNECTION_SPECIFIC.has(name) ? 'connection-specific field' : '';
}
