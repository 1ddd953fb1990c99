// Filters of a rule or backendRef. One that cannot be run as written is never skipped, as the API demands
// (GRPCRouteFilter.type): the rule is at fault, and its calls fail.
import { create } from '@bufbuild/protobuf';
import { type Filter, FilterSchema, type Mirror, MirrorSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { didYouMean } from '#core/text/nearest.ts';
import { quote, sentence } from '#core/text/printable.ts';
import { isAbsent, isInteger, isMap, listOf, textOf } from '#objects/fields.ts';
import type { RequestMirrorFilter, RouteFilter } from '#objects/route.ts';
import { resolveReference } from './backends.ts';
import type { Findings } from './findings.ts';
import { translateHeaderModifier } from './header-modifier.ts';
import { LONGEST_REASON, MOST_FILTERS } from './limits.ts';
import type { FilterContext, RouteContext, RouteTraits } from './traits.ts';

const REPEATABLE: ReadonlySet<string> = new Set(['RequestMirror', 'ExtensionRef']);
const INT32 = 2_147_483_647;

/** The filters that every kind of route has. ExtensionRef is one too, but no extension is known to Weft. */
export const SHARED_FILTERS: RouteTraits['filters'] = {
  RequestHeaderModifier: {
    field: 'requestHeaderModifier',
    translate: ({ requestHeaderModifier: modifier }, where, { traits }, findings) =>
      isMap(modifier)
        ? create(FilterSchema, { kind: { case: 'requestHeaders', value: translateHeaderModifier(modifier, where, traits, findings) } })
        : undefined,
  },
  ResponseHeaderModifier: {
    field: 'responseHeaderModifier',
    translate: ({ responseHeaderModifier: modifier }, where, { traits }, findings) =>
      isMap(modifier)
        ? create(FilterSchema, { kind: { case: 'responseHeaders', value: translateHeaderModifier(modifier, where, traits, findings) } })
        : undefined,
  },
  RequestMirror: {
    field: 'requestMirror',
    translate: ({ requestMirror: mirror }, where, context, findings) =>
      isMap(mirror)
        ? create(FilterSchema, { kind: { case: 'mirror', value: translateMirror(mirror, where, context, findings) } })
        : undefined,
  },
};

/**
 * The filters of a list, in its order.
 * @param where "" for the rule's, "backendRefs[2]" for a backend's
 */
export function translateFilters(filters: RouteFilter[] | undefined, where: string, context: FilterContext, findings: Findings): Filter[] {
  const seen = new Set<string>();
  const prefix = where === '' ? '' : `${where}.`;
  return listOf(filters, 'filters', MOST_FILTERS, findings.at(where)).flatMap((filter, i) => {
    const at = `${prefix}filters[${i}]`;
    if (!isMap(filter)) {
      findings.fault(at, `must be a map, not ${quote(filter)}`);
      return [];
    }
    const type = textOf(filter.type);
    if (type !== undefined && !REPEATABLE.has(type) && seen.has(type)) {
      findings.fault(at, `${quote(type)} may stand once in a list of filters`, 'IncompatibleFilters');
      return [];
    }
    if (type !== undefined) seen.add(type);
    return translateFilter(filter, type, at, context, findings) ?? [];
  });
}

function translateFilter(
  filter: RouteFilter,
  type: string | undefined,
  where: string,
  context: FilterContext,
  findings: Findings,
): Filter | undefined {
  if (type === 'ExtensionRef') {
    findings.fault(where, `ExtensionRef ${quote(filter.extensionRef?.kind)} ${quote(filter.extensionRef?.name)} is not known to this mesh`);
    return undefined;
  }
  const { kind, filters } = context.traits;
  const known = type !== undefined && Object.hasOwn(filters, type) ? filters[type] : undefined;
  if (known === undefined) {
    const supported = Object.keys(filters);
    const hint = type === undefined ? '' : didYouMean(type, supported);
    findings.fault(where, `filters of type ${quote(filter.type)} are not supported in ${kind}s (${supported.join(', ')} are)${hint}`);
    return undefined;
  }
  for (const field of [...Object.values(filters).map(({ field }) => field), 'extensionRef'] as const) {
    if (field !== known.field && !isAbsent(filter[field])) findings.fault(where, `has "${field}" although its type is ${type}`);
  }
  const translated = known.translate(filter, where, context, findings);
  if (translated === undefined) findings.fault(where, `a filter of type ${type} must have "${known.field}"`);
  return translated;
}

/** A mirror that leads nowhere copies nothing, and the calls themselves go on (HTTPRequestMirrorFilter.backendRef). */
function translateMirror(mirror: RequestMirrorFilter, where: string, context: RouteContext, findings: Findings): Mirror {
  const { ref, fault } = resolveReference(mirror.backendRef, context);
  if (fault !== undefined) findings.reference(`${where}.requestMirror`, fault);
  const share = shareOf(mirror, `${where}.requestMirror`, findings);
  return create(MirrorSchema, { backend: ref, ...share, invalid: sentence(fault?.message ?? '', LONGEST_REASON) });
}

function shareOf(mirror: RequestMirrorFilter, where: string, findings: Findings): { numerator: number; denominator: number } {
  const all = { numerator: 100, denominator: 100 };
  const { percent, fraction } = mirror;
  if (!isAbsent(percent) && !isAbsent(fraction)) findings.fault(where, 'has both "percent" and "fraction"');
  else if (!isAbsent(percent)) {
    if (isInteger(percent, 0, 100)) return { numerator: percent, denominator: 100 };
    findings.fault(where, `percent must be a number from 0 to 100, not ${quote(percent)}`);
  } else if (!isAbsent(fraction)) {
    const { numerator, denominator } = isMap(fraction) ? fraction : {};
    const of = isAbsent(denominator) ? 100 : denominator;
    if (!isInteger(of, 1, INT32)) findings.fault(where, `the denominator must be a number above 0, not ${quote(of)}`);
    else if (!isInteger(numerator, 0, of)) findings.fault(where, `the numerator must be a number from 0 to ${of}, not ${quote(numerator)}`);
    else return { numerator, denominator: of };
  }
  return all;
}
