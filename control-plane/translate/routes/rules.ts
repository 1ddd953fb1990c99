// The rules of a route under one parent Service: what each matches, does and sends to, and what is wrong with it.
import { create } from '@bufbuild/protobuf';
import { type Backend, BackendSchema, RouteRefSchema, type Rule, RuleSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote, sentence } from '#core/text/printable.ts';
import { readAnnotations } from '#objects/annotations.ts';
import { fieldsOf, isAbsent, isInteger, isMap, listOf, textOf } from '#objects/fields.ts';
import type { Route, RouteBackendRef, RouteRule } from '#objects/route.ts';
import { resolveReference } from './backends.ts';
import { translateFilters } from './filters.ts';
import { Findings, type ReferenceFault, type RuleFault } from './findings.ts';
import { LONGEST_REASON, MOST_BACKENDS, MOST_MATCHES, MOST_RULES } from './limits.ts';
import type { FilterContext, RouteContext, RuleMatch } from './traits.ts';
import { unservedFields, unservedMatches } from './unserved.ts';

export interface TranslatedRule {
  readonly rule: Rule;
  /** Those that could be understood. */
  readonly matches: readonly RuleMatch[];
  /** Not empty: the rule cannot be served; rule.invalid says the same. */
  readonly faults: readonly RuleFault[];
  readonly references: readonly ReferenceFault[];
}

export interface TranslatedRoute {
  readonly rules: readonly TranslatedRule[];
  /** Of the list of rules itself. */
  readonly faults: readonly RuleFault[];
  /** What is ignored, and why; the rules are served all the same. */
  readonly ignored: readonly string[];
}

const MOST_WEIGHT = 1_000_000;

/**
 * Translates all rules. A rule at fault stays in the table without filters and backends: the calls that it surely
 * matches fail, rather than going where its author did not send them; matches that cannot be understood match nothing.
 */
export function translateRules(route: Route, name: string, context: RouteContext): TranslatedRoute {
  const findings = new Findings();
  const ref = create(RouteRefSchema, { kind: context.traits.kind, namespace: context.routeNamespace, name });
  const rules = listOf(fieldsOf(route.spec).rules, 'rules', MOST_RULES, findings.at(''));
  const { traceSampling, mistakes } = readAnnotations(route);
  let matchesLeft = MOST_MATCHES;
  const translated = rules.map((rule, index) => {
    const one = translateRule(rule, index, { route: ref, traceSampling }, matchesLeft, context);
    matchesLeft -= one.matches.length;
    return one;
  });
  const unserved = unservedFields(fieldsOf(route.spec).rules, context.traits.served);
  return { rules: translated, faults: findings.rule, ignored: [...unserved, ...mistakes] };
}

function translateRule(
  rule: RouteRule | null,
  index: number,
  ofRoute: Pick<Rule, 'route' | 'traceSampling'>,
  mostMatches: number,
  context: RouteContext,
): TranslatedRule {
  const findings = new Findings();
  if (!isMap(rule)) findings.fault('', `must be a map, not ${quote(rule)}`);
  const { name, matches, filters, backendRefs } = fieldsOf(rule);
  const ofRule: FilterContext = { ...context, rule: fieldsOf(rule) };
  // What is no rule at all matches nothing; an empty one matches everything.
  const ruleMatches = isMap(rule) ? servedMatches(matches, findings, mostMatches, context) : [];
  const ruleFilters = translateFilters(filters, '', ofRule, findings);
  const backends = listOf(backendRefs, 'backendRefs', MOST_BACKENDS, findings.at('')).map((backend, i) =>
    translateBackend(backend, `backendRefs[${i}]`, ofRule, findings),
  );
  const rest = context.traits.translateRest?.(fieldsOf(rule), findings);
  const invalid = findings.rule.map(({ message }) => message).join('; ');
  return {
    rule: create(RuleSchema, {
      ...ofRoute,
      index,
      name: textOf(name) ?? '',
      ...(invalid === '' ? { filters: ruleFilters, backends, ...rest } : { invalid: sentence(invalid, LONGEST_REASON) }),
    }),
    matches: ruleMatches,
    faults: findings.rule,
    references: findings.references,
  };
}

/** Those of a rule that are understood with all their fields. */
function servedMatches(matches: unknown, findings: Findings, most: number, { traits }: RouteContext): RuleMatch[] {
  const unserved = unservedMatches(matches, traits.served);
  return traits.translateMatches(matches, findings, most).filter(({ index }) => {
    const path = unserved.get(index);
    if (path !== undefined) findings.fault(path, 'is not served, and without it the match would match more: it matches nothing');
    return path === undefined;
  });
}

function translateBackend(backend: RouteBackendRef | null, where: string, context: FilterContext, findings: Findings): Backend {
  const { ref, fault } = resolveReference(backend, context);
  if (fault !== undefined) findings.reference(where, fault);
  const { weight, filters } = fieldsOf(backend);
  if (!isMap(backend)) findings.fault(where, `must be a map, not ${quote(backend)}`);
  const share = isAbsent(weight) ? 1 : weight;
  const inRange = isInteger(share, 0, MOST_WEIGHT);
  if (!inRange) findings.fault(where, `the weight must be a number from 0 to ${MOST_WEIGHT}, not ${quote(share)}`);
  return create(BackendSchema, {
    ref,
    weight: inRange ? share : 0,
    filters: translateFilters(filters, where, context, findings),
    invalid: sentence(fault?.message ?? '', LONGEST_REASON),
  });
}
