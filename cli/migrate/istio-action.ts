// What a rule of an Istio VirtualService does, as filters and fields of a route's rule. Pure.
import { fieldsOf, isMap, textOf } from '#objects/fields.ts';
import type { Notes } from './draft.ts';
import { mapsOf, type SourceObject, type Sources, servicePortOf, speaksGrpc, textsOf } from './sources.ts';

export interface Action {
  readonly filters: readonly Readonly<Record<string, unknown>>[];
  readonly backendRefs: readonly Readonly<Record<string, unknown>>[];
  /** The Services of all destinations say that gRPC is spoken on their ports. */
  readonly isGrpc: boolean;
  readonly timeouts?: object;
  readonly retry?: object;
}

/** What of `retryOn` are statuses (Envoy's words). */
const RETRY_CODES: Readonly<Record<string, readonly number[]>> = {
  '5xx': [500, 502, 503, 504],
  'gateway-error': [502, 503, 504],
  'retriable-4xx': [409],
};

/** @returns null, and a note, for a rule that must not become one */
export function translateAction(
  rule: Readonly<Record<string, unknown>>,
  of: SourceObject,
  services: Sources['services'],
  notes: Notes,
): Action | null {
  for (const field of ['delegate', 'directResponse'] as const) {
    if (rule[field] === undefined) continue;
    notes.leftOut(`a rule with ${field}: the Gateway API has no such thing`);
    return null;
  }
  if (rule.fault !== undefined) notes.leftOut('fault: the Gateway API has no faults to inject; its rule goes on without');
  const filters: Record<string, unknown>[] = [...headerFilters(rule.headers)];
  const redirect = fieldsOf(rule.redirect as Record<string, unknown>);
  if (isMap(rule.redirect)) filters.push(redirectFilter(redirect, notes));
  const rewrite = isMap(rule.rewrite) ? rewriteFilter(rule.rewrite, rule, notes) : null;
  if (rewrite !== null) filters.push(rewrite);
  if (isMap(rule.corsPolicy)) filters.push(corsFilter(rule.corsPolicy, notes));
  for (const mirror of [
    ...(isMap(rule.mirror) ? [{ destination: rule.mirror, percentage: rule.mirrorPercentage }] : []),
    ...mapsOf(rule.mirrors),
  ]) {
    const backendRef = destinationOf(mirror.destination, of, services, notes);
    const percent = Number(fieldsOf(mirror.percentage as Record<string, unknown>).value ?? 100);
    if (backendRef !== null) filters.push({ type: 'RequestMirror', requestMirror: { backendRef, ...shareOf(percent) } });
  }
  const routes = mapsOf(rule.route);
  let isGrpc = routes.length > 0;
  const backendRefs = routes.flatMap((route) => {
    const backend = destinationOf(route.destination, of, services, notes);
    if (backend === null) return [];
    isGrpc &&= speaksGrpc(services.get(keyOfDestination(route.destination, of)), Number(backend.port));
    const own = headerFilters(route.headers);
    const weight = typeof route.weight === 'number' ? route.weight : routes.length > 1 ? 0 : undefined;
    return [{ ...backend, weight, filters: own.length === 0 ? undefined : own }];
  });
  if (backendRefs.length < routes.length) return null;
  return { filters, backendRefs, isGrpc, ...timesOf(rule, notes) };
}

/** A destination as backendRef. @returns null, and a note, when the number of its port is not known */
export function destinationOf(
  destination: unknown,
  of: SourceObject,
  services: Sources['services'],
  notes: Notes,
): Record<string, unknown> | null {
  const { host, subset, port } = fieldsOf(destination as Record<string, unknown>);
  const service = serviceOfHost(textOf(host) ?? '', of.namespace);
  if (service === null) {
    notes.leftOut(`destination ${textOf(host) ?? ''}: it is no Service of the cluster`);
    return null;
  }
  const key = `${service.namespace}/${service.name}`;
  const number = fieldsOf(port as Record<string, unknown>).number ?? servicePortOf(services.get(key));
  if (typeof number !== 'number') {
    notes.leftOut(
      `a rule to ${key}: the number of its port is needed: give the Service too (kubectl get virtualservice,destinationrule,service -o yaml)`,
    );
    return null;
  }
  if (service.namespace !== of.namespace)
    notes.differs(`the backend ${key}: a ReferenceGrant in namespace ${service.namespace} has to allow it`);
  const name = textOf(subset) === undefined ? service.name : `${service.name}-${textOf(subset)}`;
  return { name, namespace: service.namespace === of.namespace ? undefined : service.namespace, port: number };
}

function keyOfDestination(destination: unknown, of: SourceObject): string {
  const { host } = fieldsOf(destination as Record<string, unknown>);
  const service = serviceOfHost(textOf(host) ?? '', of.namespace);
  return service === null ? '' : `${service.namespace}/${service.name}`;
}

/** "reviews", "reviews.shop", "reviews.shop.svc.cluster.local"; null: something else. */
export function serviceOfHost(host: string, namespace: string): { namespace: string; name: string } | null {
  const match = /^([a-z0-9-]+)(?:\.([a-z0-9-]+)(?:\.svc(?:\..+)?)?)?$/.exec(host);
  return match === null ? null : { name: match[1], namespace: match[2] ?? namespace };
}

