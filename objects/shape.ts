// A small language for the types of fields, and the check of a value against it. Pure.
// It only refuses what the API server refuses too; a null is an absent field, as in Kubernetes.
import { nearest } from '#core/text/nearest.ts';
import { isInteger, isMap } from './fields.ts';

export type Path = readonly (string | number)[];

export interface Violation {
  /** The value itself; for a missing field, the object that lacks it. */
  readonly path: Path;
  readonly message: string;
  /** Worth a word, but the API server may well take it. */
  readonly notice?: true;
}

export type Shape = (value: unknown, path: Path, report: (violation: Violation) => void) => void;

/** `spec.rules[0].backendRefs[1].port`; a key that is no plain word stands in quotes. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z0-9_-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** How a wrong value is named in a message: short, and one line. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return String(value);
}

function must(expected: string, accepts: (value: unknown) => boolean, hint?: (value: unknown) => string): Shape {
  return (value, path, report) => {
    if (accepts(value)) return;
    report({ path, message: `${formatPath(path)} must be ${expected}, not ${describe(value)}${hint?.(value) ?? ''}` });
  };
}

const unquoted = (value: unknown): string => (typeof value === 'number' || typeof value === 'boolean' ? ' (write it in quotes)' : '');

export const text: Shape = must('text', (value) => typeof value === 'string', unquoted);
export const name: Shape = must('a name', (value) => typeof value === 'string' && value !== '', unquoted);
export const flag: Shape = must('true or false', (value) => typeof value === 'boolean');
export const portNumber: Shape = integer(1, 65535);
/** A targetPort: a number, or the name of a container's port. */
export const portOrName: Shape = must(
  'a port number or the name of a port',
  (value) => (typeof value === 'string' && value !== '') || isInteger(value, 0, 65535),
);

/** One of a few words; a word that is nearly one of them is pointed out. */
export function oneOf(words: readonly string[]): Shape {
  const hint = (value: unknown): string => {
    const meant = typeof value === 'string' ? nearest(value, words) : undefined;
    return meant === undefined ? '' : `, did you mean ${meant}?`;
  };
  return must(words.join(' or '), (value) => typeof value === 'string' && words.includes(value), hint);
}

/** The largest number of the API's 32-bit fields. */
export const INT32 = 2_147_483_647;

/** A whole number in a range, both ends included. */
export function integer(least: number, greatest: number): Shape {
  return must(`a number from ${least} to ${greatest}`, (value) => isInteger(value, least, greatest));
}

export function list(item: Shape): Shape {
  return (value, path, report) => {
    if (!Array.isArray(value)) {
      const hint = typeof value === 'object' ? ' (begin each entry with "- ")' : '';
      report({ path, message: `${formatPath(path)} must be a list, not ${describe(value)}${hint}` });
      return;
    }
    value.forEach((entry, index) => {
      item(entry, [...path, index], report);
    });
  };
}

/** A map from names to text: labels, annotations, selectors. A null value counts as the empty text. */
export const textMap: Shape = (value, path, report) => {
  if (!isMap(value)) return report({ path, message: `${formatPath(path)} must be a map of names to text, not ${describe(value)}` });
  for (const [key, entry] of Object.entries(value)) if (entry !== null) text(entry, [...path, key], report);
};

/** A map with known fields. Fields that are not named here are left alone. */
export function fields(known: Readonly<Record<string, Shape>>, required: readonly string[] = []): Shape {
  return (value, path, report) => {
    if (!isMap(value)) {
      report({ path, message: `${formatPath(path)} must be a map of fields, not ${describe(value)}` });
      return;
    }
    for (const field of required)
      if (value[field] === undefined || value[field] === null) report({ path, message: `${formatPath([...path, field])} is missing` });
    for (const [field, shape] of Object.entries(known)) {
      const inner = Object.hasOwn(value, field) ? value[field] : undefined;
      if (inner !== undefined && inner !== null) shape(inner, [...path, field], report);
    }
  };
}

/**
 * A map of whose fields all are known: one that is not, but nearly has the name of one, is pointed out. The API server
 * refuses it or drops it, by the client's choice; a name that is like none may be a newer version's.
 * @param unread fields that the API has and Weft does not read
 */
export function allFields(known: Readonly<Record<string, Shape>>, required: readonly string[] = [], unread: readonly string[] = []): Shape {
  const check = fields(known, required);
  const names = [...Object.keys(known), ...unread];
  return (value, path, report) => {
    check(value, path, report);
    if (!isMap(value)) return;
    for (const field of Object.keys(value)) {
      if (names.includes(field)) continue;
      const meant = nearest(field, names);
      if (meant !== undefined)
        report({ path: [...path, field], message: `${formatPath([...path, field])} has no effect: did you mean ${meant}?`, notice: true });
    }
  };
}
