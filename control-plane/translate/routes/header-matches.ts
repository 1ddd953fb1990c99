// Header matches of a rule, which are the same in routes of every kind.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HeaderMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { isAbsent, isMap, listOf, textOf } from '#objects/fields.ts';
import type { RouteHeaderMatch } from '#objects/route.ts';
import type { Findings } from './findings.ts';
import { headerNameOf } from './header-name.ts';
import { MOST_HEADER_MATCHES } from './limits.ts';
import { matchTypeOf, regexMatch, type StringMatchInit } from './string-match.ts';

export type HeaderMatchInit = Exclude<MessageInitShape<typeof HeaderMatchSchema>, { $typeName: string }>;

const LONGEST_VALUE = 4096;

/** Of equivalent names the first counts and the others are ignored (GRPCHeaderMatch.name, HTTPHeaderMatch.name). */
export function translateHeaderMatches(headers: RouteHeaderMatch[] | undefined, where: string, findings: Findings): HeaderMatchInit[] {
  const translated: HeaderMatchInit[] = [];
  const seen = new Set<string>();
  listOf(headers, 'headers', MOST_HEADER_MATCHES, findings.at(where)).forEach((header, i) => {
    const one = translateHeader(header, `${where}.headers[${i}]`, findings);
    if (one === undefined || seen.has(one.name!)) return;
    seen.add(one.name!);
    translated.push(one);
  });
  return translated;
}

function translateHeader(header: RouteHeaderMatch | null, where: string, findings: Findings): HeaderMatchInit | undefined {
  if (!isMap(header)) {
    findings.fault(where, `must be a map, not ${quote(header)}`);
    return undefined;
  }
  const name = headerNameOf(header.name, where, findings);
  const type = matchTypeOf(header.type, where, findings);
  const value = valueMatch(header.value, type, where, findings);
  return name === undefined ? undefined : value && { name, value };
}

/**
 * The match of a header's or query parameter's value; undefined after noting a fault. @param type undefined: at fault
 */
export function valueMatch(given: unknown, type: string | undefined, where: string, findings: Findings): StringMatchInit | undefined {
  const value = textOf(given);
  if (value === undefined) findings.fault(where, isAbsent(given) ? 'has no value' : `value must be text, not ${quote(given)}`);
  else if (value.length > LONGEST_VALUE) findings.fault(where, `value has ${value.length} characters, at most ${LONGEST_VALUE} are taken`);
  else if (type === 'Exact') return { kind: { case: 'exact', value } };
  else if (type === 'RegularExpression') return regexMatch(value, where, findings);
  return undefined;
}
