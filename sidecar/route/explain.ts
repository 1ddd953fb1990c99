// Why a request meets the rule that it meets: the verdict on every candidate, in words. It makes the same tests as
// findRule(), but all of them.
import { utf8Of } from './latin1.ts';
import { askedOf, findCandidate, judgedValue } from './match.ts';
import { queryValue } from './query.ts';
import type { Candidate, CompiledTable, HeaderList, PathTest, RouteRefRecord, StringTest } from './records.ts';

/** One condition of a match. */
export interface PartVerdict {
  /** "service", "path", "method", "query <name>" or "header <name>". */
  readonly part: string;
  readonly kind: 'exact' | 'prefix' | 'regex';
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

function partsOf({ target, headers: wanted }: Candidate, headers: HeaderList): PartVerdict[] {
  const asked = askedOf(headers);
  const parts: PartVerdict[] = [];
  const judge = (part: string, test: StringTest | PathTest | null, got: string | null) => {
    if (test === null) return;
    const text = got === null ? null : utf8Of(got);
    parts.push({ part, kind: test.kind, wanted: test.pattern, got: text, holds: got !== null && test.test(got) });
  };
  if (target.kind === 'grpc') {
    judge('service', target.service, asked.service);
    judge('method', target.method, asked.call);
  } else {
    const { method } = target;
    judge('path', target.path, asked.path);
    if (method !== '') parts.push({ part: 'method', kind: 'exact', wanted: method, got: asked.method, holds: asked.method === method });
  }
  for (const header of wanted) judge(`header ${header.name}`, header.value, judgedValue(headers, header));
  if (target.kind === 'http') for (const { name, value } of target.query) judge(`query ${name}`, value, queryValue(asked.query, name));
  return parts;
}

const VERBS = { exact: 'is', prefix: 'begins with', regex: 'matches' } as const;

function why({ part, kind, wanted }: PartVerdict): string {
  return `${part} ${VERBS[kind]} ${quoted(wanted)}`;
}

function whyNot({ part, kind, wanted, got }: PartVerdict): string {
  return `${part}: wanted ${kind} ${quoted(wanted)}, request has ${got === null ? 'none' : quoted(got)}`;
}

/**
 * Where the loser falls behind in the order of precedence: that of its kind, then age, name, order (Gateway API,
 * GRPCRouteRule.matches and HTTPRouteRule.matches).
 */
function whyOutranked(loser: Candidate, winner: Candidate, createdAt: CreationTimeOf): string {
  if (loser.rule === winner.rule) return 'matches too, but an earlier match of the same rule already does';
  const less = whyLess(loser, winner);
  if (less !== '') return `matches too, but ${less}`;
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

/** How the loser's match says less than the winner's; '' where it does not. */
function whyLess({ target: loser, headers }: Candidate, { target: winner, headers: more }: Candidate): string {
  const fewerHeaders = whyFewer('header', headers.length, more.length);
  if (loser.kind === 'grpc' && winner.kind === 'grpc')
    return whyLooser('service', loser.service, winner.service) || whyLooser('method', loser.method, winner.method) || fewerHeaders;
  if (loser.kind === 'grpc' || winner.kind === 'grpc') return '';
  return (
    whyLooser('path', loser.path, winner.path) ||
    (loser.method === '' && winner.method !== '' ? 'names no method' : '') ||
    fewerHeaders ||
    whyFewer('query', loser.query.length, winner.query.length)
  );
}

const STRICTNESS = { exact: 2, regex: 1, prefix: 0 } as const;
const KIND_NAMES = { exact: 'exact', regex: 'a regular expression', prefix: 'a prefix' } as const;

function whyLooser(part: string, loser: StringTest | PathTest | null, winner: StringTest | PathTest | null): string {
  if (winner === null) return '';
  if (loser === null) return `names no ${part}`;
  if (STRICTNESS[loser.kind] < STRICTNESS[winner.kind])
    return `its ${part} is ${KIND_NAMES[loser.kind]}, the winner's is ${KIND_NAMES[winner.kind]}`;
  return loser.kind === winner.kind && loser.pattern.length < winner.pattern.length ? `its ${part} has fewer characters` : '';
}

function whyFewer(what: string, has: number, against: number): string {
  return has < against ? `has fewer ${what} matches (${has} against ${against})` : '';
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
