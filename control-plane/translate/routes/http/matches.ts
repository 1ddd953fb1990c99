// Matches of an HTTPRoute rule: path, method, headers and query (HTTPRouteMatch). A match that cannot be understood
// matches nothing, and its rule is at fault.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PathMatchSchema, QueryMatchSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { fieldsOf, isAbsent, isMap, listOf, textOf } from '#objects/fields.ts';
import type { HTTPRouteMatch } from '#objects/http-route.ts';
import type { RouteHeaderMatch } from '#objects/route.ts';
import type { Findings } from '../findings.ts';
import { translateHeaderMatches, valueMatch } from '../header-matches.ts';
import { MOST_QUERY_MATCHES } from '../limits.ts';
import { matchTypeOf, regexMatch, wordOf } from '../string-match.ts';
import type { RuleMatch } from '../traits.ts';
import { faultOfPath } from './paths.ts';

type PathMatchInit = Exclude<MessageInitShape<typeof PathMatchSchema>, { $typeName: string }>;
type QueryMatchInit = Exclude<MessageInitShape<typeof QueryMatchSchema>, { $typeName: string }>;

const PATH_TYPES = ['Exact', 'PathPrefix', 'RegularExpression'] as const;
/** HTTPMethod of the Gateway API. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;
/** The form that the CRD gives to a query parameter's name. */
const QUERY_NAME = /^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,256}$/;

/** A match without a path means this one, and so does a rule without matches (HTTPRouteRule.matches). */
const EVERY_PATH: PathMatchInit = { kind: { case: 'prefix', value: '/' } };

/**
 * The matches of a rule that can be understood.
 * @param most how many are read
 */
export function translateHttpMatches(matches: unknown, findings: Findings, most: number): RuleMatch[] {
  if (isAbsent(matches) || (Array.isArray(matches) && matches.length === 0)) return [ranked(0, EVERY_PATH, '', [], [])];
  // Of another type than a list: a fault is noted, and it stands for no match rather than for all.
  return listOf(matches as HTTPRouteMatch[], 'matches', most, findings.at('')).flatMap(
    (match, index) => translateMatch(match, index, findings) ?? [],
  );
}

function translateMatch(match: HTTPRouteMatch | null, index: number, findings: Findings): RuleMatch | undefined {
  const where = `matches[${index}]`;
  const faultsBefore = findings.rule.length;
  if (!isMap(match)) findings.fault(where, `must be a map, not ${quote(match)}`);
  const { path, method, headers, queryParams } = fieldsOf(match);
  const pathMatch = translatePath(path, `${where}.path`, findings);
  const methodMatch = isAbsent(method) ? '' : wordOf(method, 'method', METHODS, where, findings);
  const headerMatches = translateHeaderMatches(headers, where, findings);
  const query = translateQuery(queryParams, where, findings);
  if (findings.rule.length > faultsBefore || pathMatch === undefined || methodMatch === undefined) return undefined;
  return ranked(index, pathMatch, methodMatch, headerMatches, query);
}

function translatePath(path: HTTPRouteMatch['path'], where: string, findings: Findings): PathMatchInit | undefined {
  if (isAbsent(path)) return EVERY_PATH;
  if (!isMap(path)) {
    findings.fault(where, `must be a map, not ${quote(path)}`);
    return undefined;
  }
  const type = isAbsent(path.type) ? 'PathPrefix' : wordOf(path.type, 'type', PATH_TYPES, where, findings);
  const value = isAbsent(path.value) ? '/' : textOf(path.value);
  if (value === undefined) findings.fault(where, `value must be text, not ${quote(path.value)}`);
  if (type === undefined || value === undefined) return undefined;
  if (type === 'RegularExpression') {
    const pattern = regexMatch(value, where, findings)?.kind;
    return pattern?.case === 'regex' ? { kind: { case: 'regex', value: pattern.value } } : undefined;
  }
  const fault = faultOfPath(value);
  if (fault !== '') findings.fault(where, `${quote(value)} ${fault}`);
  return fault === '' ? { kind: { case: type === 'Exact' ? 'exact' : 'prefix', value } } : undefined;
}

/** Names are case-sensitive; of one name the first entry counts (HTTPQueryParamMatch.name). */
function translateQuery(params: RouteHeaderMatch[] | undefined, where: string, findings: Findings): QueryMatchInit[] {
  const translated: QueryMatchInit[] = [];
  const seen = new Set<string>();
  listOf(params, 'queryParams', MOST_QUERY_MATCHES, findings.at(where)).forEach((param, i) => {
    const at = `${where}.queryParams[${i}]`;
    if (!isMap(param)) findings.fault(at, `must be a map, not ${quote(param)}`);
    const { name: given, type: givenType, value: givenValue } = fieldsOf(param);
    const name = textOf(given);
    const value = valueMatch(givenValue, matchTypeOf(givenType, at, findings), at, findings);
    if (name === undefined || !QUERY_NAME.test(name)) findings.fault(at, `${quote(given)} is not the name of a query parameter`);
    else if (value !== undefined && !seen.has(name)) {
      seen.add(name);
      translated.push({ name, value });
    }
  });
  return translated;
}

/**
 * A match as it is sent, with its rank. The Gateway API's order for HTTPRoutes is: an exact path, the longest prefix, a
 * method, most headers, most query parameters (HTTPRouteRule.matches). It leaves the place of regular expressions open:
 * here they stand between exact paths and prefixes, because "/" is a prefix of everything, and the longer one first.
 */
function ranked(
  index: number,
  path: PathMatchInit,
  method: string,
  headers: ReturnType<typeof translateHeaderMatches>,
  query: QueryMatchInit[],
): RuleMatch {
  const { kind } = path;
  const pathRank = kind?.case === 'exact' ? 2 : kind?.case === 'regex' ? 1 : 0;
  return {
    index,
    match: { headers, http: { path, method, query } },
    rank: [pathRank, kind?.value?.length ?? 0, method === '' ? 0 : 1, headers.length, query.length],
  };
}
