// Paths of HTTPRoutes: their form, and what a filter makes of them.
import { create } from '@bufbuild/protobuf';
import { type PathChange, PathChangeSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { entriesOf, fieldsOf, isAbsent, isMap, textOf } from '#objects/fields.ts';
import type { HTTPRouteMatch } from '#objects/http-route.ts';
import type { PathModifier, RouteRule } from '#objects/route.ts';
import type { Findings } from '../findings.ts';
import { wordOf } from '../string-match.ts';

const LONGEST_PATH = 1024;
/** RFC 3986 §3.3, as the CRD has it: anything else could never be a request's path. */
const PATH = /^\/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$/;
/** A path that is only part of another need not begin with a slash. */
const PART_OF_PATH = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$/;
/** What the CRD forbids in paths to match: a client's library would have taken it out. */
const NEVER_THERE = /\/\/|\/\.\.?(?:\/|$)|%2[fF]/;

/** Why a text is no path to match; '': it is one. */
export function faultOfPath(path: string): string {
  if (path.length > LONGEST_PATH) return `has ${path.length} characters, at most ${LONGEST_PATH} are taken`;
  if (!path.startsWith('/')) return 'is no path: it must begin with a slash';
  if (NEVER_THERE.test(path)) return 'has parts that no path to match may have: "//", "/.", "/.." or "%2F"';
  return PATH.test(path) ? '' : 'has characters that no path has (RFC 3986 §3.3)';
}

const TYPES = ['ReplaceFullPath', 'ReplacePrefixMatch'] as const;

/**
 * What a redirect or rewrite makes of the path. A prefix can only be replaced where it is known: in a rule with exactly
 * one match, of type PathPrefix (HTTPPathModifier.replacePrefixMatch).
 */
export function translatePathModifier(
  modifier: PathModifier | undefined,
  rule: RouteRule,
  where: string,
  findings: Findings,
): PathChange | undefined {
  if (isAbsent(modifier)) return undefined;
  if (!isMap(modifier)) {
    findings.fault(where, `must be a map, not ${quote(modifier)}`);
    return undefined;
  }
  const type = wordOf(modifier.type, 'type', TYPES, where, findings);
  if (type === undefined) return undefined;
  const [field, other] =
    type === 'ReplaceFullPath'
      ? (['replaceFullPath', 'replacePrefixMatch'] as const)
      : (['replacePrefixMatch', 'replaceFullPath'] as const);
  if (!isAbsent(modifier[other])) findings.fault(where, `has "${other}" although its type is ${type}`);
  const value = textOf(modifier[field]);
  if (value === undefined) findings.fault(where, `${field} must be text, not ${quote(modifier[field])}`);
  else if (value.length > LONGEST_PATH || !PART_OF_PATH.test(value)) findings.fault(where, `${quote(value)} is no path`);
  else if (type === 'ReplaceFullPath') return create(PathChangeSchema, { kind: { case: 'full', value: withSlash(value) } });
  else {
    const matched = onlyPrefixOf(rule);
    if (matched !== undefined)
      return create(PathChangeSchema, { kind: { case: 'prefix', value: { matched, replacement: withSlash(value) } } });
    findings.fault(where, 'ReplacePrefixMatch needs a rule with exactly one match, whose path is of type PathPrefix');
  }
  return undefined;
}

/** A request's path begins with a slash always. */
function withSlash(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

function onlyPrefixOf({ matches }: RouteRule): string | undefined {
  const list = entriesOf(matches as HTTPRouteMatch[] | undefined);
  if (list.length > 1) return undefined;
  const { path } = fieldsOf(list[0]);
  const { type, value } = fieldsOf(path);
  return isAbsent(type) || type === 'PathPrefix' ? (textOf(value) ?? '/') : undefined;
}
