// Why a request meets the rule that it meets: the verdict on every candidate, in words. It makes the same tests as
// findRule(), but all of them.
import { utf8Of } from './latin1.ts';
import { findCandidate, headerValue, judgedValue, methodSlash } from './match.ts';
import type { Candidate, CompiledTable, HeaderList, RouteRefRecord, StringTest } from './records.ts';

/** One condition of a match. */
export interface PartVerdict {
  /** "service", "method" or "header <name>". */
  readonly part: string;
  readonly kind: 'exact' | 'regex';
  readonly wanted: string;
  /** What the request has there, as text; null: nothing. */
  readonly got: string | null;
  readonly holds: boolean;
}

export interface CandidateVerdict {
  readonly candidate: Candidate;
  readonly outcome: 'wins' | 'outranked' | 'no match';
  readonly parts: readonly PartVerdict[];
  /** One short phrase for people. */
  readonly reason: string;
}

export interface MatchExplanation {
  readonly winner: CandidateVerdict | null;
  /** All of them, in the order of precedence. */
  readonly candidates: readonly CandidateVerdict[];
}

/** When a route was created: an RFC 3339 time; null: the route has none; undefined: it is not known here. */
export type CreationTimeOf = (route: RouteRefRecord) => string | null | undefined;

/**
 * Explains findRule(table, headers): its winner is this one's.
 * @param createdAt lets the reasons tell an older route from one that comes first by its name
 */
export function explainMatch(table: CompiledTable, headers: HeaderList, createdAt: CreationTimeOf = () => undefined): MatchExplanation {
  const won = findCandidate(table, headers);
  const winner = won < 0 ? null : table.candidates[won];
  const candidates = table.candidates.map((candidate, i): CandidateVerdict => {
    const parts = partsOf(candidate, headers);
    const missing = parts.filter(({ holds }) => !holds);
    if (missing.length > 0) return { candidate, outcome: 'no match', parts, reason: missing.map(whyNot).join('; ') };
    if (i === won)
      return { candidate, outcome: 'wins', parts, reason: parts.length === 0 ? 'it matches every call' : parts.map(why).join(', ') };
    return { candidate, outcome: 'outranked', parts, reason: winner === null ? '' : whyOutranked(candidate, winner, createdAt) };
  });
  return { winner: won < 0 ? null : candidates[won], candidates };
}

function partsOf(candidate: Candidate, headers: HeaderList): PartVerdict[] {
  const path = headerValue(headers, ':path') ?? '';
  const slash = methodSlash(path);
  const parts: PartVerdict[] = [];
  const judge = (part: string, test: StringTest | null, got: string | null) => {
    if (test === null) return;
    const text = got === null ? null : utf8Of(got);
    parts.push({ part, kind: test.kind, wanted: test.pattern, got: text, holds: got !== null && test.test(got) });
  };
  judge('service', candidate.service, slash < 0 ? null : path.slice(1, slash));
  judge('method', candidate.method, slash < 0 ? null : path.slice(slash + 1));
  for (const wanted of candidate.headers) judge(`header ${wanted.name}`, wanted.value, judgedValue(headers, wanted));
  return parts;
}

function why({ part, kind, wanted }: PartVerdict): string {
  return kind === 'exact' ? `${part} is ${quoted(wanted)}` : `${part} matches ${quoted(wanted)}`;
}

function whyNot({ part, kind, wanted, got }: PartVerdict): string {
  return `${part}: wanted ${kind} ${quoted(wanted)}, request has ${got === null ? 'none' : quoted(got)}`;
}

/**
 * Where the loser falls behind in the order of precedence of GRPCRoutes: service, method, number of headers, age, name,
 * order (Gateway API, GRPCRouteRule.matches).
 */
function whyOutranked(loser: Candidate, winner: Candidate, createdAt: CreationTimeOf): string {
  if (loser.rule === winner.rule) return 'matches too, but an earlier match of the same rule already does';
  for (const part of ['service', 'method'] as const) {
    const less = whyLess(part, loser[part], winner[part]);
    if (less !== '') return `matches too, but ${less}`;
  }
  if (loser.headers.length < winner.headers.length) {
    return `matches too, but has fewer header matches (${loser.headers.length} against ${winner.headers.length})`;
  }
  const loserRoute = loser.rule.route;
  const winnerRoute = winner.rule.route;
  if (
    loserRoute === null ||
    winnerRoute === null ||
    (loserRoute.namespace === winnerRoute.namespace && loserRoute.name === winnerRoute.name)
  ) {
    return 'matches too, but stands below the winner in its route';
  }
  const [loserTime, winnerTime] = [createdAt(loserRoute), createdAt(winnerRoute)];
  if (loserTime === undefined || winnerTime === undefined)
    return "matches too, but the winner's route is older, or comes first by its name";
  return loserTime === winnerTime
    ? "matches too, but the winner's route comes first by its name (they are equally old)"
    : `matches too, but the winner's route is older (${winnerTime ?? 'no time'} against ${loserTime ?? 'no time'})`;
}

/** How a part of the loser says less than the winner's; '' where it does not. */
function whyLess(part: 'service' | 'method', loser: StringTest | null, winner: StringTest | null): string {
  if (winner === null) return '';
  if (loser === null) return `names no ${part}`;
  if (loser.kind === 'regex' && winner.kind === 'exact') return `its ${part} is a regular expression, the winner's is exact`;
  if (loser.kind === winner.kind && loser.pattern.length < winner.pattern.length) return `its ${part} has fewer characters`;
  return '';
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
