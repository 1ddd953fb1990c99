// A slow matcher of GRPCRoutes, written from the text of the specification and from nothing of ours: it looks at the
// objects as they are.
import type { GRPCRoute, GRPCRouteMatch, GRPCRouteRule } from '#objects/grpc-route.ts';

export interface Call {
  readonly service: string;
  readonly method: string;
  /** Lower-case names, one value each. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface Winner {
  readonly route: string;
  readonly rule: number;
}

interface Applicable {
  readonly route: GRPCRoute;
  readonly rule: number;
  readonly match: GRPCRouteMatch;
}

/** GRPCRouteRule.matches: "If no matches are specified, the implementation MUST match every gRPC request." */
function matchesOf(rule: GRPCRouteRule): GRPCRouteMatch[] {
  return rule.matches === undefined || rule.matches.length === 0 ? [{}] : rule.matches;
}

/** The rule that serves a call, by looking at all of them; null: none. */
export function referenceWinner(routes: readonly GRPCRoute[], call: Call): Winner | null {
  const applicable: Applicable[] = [];
  for (const route of routes) {
    route.spec!.rules!.forEach((rule, index) => {
      for (const match of matchesOf(rule)) if (holds(match, call)) applicable.push({ route, rule: index, match });
    });
  }
  const best = applicable.filter((one) => !applicable.some((other) => precedes(other, one)));
  // Several matches of one rule may be equally good; that is the same rule then.
  const [winner] = best;
  return winner === undefined ? null : { route: keyOf(winner.route), rule: winner.rule };
}

function holds(match: GRPCRouteMatch, call: Call): boolean {
  const { method } = match;
  const fits = (type: string | undefined, wanted: string | undefined, got: string | undefined) => {
    if (wanted === undefined) return true;
    if (got === undefined) return false;
    return type === 'RegularExpression' ? new RegExp(`^(?:${wanted})$`).test(got) : wanted === got;
  };
  if (method !== undefined && !(fits(method.type, method.service, call.service) && fits(method.type, method.method, call.method)))
    return false;
  return distinctHeaders(match).every(({ type, name, value }) => fits(type, value, call.headers.get(name!.toLowerCase())));
}

/**
 * "If multiple entries specify equivalent header names, only the first entry with an equivalent name MUST be considered
 * for a match."
 */
function distinctHeaders(match: GRPCRouteMatch) {
  const headers = match.headers ?? [];
  return headers.filter(({ name }, i) => headers.findIndex((other) => other.name!.toLowerCase() === name!.toLowerCase()) === i);
}

/**
 * "Precedence MUST be given to the rule with the largest number of: characters in a matching service, characters in a
 * matching method, header matches.
 * If ties still exist across multiple Routes: the oldest Route based on creation timestamp, the Route appearing first
 * in alphabetical order by
 * {namespace}/{name}. If ties still exist within the Route, to the first matching rule meeting the above criteria."
 * Weft's own: exact before regular expression before nothing; a route without a time comes last.
 */
function precedes(a: Applicable, b: Applicable): boolean {
  const score = ({ match: { method }, match }: Applicable): number[] => {
    const regex = method?.type === 'RegularExpression';
    const of = (wanted: string | undefined): number[] => (wanted === undefined ? [0, 0] : [regex ? 1 : 2, wanted.length]);
    return [...of(method?.service), ...of(method?.method), distinctHeaders(match).length];
  };
  const [first, second] = [score(a), score(b)];
  for (let i = 0; i < first.length; i++) if (first[i] !== second[i]) return first[i] > second[i];
  const time = ({ route }: Applicable) => route.metadata!.creationTimestamp ?? '9999-12-31T23:59:59Z';
  if (time(a) !== time(b)) return time(a) < time(b);
  if (keyOf(a.route) !== keyOf(b.route)) return keyOf(a.route) < keyOf(b.route);
  return a.rule < b.rule;
}

function keyOf({ metadata }: GRPCRoute): string {
  return `${metadata!.namespace}/${metadata!.name}`;
}