function headerFilters(headers: unknown): Record<string, unknown>[] {
  const { request, response } = fieldsOf(headers as Record<string, unknown>);
  const filter = (value: unknown, type: string, field: string): Record<string, unknown>[] => {
    const { set, add, remove } = fieldsOf(value as Record<string, unknown>);
    const list = (map: unknown): object[] | undefined =>
      isMap(map) ? Object.entries(map).map(([name, text]) => ({ name, value: String(text) })) : undefined;
    const edits = { set: list(set), add: list(add), remove: textsOf(remove).length === 0 ? undefined : textsOf(remove) };
    return Object.values(edits).every((edit) => edit === undefined) ? [] : [{ type, [field]: edits }];
  };
  return [
    ...filter(request, 'RequestHeaderModifier', 'requestHeaderModifier'),
    ...filter(response, 'ResponseHeaderModifier', 'responseHeaderModifier'),
  ];
}

function redirectFilter(redirect: Readonly<Record<string, unknown>>, notes: Notes): Record<string, unknown> {
  const uri = textOf(redirect.uri);
  if (redirect.derivePort !== undefined)
    notes.differs('redirect.derivePort: the Gateway API takes the port of the scheme, or else of the listener');
  const requestRedirect = {
    scheme: textOf(redirect.scheme),
    hostname: textOf(redirect.authority),
    port: typeof redirect.port === 'number' ? redirect.port : undefined,
    path: uri === undefined ? undefined : { type: 'ReplaceFullPath', replaceFullPath: uri },
    statusCode: typeof redirect.redirectCode === 'number' ? redirect.redirectCode : 301,
  };
  return { type: 'RequestRedirect', requestRedirect };
}

function rewriteFilter(
  rewrite: Readonly<Record<string, unknown>>,
  rule: Readonly<Record<string, unknown>>,
  notes: Notes,
): Record<string, unknown> | null {
  if (rewrite.uriRegexRewrite !== undefined)
    notes.leftOut('rewrite.uriRegexRewrite: only prefixes and whole paths can be replaced; its rule goes on without');
  const uri = textOf(rewrite.uri);
  // Istio replaces what was matched: a prefix, or the whole.
  const matches = mapsOf(rule.match);
  const byPrefix =
    matches.length > 0 && matches.every(({ uri: match }) => textOf(fieldsOf(match as Record<string, unknown>).prefix) !== undefined);
  const path =
    uri === undefined
      ? undefined
      : byPrefix
        ? { type: 'ReplacePrefixMatch', replacePrefixMatch: uri.replace(/(?<=.)\/$/, '') }
        : { type: 'ReplaceFullPath', replaceFullPath: uri };
  const hostname = textOf(rewrite.authority);
  return path === undefined && hostname === undefined ? null : { type: 'URLRewrite', urlRewrite: { hostname, path } };
}

function corsFilter(policy: Readonly<Record<string, unknown>>, notes: Notes): Record<string, unknown> {
  const origins = mapsOf(policy.allowOrigins).flatMap((origin) => {
    const exact = textOf(origin.exact);
    if (exact === undefined)
      notes.leftOut('an origin of corsPolicy by prefix or expression: write it with * in place of a part of its host');
    return exact ?? [];
  });
  const list = (value: unknown): readonly string[] | undefined => (textsOf(value).length === 0 ? undefined : textsOf(value));
  const maxAge = secondsOf(policy.maxAge);
  const cors = {
    allowOrigins: origins,
    allowMethods: list(policy.allowMethods),
    allowHeaders: list(policy.allowHeaders),
    exposeHeaders: list(policy.exposeHeaders),
    allowCredentials: policy.allowCredentials === true ? true : undefined,
    maxAge: maxAge === undefined ? undefined : Math.round(maxAge),
  };
  return { type: 'CORS', cors };
}

/** Whole percents, or a fraction. */
function shareOf(percent: number): object {
  if (percent >= 100) return {};
  return Number.isInteger(percent) ? { percent } : { fraction: { numerator: Math.round(percent * 100), denominator: 10_000 } };
}

function timesOf(rule: Readonly<Record<string, unknown>>, notes: Notes): Pick<Action, 'timeouts' | 'retry'> {
  const retries = fieldsOf(rule.retries as Record<string, unknown>);
  const [request, backendRequest] = [textOf(rule.timeout), textOf(retries.perTryTimeout)];
  const timeouts = request === undefined && backendRequest === undefined ? {} : { timeouts: { request, backendRequest } };
  if (!isMap(rule.retries)) return timeouts;
  const words = (textOf(retries.retryOn) ?? '').split(',').map((word) => word.trim());
  const codes = [...new Set(words.flatMap((word) => (/^[45][0-9]{2}$/.test(word) ? [Number(word)] : (RETRY_CODES[word] ?? []))))];
  notes.differs('retries: the field retry is in the experimental channel up to Gateway API 1.6; connection errors are retried always');
  const attempts = typeof retries.attempts === 'number' ? retries.attempts : undefined;
  return { ...timeouts, retry: { codes: codes.length === 0 ? undefined : codes, attempts } };
}

/** Go's durations, as far as people write them: "24h", "1m30s", "500ms". */
function secondsOf(value: unknown): number | undefined {
  const text = textOf(value);
  if (text === undefined || !/^(?:[0-9.]+(?:h|m|s|ms))+$/.test(text)) return undefined;
  const units: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 0.001 };
  return [...text.matchAll(/([0-9.]+)(ms|h|m|s)/g)].reduce((sum, [, count, unit]) => sum + Number(count) * units[unit], 0);
}
