// The routes of one group on one Service port, flattened into a table: all matches of all rules, best first.
import { create } from '@bufbuild/protobuf';
import { MatchSchema, type RouteKind, type RouteTable, RouteTableSchema, type Rule } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { TranslatedRule } from './rules.ts';
import type { RuleMatch } from './traits.ts';

interface Entry extends RuleMatch {
  /** Index into the table's rules, which are in the order of their routes. */
  readonly rule: number;
}

/**
 * Makes the table of routes of one kind that are already in the order of compareByAge(). The order of matches is the
 * kind's; then the older route, the first by namespace/name, and the first in the route, as the Gateway API has it for
 * every kind (GRPCRouteRule.matches, HTTPRouteRule.matches).
 */
export function buildTable(kind: RouteKind, routes: readonly (readonly TranslatedRule[])[]): RouteTable {
  const rules: Rule[] = [];
  const entries: Entry[] = [];
  for (const translated of routes) {
    for (const { rule, matches } of translated) {
      for (const match of matches) entries.push({ ...match, rule: rules.length });
      rules.push(rule);
    }
  }
  // Entries are in the order of routes, rules and matches already, and the sort is stable: that is the tie-break.
  entries.sort((a, b) => compareRanks(a.rank, b.rank));
  return create(RouteTableSchema, {
    kind,
    rules,
    matches: entries.map(({ match, rule, index }) => create(MatchSchema, { ...match, rule, index })),
  });
}

function compareRanks(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return b[i] - a[i];
  return 0;
}
