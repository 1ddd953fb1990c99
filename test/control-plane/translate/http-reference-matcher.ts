// A slow matcher of HTTPRoutes, written from the text of the specification and from nothing of ours: it looks at the
// objects as they are.
import type { HTTPRoute, HTTPRouteMatch } from '#objects/http-route.ts';
import { type Winner, winnerAmong } from './reference-matcher.ts';

export interface HttpRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names, one value each. */
  readonly headers: ReadonlyMap<string, string>;
}

/** The rule that serves a request; null: none. */
export function referenceHttpWinner(routes: readonly HTTPRoute[], request: HttpRequest): Winner | null {
  return winnerAmong<HTTPRouteMatch>(routes, (match) => holds(match, request), scoreOf);
}

function holds(match: HTTPRouteMatch, { method, path: whole, headers }: HttpRequest): boolean {
  const url = new URL(whole, 'http://x');
  const fits = (type: string | undefined, wanted: string, got: string | null | undefined) =>
    got != null && (type === 'RegularExpression' ? new RegExp(`^(?:${wanted})$`).test(got) : wanted === got);
  if (match.method !== undefined && match.method !== method) return false;
  const { type = 'PathPrefix', value = '/' } = match.path ?? {};
  const path = whole.split('?')[0];
  if (type === 'PathPrefix' ? !isPrefix(value, path) : !fits(type, value, path)) return false;
  return (
    distinct(match.headers, (name) => name.toLowerCase()).every(({ type, name, value }) =>
      fits(type, value!, headers.get(name!.toLowerCase())),
    ) && distinct(match.queryParams, (name) => name).every(({ type, name, value }) => fits(type, value!, url.searchParams.get(name!)))
  );
}

/** HTTPPathMatch: "Matching is … done on a path element by element basis"; "a trailing slash is ignored". */
function isPrefix(prefix: string, path: string): boolean {
  const elements = (text: string) => text.split('/').slice(1);
  const wanted = elements(prefix.replace(/\/$/, ''));
  return wanted.every((element, i) => elements(path)[i] === element);
}

function distinct(list: HTTPRouteMatch['headers'], key: (name: string) => string) {
  return (list ?? []).filter(({ name }, i, all) => all.findIndex((other) => key(other.name!) === key(name!)) === i);
}

/**
 * "Precedence MUST be given to the rule with: "Exact" path match; "Prefix" path match with largest number of
 * characters; method match; largest number of header matches; largest number of query param matches."
 * Weft's own: a regular expression stands between exact paths and prefixes, the longer first.
 */
function scoreOf(match: HTTPRouteMatch): number[] {
  const { type = 'PathPrefix', value = '/' } = match.path ?? {};
  return [
    ['PathPrefix', 'RegularExpression', 'Exact'].indexOf(type),
    value.length,
    match.method === undefined ? 0 : 1,
    distinct(match.headers, (name) => name.toLowerCase()).length,
    distinct(match.queryParams, (name) => name).length,
  ];
}
