// Which calls the access log writes: the text of annotation and environment, parsed once, and the test of one call
// (pure).

import { didYouMean } from '../text/nearest.ts';
import { GRPC_CODES } from './grpc-codes.ts';
import { parseWorkloadIdentity } from './identity.ts';

/** Bounds of the text: a filter is tested on every call. */
export const MOST_FILTER_CONDITIONS = 16;
export const LONGEST_ACCESS_LOG = 512;

/** Why a call or connection ended as it did: labels of the proxy's own errors, then what else the log reports. */
export const ACCESS_FLAGS = [
  'no_route',
  'invalid_rule',
  'invalid_backend',
  'no_endpoints',
  'no_config',
  'connect_failed',
  'connect_timeout',
  'deadline',
  'attempt_timeout',
  'refused',
  'connection_lost',
  'upstream_reset',
  'bad_response',
  'response_too_large',
  'shed',
  'endpoint_full',
  'bad_request',
  'too_many_streams',
  'draining',
  'headers_too_large',
  'identity_mismatch',
  'certificate_expired',
  'own_certificate_expired',
  'not_served',
  'not_http2',
  'retried',
  'client_cancelled',
  'denied_plaintext',
  'denied_tls',
] as const;

/** What a condition may look at: keys of the line, in `duration` with a unit and in `flag` for one of its list. */
const NUMBERS = ['duration_ms', 'http_status', 'grpc_status', 'request_bytes', 'response_bytes', 'attempts'] as const;
const TEXTS = [
  'direction',
  'caller',
  'service',
  'route',
  'rule',
  'method',
  'http_method',
  'backend',
  'pod',
  'endpoint',
  'peer_identity',
  'mtls',
  'protocol',
  'authority',
  'user_agent',
  'trace_id',
  'sampled',
] as const;
const CONDITION_FIELDS: readonly string[] = ['code', 'duration', 'flag', ...NUMBERS, ...TEXTS];

/** `failed` is what `errors` asks for. */
export type AccessField = (typeof NUMBERS)[number] | (typeof TEXTS)[number] | 'flags' | 'failed';

/** Truth values are the texts "true" and "false"; undefined: the line does not have the field. */
export type AccessValue = number | string | readonly string[] | undefined;

export interface AccessCondition {
  readonly field: AccessField;
  /** Never called with undefined. */
  holds(value: Exclude<AccessValue, undefined>): boolean;
}

/** What is written: calls for which all conditions hold; none: every call. */
export interface AccessLogRule {
  /** As it was written. */
  readonly text: string;
  /** Cheap ones first. */
  readonly conditions: readonly AccessCondition[];
}

const WORDS: Readonly<Record<string, readonly string[]>> = {
  direction: ['outbound', 'inbound'],
  protocol: ['grpc', 'http', 'tcp'],
  mtls: ['true', 'false'],
  sampled: ['true', 'false'],
  code: GRPC_CODES,
  flag: ACCESS_FLAGS,
};

/**
 * What else a value of a field is known as: a Service without its port, a route without its kind, an identity as
 * namespace/ServiceAccount.
 */
const SHORTER: Readonly<Partial<Record<string, (value: string) => string>>> = {
  service: withoutPort,
  backend: withoutPort,
  route: (value) => value.slice(value.indexOf('/') + 1),
  caller: account,
  peer_identity: account,
};

/**
 * Reads `off`, `errors`, `all`, or conditions joined by commas (docs/reference/access-log.md).
 * @returns null for `off`
 * @throws RangeError that names the condition and what it could be instead
 */
export function parseAccessLog(text: string): AccessLogRule | null {
  if (text.length > LONGEST_ACCESS_LOG) throw new RangeError(`has ${text.length} characters, at most ${LONGEST_ACCESS_LOG} are allowed`);
  const parts = text.split(',').map((part) => part.trim());
  if (parts.length > MOST_FILTER_CONDITIONS)
    throw new RangeError(`has ${parts.length} conditions, at most ${MOST_FILTER_CONDITIONS} are allowed`);
  if (parts.length === 1 && parts[0] === 'off') return null;
  if (parts.length === 1 && parts[0] === 'all') return { text, conditions: [] };
  const ranked = parts.map(parseCondition).map((condition) => ({ condition, rank: rankOf(condition.field) }));
  return { text, conditions: ranked.sort((a, b) => a.rank - b.rank).map(({ condition }) => condition) };
}

/** Whether a line is written. A condition on a field that the line does not have does not hold. */
export function matchesAccessLog(rule: AccessLogRule, read: (field: AccessField) => AccessValue): boolean {
  const { conditions } = rule;
  for (let i = 0; i < conditions.length; i++) {
    const value = read(conditions[i].field);
    if (value === undefined || !conditions[i].holds(value)) return false;
  }
  return true;
}

function rankOf(field: AccessField): number {
  if (field === 'failed' || (NUMBERS as readonly string[]).includes(field)) return 0;
  return field in WORDS || field === 'flags' ? 1 : 2;
}

