// The routes of one group on one Service port, flattened into a table: all matches of all rules, best first (gamma.md §4.5).
import { create } from '@bufbuild/protobuf';
import { type Match, MatchSchema, RouteKind, type RouteTable, RouteTableSchema, type Rule } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { RuleMatch, StringMatchInit } from './grpc/matches.ts';
import type { TranslatedRule } from './rules.ts';

/** How much of a string a match pins down: its kind comes first, then its characters. */
interface Weight {
  readonly kind: 0 | 1 | 2;
  readonly characters: number;
}

interface Entry {
  readonly match: RuleMatch;
  /** Index into the table's rules, which are in the order of their routes. */
  readonly rule: number;
  readonly service: Weight;
  readonly method: Weight;
}

/**
 * Makes the table of routes that are already in the order of compareByAge(). The order of matches is the Gateway API's for GRPCRoutes: most characters
 * of the service, most characters of the method, most headers; then the older route, the first by namespace/name, and the first in the route.
 * Where the specification leaves regular expressions open, a match that names a service (or method) exactly comes before one with a regular
 * expression, that before one without any; among regular expressions the longer one.
 */
export function buildTable(routes: readonly (readonly TranslatedRule[])[]): RouteTable {
  const rules: Rule[] = [];
  const entries: Entry[] = [];
  for (const translated of routes) {
    for (const { rule, matches } of translated) {
      for (const match of matches) entries.push({ match, rule: rules.length, service: weigh(match.service), method: weigh(match.method) });
      rules.push(rule);
    }
  }
  // Entries are in the order of routes, rules and matches already, and the sort is stable: that is the tie-break.
  entries.sort(
    (a, b) => compareWeights(a.service, b.service) || compareWeights(a.method, b.method) || b.match.headers.length - a.match.headers.length,
  );
  return create(RouteTableSchema, { kind: RouteKind.GRPC, rules, matches: entries.map(toMatch) });
}

function toMatch({ match, rule }: Entry): Match {
  const { index, service, method, headers } = match;
  return create(MatchSchema, { rule, index, service, method, headers: [...headers] });
}

function weigh(match: StringMatchInit | undefined): Weight {
  const kind = match?.kind;
  if (kind?.case === undefined) return { kind: 0, characters: 0 };
  return { kind: kind.case === 'exact' ? 2 : 1, characters: kind.value.length };
}

function compareWeights(a: Weight, b: Weight): number {
  return b.kind - a.kind || b.characters - a.characters;
}
