// The filters that HTTPRoutes alone have: RequestRedirect, URLRewrite and CORS.
import { create } from '@bufbuild/protobuf';
import { CorsSchema, type Filter, FilterSchema, RedirectSchema, RewriteSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { quote } from '#core/text/printable.ts';
import { entriesOf, fieldsOf, isAbsent, isInteger, isMap, listOf, portOf, textOf } from '#objects/fields.ts';
import type { CorsFilter, RequestRedirectFilter, RouteFilter, RouteRule } from '#objects/route.ts';
import { SHARED_FILTERS } from '../filters.ts';
import type { Findings } from '../findings.ts';
import { MOST_CORS_ENTRIES } from '../limits.ts';
import { wordOf } from '../string-match.ts';
import type { RouteTraits } from '../traits.ts';
import { translatePathModifier } from './paths.ts';

const STATUSES = [301, 302, 303, 307, 308];
const SCHEMES = ['http', 'https'] as const;
/** PreciseHostname of the Gateway API, without its wildcard. */
const HOSTNAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LONGEST_HOSTNAME = 253;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** An origin (RFC 6454 §7), or one whose host begins with a wildcard, as the CRD has them; or any. */
const ORIGIN = /^(?:\*|[a-z][a-z0-9+.-]*:\/\/(?:\*|(?:\*\.)?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?)(?::(?:\*|[0-9]{1,5}))?)$/;
/** HTTPCORSFilter.maxAge. */
const USUAL_MAX_AGE = 5;
const INT32 = 2_147_483_647;

export const HTTP_FILTERS: RouteTraits['filters'] = {
  ...SHARED_FILTERS,
  RequestRedirect: {
    field: 'requestRedirect',
    translate: ({ requestRedirect: redirect }, where, { rule }, findings) =>
      isMap(redirect) ? translateRedirect(redirect, `${where}.requestRedirect`, rule, findings) : undefined,
  },
  URLRewrite: {
    field: 'urlRewrite',
    translate: ({ urlRewrite: rewrite }, where, { rule }, findings) => {
      if (!isMap(rewrite)) return undefined;
      const at = `${where}.urlRewrite`;
      const hostname = hostnameOf(rewrite.hostname, at, findings);
      const path = translatePathModifier(rewrite.path, rule, `${at}.path`, findings);
      return create(FilterSchema, { kind: { case: 'rewrite', value: create(RewriteSchema, { hostname, path }) } });
    },
  },
  CORS: {
    field: 'cors',
    translate: ({ cors }, where, _context, findings) => (isMap(cors) ? translateCors(cors, `${where}.cors`, findings) : undefined),
  },
};

function translateRedirect(redirect: RequestRedirectFilter, where: string, rule: RouteRule, findings: Findings): Filter {
  const { scheme, hostname, port, path, statusCode } = redirect;
  const status = isAbsent(statusCode) ? 302 : statusCode;
  if (!STATUSES.includes(status)) findings.fault(where, `statusCode ${quote(statusCode)} is not supported (${STATUSES.join(', ')} are)`);
  if (!isAbsent(port) && portOf(port) === undefined) findings.fault(where, `port must be a number from 1 to 65535, not ${quote(port)}`);
  return create(FilterSchema, {
    kind: {
      case: 'redirect',
      value: create(RedirectSchema, {
        scheme: isAbsent(scheme) ? '' : wordOf(scheme, 'scheme', SCHEMES, where, findings),
        hostname: hostnameOf(hostname, where, findings),
        path: translatePathModifier(path, rule, `${where}.path`, findings),
        port: portOf(port) ?? 0,
        status: STATUSES.includes(status) ? status : 302,
      }),
    },
  });
}

function hostnameOf(value: unknown, where: string, findings: Findings): string {
  if (isAbsent(value)) return '';
  const text = textOf(value);
  if (text !== undefined && text.length <= LONGEST_HOSTNAME && HOSTNAME.test(text)) return text;
  findings.fault(where, `${quote(value)} is no hostname: it has small letters, digits, dots and dashes`);
  return '';
}

function translateCors(cors: CorsFilter, where: string, findings: Findings): Filter {
  const texts = (field: 'allowOrigins' | 'allowMethods' | 'allowHeaders' | 'exposeHeaders', form: RegExp, what: string): string[] => {
    const found = listOf(cors[field], field, MOST_CORS_ENTRIES, findings.at(where)).flatMap((entry, i) => {
      const text = textOf(entry);
      if (text !== undefined && form.test(text)) return text;
      findings.fault(`${where}.${field}[${i}]`, `${quote(entry)} is no ${what}`);
      return [];
    });
    if (found.length > 1 && found.includes('*')) findings.fault(where, `${field} has "*" beside others`);
    return found;
  };
  const { allowCredentials, maxAge } = cors;
  if (!isAbsent(allowCredentials) && typeof allowCredentials !== 'boolean')
    findings.fault(where, `allowCredentials must be true or false, not ${quote(allowCredentials)}`);
  const seconds = isAbsent(maxAge) ? USUAL_MAX_AGE : maxAge;
  if (!isInteger(seconds, 1, INT32)) findings.fault(where, `maxAge must be a number of seconds from 1, not ${quote(maxAge)}`);
  return create(FilterSchema, {
    kind: {
      case: 'cors',
      value: create(CorsSchema, {
        allowOrigins: texts('allowOrigins', ORIGIN, 'origin such as https://example.com'),
        allowCredentials: allowCredentials === true,
        allowMethods: texts('allowMethods', TOKEN, 'method'),
        allowHeaders: texts('allowHeaders', TOKEN, 'header name').map((name) => name.toLowerCase()),
        exposeHeaders: texts('exposeHeaders', TOKEN, 'header name'),
        maxAgeSeconds: isInteger(seconds, 1, INT32) ? seconds : USUAL_MAX_AGE,
      }),
    },
  });
}

/** Faults of filters that do not go together, or not with what else the rule has. */
export function judgeTogether({ filters, backendRefs }: RouteRule, findings: Findings): void {
  const ofRule = typesOf(filters);
  const backends = entriesOf(backendRefs);
  if (ofRule.has('RequestRedirect') && backends.length > 0)
    findings.fault('', 'RequestRedirect answers every request: the rule may not have backendRefs', 'IncompatibleFilters');
  for (const [i, types] of [ofRule, ...backends.map((backend) => typesOf(fieldsOf(backend).filters))].entries()) {
    const where = i === 0 ? '' : `backendRefs[${i - 1}]`;
    const clashing = (type: string): boolean => types.has(type) || (i > 0 && ofRule.has(type));
    if ((types.has('RequestRedirect') && clashing('URLRewrite')) || (types.has('URLRewrite') && clashing('RequestRedirect')))
      findings.fault(where, 'RequestRedirect and URLRewrite may not stand together', 'IncompatibleFilters');
    for (const type of ['URLRewrite', 'CORS'])
      if (i > 0 && types.has(type) && ofRule.has(type))
        findings.fault(where, `${type} stands in the rule's filters as well: one of them must go`, 'IncompatibleFilters');
  }
}

function typesOf(filters: RouteFilter[] | undefined): ReadonlySet<unknown> {
  return new Set(entriesOf(filters).map((filter) => fieldsOf(filter).type));
}