function parseCondition(text: string): AccessCondition {
  const match = /^([^!<>=]*)(!=|>=|<=|=|>|<)(.*)$/s.exec(text);
  if (match === null) return parseWord(text);
  const field = match[1].trim();
  const operator = match[2];
  const operand = match[3].trim();
  const wrong = (why: string): RangeError => new RangeError(`${JSON.stringify(text)}: ${why}`);
  if (!CONDITION_FIELDS.includes(field)) {
    throw wrong(
      `there is no field ${JSON.stringify(field)}${didYouMean(field, CONDITION_FIELDS) || `; fields: ${CONDITION_FIELDS.join(', ')}`}`,
    );
  }
  if (operand === '') throw wrong(`nothing stands behind ${operator}`);
  if (field === 'duration') return numberCondition('duration_ms', operator, milliseconds(operand, wrong));
  if ((NUMBERS as readonly string[]).includes(field)) {
    if (!/^[0-9]{1,15}(\.[0-9]{1,6})?$/.test(operand)) throw wrong(`${field} must be a number, not ${JSON.stringify(operand)}`);
    return numberCondition(field as AccessField, operator, Number(operand));
  }
  if (operator !== '=' && operator !== '!=') throw wrong(`${field} is a text: use = or !=, not ${operator}`);
  const equal = operator === '=';
  if (/^[=<>]/.test(operand)) throw wrong(`there is no operator ${operator}${operand[0]}: use = or !=`);
  const words = WORDS[field];
  const test = pattern(spelling(field, operand), wrong);
  if (words !== undefined && !words.some(test)) {
    const choice = didYouMean(operand, words) || ` (${words.join(', ')})`;
    throw wrong(`${JSON.stringify(operand)} is no ${field}${choice}`);
  }
  if (field === 'code') return { field: 'grpc_status', holds: (value) => test(GRPC_CODES[value as number]) === equal };
  if (field === 'flag') return { field: 'flags', holds: (value) => (value as readonly string[]).some(test) === equal };
  const shorter = SHORTER[field];
  return {
    field: field as AccessField,
    holds: (value) => (test(value as string) || (shorter !== undefined && test(shorter(value as string)))) === equal,
  };
}

function parseWord(text: string): AccessCondition {
  if (text === 'errors') return { field: 'failed', holds: (value) => value === 'true' };
  if (text === 'all' || text === 'off') throw new RangeError(`"${text}" must stand alone`);
  if (text === '') throw new RangeError('a condition is empty: it must be off, errors, all or conditions such as code!=OK,duration>=250ms');
  const hint =
    didYouMean(text, ['off', 'errors', 'all']) || (CONDITION_FIELDS.includes(text) ? `: ${text} needs = and a value` : ' such as code!=OK');
  throw new RangeError(`${JSON.stringify(text)} is neither off, errors, all nor a condition${hint}`);
}

function numberCondition(field: AccessField, operator: string, operand: number): AccessCondition {
  const tests: Readonly<Record<string, (value: number) => boolean>> = {
    '=': (value) => value === operand,
    '!=': (value) => value !== operand,
    '>': (value) => value > operand,
    '>=': (value) => value >= operand,
    '<': (value) => value < operand,
    '<=': (value) => value <= operand,
  };
  return { field, holds: tests[operator] as AccessCondition['holds'] };
}

function milliseconds(text: string, wrong: (why: string) => RangeError): number {
  const match = /^([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(ms|s)$/.exec(text);
  if (match === null) throw wrong(`${JSON.stringify(text)} is no duration: a number and ms or s, such as 250ms`);
  return match[2] === 's' ? Number(match[1]) * 1000 : Number(match[1]);
}

/** Equality, or the rest of a text before or behind which `*` stands. */
function pattern(operand: string, wrong: (why: string) => RangeError): (value: string) => boolean {
  const begins = operand.endsWith('*');
  const ends = operand.startsWith('*');
  const rest = operand.slice(ends ? 1 : 0, begins && operand.length > 1 ? -1 : undefined);
  if (operand !== '*' && (rest === '' || rest.includes('*'))) throw wrong('* may only stand at the beginning and at the end');
  if (operand === '*') return () => true;
  if (begins && ends) return (value) => value.includes(rest);
  if (begins) return (value) => value.startsWith(rest);
  if (ends) return (value) => value.endsWith(rest);
  return (value) => value === operand;
}

/** As the line has it. */
function spelling(field: string, operand: string): string {
  if (field === 'code') return codeSpelling(operand);
  // Paths and full names of methods are often written with it.
  return field === 'method' && operand.length > 1 && operand.startsWith('/') ? operand.slice(1) : operand;
}

/** UNAVAILABLE, unavailable and Unavailable are one code; CANCELLED has two spellings. */
function codeSpelling(operand: string): string {
  const bare = operand.replaceAll('_', '').toLowerCase().replace('cancelled', 'canceled');
  return GRPC_CODES.find((code) => code.toLowerCase() === bare) ?? operand;
}

function withoutPort(value: string): string {
  const colon = value.lastIndexOf(':');
  return colon === -1 ? value : value.slice(0, colon);
}

function account(value: string): string {
  const identity = parseWorkloadIdentity(value);
  return identity === null ? value : `${identity.namespace}/${identity.serviceAccount}`;
}
