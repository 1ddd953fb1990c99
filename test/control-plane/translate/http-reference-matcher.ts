// A slow matcher of HTTPRoutes, written from the text of the specification and from nothing of ours: it looks at the
// objects as they are.
import type { HTTPRoute, HTTPRouteMatch, HTTPRouteRule } from '#objects/http-route.ts';
import type { Winner } from './reference-matcher.ts';

export interface HttpRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Lower-case names, one value each. */
  readonly headers: ReadonlyMap<string, string>;
}

interface Applicable {
  readonly route: HTTPRoute;
  readonly rule: number;
  readonly match: HTTPRouteMatch;
}

/** HTTPRouteRule.matches: "If no matches are specified, the default is a prefix path match on "/"". */
function matchesOf(rule: HTTPRouteRule): HTTPRouteMatch[] {
  return rule.matches === undefined || rule.matches.length === 0 ? [{}] : rule.matches;
}

/** The rule that serves a request, by looking at all of them; null: none. */
export function referenceHttpWinner(routes: readonly HTTPRoute[], request: HttpRequest): Winner | null {
  const applicable: Applicable[] = [];
  for (const route of routes) {
    route.spec!.rules!.forEach((rule, index) => {
      for (const match of matchesOf(rule)) if (holds(match, request)) applicable.push({ route, rule: index, match });
    });
  }
  const best = applicable.filter((one) => !applicable.some((other) => precedes(other, one)));
  const [winner] = best;
  return winner === undefined ? null : { route: keyOf(winner.route), rule: winner.rule };
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
 * characters; method match; largest number of header matches; largest number of query param matches. If ties still
 * exist across multiple Routes: the oldest Route, the Route appearing first in alphabetical order by
 * "{namespace}/{name}". If ties still exist within an HTTPRoute: the FIRST matching rule (in list order)."
 * Weft's own: a regular expression stands between exact paths and prefixes, the longer first; a route without a time
 * comes last.
 */
function precedes(a: Applicable, b: Applicable): boolean {
  const score = ({ match }: Applicable): number[] => {
    const { type = 'PathPrefix', value = '/' } = match.path ?? {};
    return [
      ['PathPrefix', 'RegularExpression', 'Exact'].indexOf(type),
      value.length,
      match.method === undefined ? 0 : 1,
      distinct(match.headers, (name) => name.toLowerCase()).length,
      distinct(match.queryParams, (name) => name).length,
    ];
  };
  const [first, second] = [score(a), score(b)];
  for (let i = 0; i < first.length; i++) if (first[i] !== second[i]) return first[i] > second[i];
  const time = ({ route }: Applicable) => route.metadata!.creationTimestamp ?? '9999-12-31T23:59:59Z';
  if (time(a) !== time(b)) return time(a) < time(b);
  if (keyOf(a.route) !== keyOf(b.route)) return keyOf(a.route) < keyOf(b.route);
  return a.rule < b.rule;
}

function keyOf({ metadata }: HTTPRoute): string {
  return `${metadata!.namespace}/${metadata!.name}`;
}
