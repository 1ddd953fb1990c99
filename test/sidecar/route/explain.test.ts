// explainMatch(): its winner is findRule()'s, and each loser is told why.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { expect } from 'chai';
import fc from 'fast-check';
import { type MatchSchema, RouteKind, type RuleSchema, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { compilePort } from '#sidecar/route/compile/compile.ts';
import { type CreationTimeOf, explainMatch } from '#sidecar/route/explain.ts';
import { findRule } from '#sidecar/route/match.ts';
import { request, serviceWithTable } from './random-table.ts';

const exact = (value: string) => ({ kind: { case: 'exact' as const, value } });
const regex = (value: string) => ({ kind: { case: 'regex' as const, value } });
const header = (name: string, value: string) => ({ name, value: exact(value) });
const rule = (name: string, index = 0): MessageInitShape<typeof RuleSchema> => ({
  route: { kind: 'GRPCRoute', namespace: 'shop', name },
  index,
});

/** The outcomes and reasons of all candidates for a request to a.S/Get with x-v: 2. */
function explained(
  rules: MessageInitShape<typeof RuleSchema>[],
  matches: MessageInitShape<typeof MatchSchema>[],
  createdAt?: CreationTimeOf,
): string[] {
  const service = create(ServiceSchema, {
    namespace: 'shop',
    name: 'a',
    ports: [{ port: 80, routes: { kind: RouteKind.GRPC, rules, matches } }],
  });
  const { table } = compilePort(service, service.ports[0]);
  const { candidates } = explainMatch(table!, [':path', '/a.S/Get', 'x-v', '2'], createdAt);
  return candidates.map(({ outcome, reason }) => `${outcome}: ${reason}`);
}

describe('explainMatch', () => {
  it('has the winner of findRule, for random tables and requests, and a reason for everyone else', () => {
    const sameWinner = fc.property(serviceWithTable, fc.array(request, { minLength: 10, maxLength: 10 }), (service, requests) => {
      const table = compilePort(service, service.ports[0]).table!;
      for (const headers of requests) {
        const { winner, candidates } = explainMatch(table, headers);
        expect(winner?.candidate.rule ?? null).to.equal(findRule(table, headers));
        expect(candidates.filter(({ outcome }) => outcome === 'wins')).to.deep.equal(winner === null ? [] : [winner]);
        for (const { outcome, reason, parts } of candidates) {
          expect(reason).not.to.equal('');
          expect(parts.every(({ holds }) => holds)).to.equal(outcome !== 'no match');
        }
      }
    });
    fc.assert(sameWinner, { numRuns: 200 });
  });

  it('says what each part wanted and what the request has', () => {
    const matches = [
      { rule: 0, service: exact('a.S'), method: exact('Put') },
      { rule: 0, service: exact('a.S'), headers: [header('x-v', '1'), header('x-user', 'eve')] },
      { rule: 0, service: regex('a\\..*'), headers: [header('x-v', '2')] },
      { rule: 0 },
    ];
    expect(explained([rule('one')], matches)).to.deep.equal([
      'no match: method: wanted exact "Put", request has "Get"',
      'no match: header x-v: wanted exact "1", request has "2"; header x-user: wanted exact "eve", request has none',
      'wins: service matches "a\\\\..*", header x-v is "2"',
      'outranked: matches too, but an earlier match of the same rule already does',
    ]);
    expect(explained([rule('one')], [{ rule: 0 }])).to.deep.equal(['wins: it matches every call']);
  });

  it('names the first step of the precedence at which a loser falls behind', () => {
    const rules = [rule('one'), rule('one', 1), rule('two')];
    const best = { rule: 0, service: exact('a.S'), method: exact('Get'), headers: [header('x-v', '2')] };
    const losers = [
      { rule: 1, service: exact('a.S'), method: exact('Get') },
      { rule: 1, service: exact('a.S'), method: regex('Get') },
      { rule: 1, service: exact('a.S') },
      { rule: 1, service: regex('a.S') },
      { rule: 1 },
      { ...best, rule: 1 },
      { ...best, rule: 2 },
    ];
    expect(explained(rules, [best, ...losers]).slice(1)).to.deep.equal([
      'outranked: matches too, but has fewer header matches (0 against 1)',
      "outranked: matches too, but its method is a regular expression, the winner's is exact",
      'outranked: matches too, but names no method',
      "outranked: matches too, but its service is a regular expression, the winner's is exact",
      'outranked: matches too, but names no service',
      'outranked: matches too, but stands below the winner in its route',
      "outranked: matches too, but the winner's route is older, or comes first by its name",
    ]);
  });

  it('tells age from name where the times are known', () => {
    const rules = [rule('one'), rule('two')];
    const times = (one: string | null, two: string | null) =>
      explained(rules, [{ rule: 0 }, { rule: 1 }], ({ name }) => (name === 'one' ? one : two))[1];
    expect(times('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z')).to.match(/older \(2026-01-01T00:00:00Z against 2026-02-01T00:00:00Z\)$/);
    expect(times(null, null)).to.match(/comes first by its name \(they are equally old\)$/);
  });
});
