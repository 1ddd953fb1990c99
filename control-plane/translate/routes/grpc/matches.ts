// Matches of a GRPCRoute rule: method and headers (GRPCRouteMatch). A match that cannot be understood matches nothing,
// and its rule is at fault.
import { quote } from '#core/text/printable.ts';
import { fieldsOf, isAbsent, isMap, listOf, textOf } from '#objects/fields.ts';
import type { GRPCRouteMatch } from '#objects/grpc-route.ts';
import type { Findings } from '../findings.ts';
import { type HeaderMatchInit, translateHeaderMatches } from '../header-matches.ts';
import { matchTypeOf, regexMatch, type StringMatchInit } from '../string-match.ts';
import type { RuleMatch } from '../traits.ts';

type MethodMatch = { readonly service: StringMatchInit | undefined; readonly method: StringMatchInit | undefined };

const LONGEST_NAME = 1024;
// The CRD's own rules for exact names; anything else could never be part of a gRPC path.
const SERVICE_NAME = /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i;
const METHOD_NAME = /^[a-z_][a-z_0-9]*$/i;

/**
 * The matches of a rule that can be understood. A rule without matches matches every call, as an empty match does.
 * @param most how many are read
 */
export function translateGrpcMatches(matches: unknown, findings: Findings, most: number): RuleMatch[] {
  if (isAbsent(matches) || (Array.isArray(matches) && matches.length === 0)) return [everything];
  // Of another type than a list: a fault is noted, and it stands for no match rather than for all.
  return listOf(matches as GRPCRouteMatch[], 'matches', most, findings.at('')).flatMap(
    (match, index) => translateMatch(match, index, findings) ?? [],
  );
}

const NO_METHOD: MethodMatch = { service: undefined, method: undefined };
const everything = ranked(0, NO_METHOD, []);

function translateMatch(match: GRPCRouteMatch | null, index: number, findings: Findings): RuleMatch | undefined {
  const where = `matches[${index}]`;
  const faultsBefore = findings.rule.length;
  if (!isMap(match)) findings.fault(where, `must be a map, not ${quote(match)}`);
  const { method, headers } = fieldsOf(match);
  const path = translateMethod(method, `${where}.method`, findings);
  const headerMatches = translateHeaderMatches(headers, where, findings);
  return findings.rule.length > faultsBefore ? undefined : ranked(index, path, headerMatches);
}

function translateMethod(matched: GRPCRouteMatch['method'], where: string, findings: Findings): MethodMatch {
  if (isAbsent(matched)) return NO_METHOD;
  if (!isMap(matched)) {
    findings.fault(where, `must be a map, not ${quote(matched)}`);
    return NO_METHOD;
  }
  const { service, method } = matched;
  const type = matchTypeOf(matched.type, where, findings);
  if (type === undefined) return NO_METHOD;
  if (isAbsent(service) && isAbsent(method)) findings.fault(where, 'names neither a service nor a method');
  return {
    service: nameMatch(service, type, SERVICE_NAME, `${where}.service`, findings),
    method: nameMatch(method, type, METHOD_NAME, `${where}.method`, findings),
  };
}

function nameMatch(value: unknown, type: string, form: RegExp, where: string, findings: Findings): StringMatchInit | undefined {
  if (isAbsent(value)) return undefined;
  const text = textOf(value);
  if (text === undefined || text === '') findings.fault(where, `must be a name, not ${quote(value)}`);
  else if (type === 'RegularExpression') return regexMatch(text, where, findings);
  else if (text.length > LONGEST_NAME) findings.fault(where, `has ${text.length} characters, at most ${LONGEST_NAME} are taken`);
  else if (text.includes('/')) findings.fault(where, `${quote(text)} has a slash: "service" and "method" are two fields`);
  else if (!form.test(text)) findings.fault(where, `${quote(text)} is no such name in gRPC (for a pattern, set type to RegularExpression)`);
  else return { kind: { case: 'exact', value: text } };
  return undefined;
}

/** A match as it is sent, with its rank. */
function ranked(index: number, match: MethodMatch, headers: HeaderMatchInit[]): RuleMatch {
  return { index, match: { ...match, headers }, rank: [...weightOf(match.service), ...weightOf(match.method), headers.length] };
}

/**
 * How much of a text a match pins down. The Gateway API's order for GRPCRoutes is: most characters of the service, most
 * characters of the method, most headers (GRPCRouteRule.matches). It leaves regular expressions open: here a match that
 * names a service (or method) exactly comes before one with a regular expression, that before one without any; among
 * regular expressions the longer one.
 */
function weightOf(match: StringMatchInit | undefined): [kind: number, characters: number] {
  const kind = match?.kind;
  if (kind?.case === undefined) return [0, 0];
  return [kind.case === 'exact' ? 2 : 1, kind.value.length];
}
