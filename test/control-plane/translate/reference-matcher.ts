// A slow matcher of GRPCRoutes, and what is the same of one of HTTPRoutes; written from the text of the specification and from nothing of ours: it looks at the
// objects as they are.
import type { GRPCRoute, GRPCRouteMatch } from '#objects/grpc-route.ts';
import type { Route } from '#objects/route.ts';

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

interface Applicable<M> {
  readonly route: Route;
  readonly rule: number;
  readonly score: readonly number[];
  readonly match: M;
}

/**
 * The best of all matches that hold, by looking at all of them; null: none holds. A rule without matches has the empty
 * one, for which both kinds of routes say that it matches everything.
 * @param score of a match: what the kind says of precedence, the greater number first
 */
export function winnerAmong<M extends object>(
  routes: readonly Route[],
  holds: (match: M) => boolean,
  score: (match: M) => readonly number[],
): Winner | null {
  const applicable: Applicable<M>[] = [];
  for (const route of routes) {
    route.spec!.rules!.forEach(({ matches }, rule) => {
      const all = Array.isArray(matches) && matches.length > 0 ? (matches as M[]) : [{} as M];
      for (const match of all) if (holds(match)) applicable.push({ route, rule, match, score: score(match) });
    });
  }
  const best = applicable.filter((one) => !applicable.some((other) => precedes(other, one)));
  // Several matches of one rule may be equally good; that is the same rule then.
  const [winner] = best;
  return winner === undefined ? null : { route: keyOf(winner.route), rule: winner.rule };
}

/**
 * "If ties still exist across multiple Routes: the oldest Route based on creation timestamp, the Route appearing first
 * in alphabetical order by {namespace}/{name}. If ties still exist within the Route, to the first matching rule meeting
 * the above criteria." Weft's own: a route without a time comes last.
 */
function precedes<M>(a: Applicable<M>, b: Applicable<M>): boolean {
  for (let i = 0; i < a.score.length; i++) if (a.score[i] !== b.score[i]) return a.score[i] > b.score[i];
  const time = ({ route }: Applicable<M>) => route.metadata!.creationTimestamp ?? '9999-12-31T23:59:59Z';
  if (time(a) !== time(b)) return time(a) < time(b);
  if (keyOf(a.route) !== keyOf(b.route)) return keyOf(a.route) < keyOf(b.route);
  return a.rule < b.rule;
}

/** The rule that serves a call; null: none. */
export function referenceWinner(routes: readonly GRPCRoute[], call: Call): Winner | null {
  return winnerAmong<GRPCRouteMatch>(routes, (match) => holds(match, call), scoreOf);
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
 * matching method, header matches."
 * Weft's own: exact before regular expression before nothing.
 */
function scoreOf(match: GRPCRouteMatch): number[] {
  const { method } = match;
  const regex = method?.type === 'RegularExpression';
  const of = (wanted: string | undefined): number[] => (wanted === undefined ? [0, 0] : [regex ? 1 : 2, wanted.length]);
  return [...of(method?.service), ...of(method?.method), distinctHeaders(match).length];
}

function keyOf({ metadata }: Route): string {
  return `${metadata!.namespace}/${metadata!.name}`;
}
