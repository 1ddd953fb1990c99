// What HTTP/1.1 itself does with a field, by its name: those of the connection and of the framing never go on as they
// came.
import { type FieldName, fieldNames } from '../http/field-name.ts';
import { ORIGIN_FIELD } from '../http/origin.ts';

/** Roles of names in HTTP/1.1; END_TO_END fields just go on. */
export const END_TO_END = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const UPGRADE = 5;
export const TE = 6;
/** Fields of one hop, and those by which sidecars talk to each other: they are dropped. */
export const DROPPED = 7;
/** Names that some applications read as one of those above (RFC 3875 §4.1.18): no message may have such a field. */
export const LOOKALIKE = 8;

const ROLES: ReadonlyMap<string, number> = new Map([
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['transfer-encoding', TRANSFER_ENCODING],
  ['connection', CONNECTION],
  ['upgrade', UPGRADE],
  ['te', TE],
  ['keep-alive', DROPPED],
  ['proxy-connection', DROPPED],
  ['http2-settings', DROPPED],
  [ORIGIN_FIELD, DROPPED],
]);

/** Names whose record is kept by their spelling; further ones cost a lower-case string each time. */
const MAX_SPELLINGS = 1024;
const MAX_SPELLING_LENGTH = 128;

export interface SpelledName {
  readonly of: FieldName;
  readonly role: number;
  /** It has a '_', which some applications read as '-' (RFC 3875 §4.1.18). */
  readonly hasUnderscore: boolean;
}

const spellings = new Map<string, SpelledName>();

/** @param spelled a token */
export function spelledName(spelled: string): SpelledName {
  const known = spellings.get(spelled);
  if (known !== undefined) return known;
  const text = spelled.toLowerCase();
  const hasUnderscore = text.includes('_');
  const lookalike = hasUnderscore && ROLES.has(text.replaceAll('_', '-'));
  const role = lookalike ? LOOKALIKE : (ROLES.get(text) ?? END_TO_END);
  const name: SpelledName = { of: fieldNames.get(text), role, hasUnderscore };
  if (spellings.size < MAX_SPELLINGS && spelled.length <= MAX_SPELLING_LENGTH) spellings.set(spelled, name);
  return name;
}
