// Matches of a GRPCRoute rule: method and headers (gamma.md §4.8). A match that cannot be understood matches nothing, and its rule is at fault.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HeaderMatchSchema, StringMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { didYouMean } from '#core/text/nearest.ts';
import { quote } from '#core/text/printable.ts';
import { fieldsOf, isAbsent, isMap, listOf, textOf } from '#objects/fields.ts';
import type { GRPCHeaderMatch, GRPCRouteMatch, GRPCRouteRule } from '#objects/grpc-route.ts';
import type { Findings } from '../findings.ts';
import { headerNameOf } from '../header-name.ts';
import { MOST_HEADER_MATCHES } from '../limits.ts';
import { faultOfPattern } from '../pattern.ts';

export type StringMatchInit = Exclude<MessageInitShape<typeof StringMatchSchema>, { $typeName: string }>;
export type HeaderMatchInit = Exclude<MessageInitShape<typeof HeaderMatchSchema>, { $typeName: string }>;

/** One match, not yet in a table. */
export interface RuleMatch {
  /** Position in the rule's matches; 0 for the one that stands for none. */
  readonly index: number;
  readonly service: StringMatchInit | undefined;
  readonly method: StringMatchInit | undefined;
  readonly headers: readonly HeaderMatchInit[];
}

const TYPES = ['Exact', 'RegularExpression'];
const LONGEST_NAME = 1024;
const LONGEST_HEADER_VALUE = 4096;
// The CRD's own rules for exact names; anything else could never be part of a gRPC path.
const SERVICE_NAME = /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i;
const METHOD_NAME = /^[a-z_][a-z_0-9]*$/i;

/**
 * The matches of a rule that can be understood. A rule without matches matches every call, as an empty match does.
 * @param most how many are read
 */
export function translateMatches(matches: GRPCRouteRule['matches'], findings: Findings, most: number): RuleMatch[] {
  if (isAbsent(matches)) return [everything];
  if (Array.isArray(matches) && matches.length === 0) return [everything];
  // Of another type than a list: a fault is noted, and it stands for no match rather than for all.
  return listOf(matches, 'matches', most, findings.at('')).flatMap((match, index) => translateMatch(match, index, findings) ?? []);
}

const everything: RuleMatch = { index: 0, service: undefined, method: undefined, headers: [] };

function translateMatch(match: GRPCRouteMatch | null, index: number, findings: Findings): RuleMatch | undefined {
  const where = `matches[${index}]`;
  const faultsBefore = findings.rule.length;
  if (!isMap(match)) findings.fault(where, `must be a map, not ${quote(match)}`);
  const { method, headers } = fieldsOf(match);
  const path = translateMethod(method, `${where}.method`, findings);
  const headerMatches = translateHeaders(headers, where, findings);
  return findings.rule.length > faultsBefore ? undefined : { index, ...path, headers: headerMatches };
}

function translateMethod(matched: GRPCRouteMatch['method'], where: string, findings: Findings): Pick<RuleMatch, 'service' | 'method'> {
  const none = { service: undefined, method: undefined };
  if (isAbsent(matched)) return none;
  if (!isMap(matched)) {
    findings.fault(where, `must be a map, not ${quote(matched)}`);
    return none;
  }
  const { service, method } = matched;
  const type = typeOf(matched.type, where, findings);
  if (type === undefined) return none;
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

function translateHeaders(headers: GRPCRouteMatch['headers'], where: string, findings: Findings): HeaderMatchInit[] {
  const translated: HeaderMatchInit[] = [];
  const seen = new Set<string>();
  listOf(headers, 'headers', MOST_HEADER_MATCHES, findings.at(where)).forEach((header, i) => {
    const one = translateHeader(header, `${where}.headers[${i}]`, findings);
    // Of equivalent names the first counts and the others are ignored (GRPCHeaderMatch.name).
    if (one === undefined || seen.has(one.name!)) return;
    seen.add(one.name!);
    translated.push(one);
  });
  return translated;
}

function translateHeader(header: GRPCHeaderMatch | null, where: string, findings: Findings): HeaderMatchInit | undefined {
  if (!isMap(header)) {
    findings.fault(where, `must be a map, not ${quote(header)}`);
    return undefined;
  }
  const name = headerNameOf(header.name, where, findings);
  const type = typeOf(header.type, where, findings);
  const value = textOf(header.value);
  if (value === undefined)
    findings.fault(where, isAbsent(header.value) ? 'has no value' : `value must be text, not ${quote(header.value)}`);
  else if (value.length > LONGEST_HEADER_VALUE)
    findings.fault(where, `value has ${value.length} characters, at most ${LONGEST_HEADER_VALUE} are taken`);
  else if (name !== undefined && type === 'Exact') return { name, value: { kind: { case: 'exact', value } } };
  else if (name !== undefined && type === 'RegularExpression') {
    const pattern = regexMatch(value, where, findings);
    return pattern && { name, value: pattern };
  }
  return undefined;
}

function regexMatch(pattern: string, where: string, findings: Findings): StringMatchInit | undefined {
  const fault = faultOfPattern(pattern);
  if (fault === '') return { kind: { case: 'regex', value: pattern } };
  findings.fault(where, `${quote(pattern)}: ${fault}`);
  return undefined;
}

/** The type of a match; Exact where none is said. Unknown ones are a fault and never a guess (UnsupportedValue). */
function typeOf(type: unknown, where: string, findings: Findings): string | undefined {
  if (isAbsent(type)) return 'Exact';
  const text = textOf(type);
  if (text !== undefined && TYPES.includes(text)) return text;
  const hint = text === undefined ? '' : didYouMean(text, TYPES);
  findings.fault(where, `type ${quote(type)} is not supported (${TYPES.join(' or ')} are)${hint}`);
  return undefined;
}
