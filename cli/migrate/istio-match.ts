// Conditions of an Istio VirtualService as matches of a route. A condition that cannot be said takes its whole match
// away: without it the match would take more than its author wrote. Pure.
import { RE2JS } from 're2js';
import { fieldsOf, isMap, textOf } from '#objects/fields.ts';
import type { Notes } from './draft.ts';

export interface HttpMatch {
  readonly path?: { readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression'; readonly value: string };
  readonly method?: string;
  readonly headers?: readonly ValueMatch[];
  readonly queryParams?: readonly ValueMatch[];
}

interface ValueMatch {
  readonly type?: 'RegularExpression';
  readonly name: string;
  readonly value: string;
}

/** Fields that say where a request comes from or is going, and others without a counterpart. */
const UNSAYABLE = ['scheme', 'authority', 'port', 'sourceLabels', 'sourceNamespace', 'withoutHeaders', 'statPrefix'] as const;
const HARMLESS = new Set(['statPrefix']);
const QUOTED = /[.*+?^${}()|[\]\\]/g;

/** @returns null, and a note, for a match that cannot be said */
export function translateMatch(match: Readonly<Record<string, unknown>>, notes: Notes): HttpMatch | null {
  for (const field of UNSAYABLE) {
    if (match[field] === undefined || HARMLESS.has(field)) continue;
    notes.leftOut(`a match with ${field}: the Gateway API has no such condition, and without it the rule would take other requests too`);
    return null;
  }
  const path = match.uri === undefined ? undefined : pathOf(match.uri, match.ignoreUriCase === true, notes);
  const method = match.method === undefined ? undefined : methodOf(match.method, notes);
  const headers = valuesOf(match.headers, 'header', notes);
  const queryParams = valuesOf(match.queryParams, 'query parameter', notes);
  if (path === null || method === null || headers === null || queryParams === null) return null;
  return {
    path,
    method,
    headers: headers.length === 0 ? undefined : headers,
    queryParams: queryParams.length === 0 ? undefined : queryParams,
  };
}

function pathOf(uri: unknown, ignoresCase: boolean, notes: Notes): HttpMatch['path'] | null {
  const { exact, prefix, regex } = fieldsOf(uri as Record<string, unknown>);
  const [isExact, isPrefix] = [textOf(exact), textOf(prefix)];
  const expression = textOf(regex);
  if (expression !== undefined) return regular(ignoresCase ? `(?i)${expression}` : expression, notes);
  const value = isExact ?? isPrefix;
  if (value === undefined) return unreadable('uri', notes);
  if (ignoresCase) return regular(`(?i)${value.replace(QUOTED, '\\$&')}${isExact === undefined ? '.*' : ''}`, notes);
  if (isExact !== undefined) return { type: 'Exact', value };
  const whole = value.replace(/(?<=.)\/$/, '');
  if (value !== '/' && value.endsWith('/')) notes.differs(`prefix ${value}: a PathPrefix takes ${whole} too`);
  else if (value !== '/') notes.differs(`prefix ${value}: Istio also matches ${value}x, a PathPrefix only ${value} and what is below it`);
  return { type: 'PathPrefix', value: whole };
}

function methodOf(method: unknown, notes: Notes): string | null {
  const { exact } = fieldsOf(method as Record<string, unknown>);
  return textOf(exact) ?? unreadable('method by prefix or expression', notes);
}

function valuesOf(map: unknown, what: string, notes: Notes): ValueMatch[] | null {
  const found: ValueMatch[] = [];
  for (const [name, condition] of Object.entries(isMap(map) ? map : {})) {
    const { exact, prefix, regex } = fieldsOf(condition as Record<string, unknown>);
    const value = textOf(exact);
    if (value !== undefined) {
      found.push({ name, value });
      continue;
    }
    const start = textOf(prefix);
    // An empty condition asks for nothing but that it is there.
    const expression =
      textOf(regex) ??
      (start === undefined
        ? isMap(condition) && Object.keys(condition).length === 0
          ? '.*'
          : undefined
        : `${start.replace(QUOTED, '\\$&')}.*`);
    const match = expression === undefined ? unreadable(`${what} ${name}`, notes) : regular(expression, notes);
    if (match === null) return null;
    found.push({ type: 'RegularExpression', name, value: match.value });
  }
  return found;
}

function regular(value: string, notes: Notes): { type: 'RegularExpression'; value: string } | null {
  try {
    RE2JS.compile(value);
    return { type: 'RegularExpression', value };
  } catch (error) {
    notes.leftOut(`a match by expression ${value}: RE2 does not have it (${(error as Error).message})`);
    return null;
  }
}

function unreadable(what: string, notes: Notes): null {
  notes.leftOut(`a match with ${what}: only exact values, prefixes and expressions have a counterpart`);
  return null;
}
