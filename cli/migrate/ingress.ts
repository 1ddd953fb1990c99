// Ingresses → Gateways, HTTPRoutes and GRPCRoutes: a Gateway per namespace and class, a route per Ingress and host. Pure.
import { fieldsOf, textOf } from '#objects/fields.ts';
import { type Draft, GATEWAY_API, Notes } from './draft.ts';
import type { Canary } from './ingress-annotations.ts';
import { canaryRules } from './ingress-canary.ts';
import { type GatewayHost, gatewayDraft } from './ingress-gateway.ts';
import { type TranslatedPath, translatePath } from './ingress-path.ts';
import { type IngressPath, listenerOf, type ReadIngress, readIngress } from './ingress-source.ts';
import { grpcMethodOf, joinName, mapsOf, type Sources, slugOf, sourceName } from './sources.ts';

const MOST_RULES = 16;

/** @param gatewayClass of the new Gateways */
export function migrateIngresses({ ingresses, services }: Sources, gatewayClass: string): Draft[] {
  const read = ingresses.map((source) => readIngress(source, services));
  const groups = new Map<string, ReadIngress[]>();
  for (const ingress of read) {
    const key = `${ingress.source.namespace}/${ingress.className}`;
    groups.set(key, [...(groups.get(key) ?? []), ingress]);
  }
  return [...groups.values()].flatMap((group) => {
    const gateway = group[0].className || 'ingress';
    const stable = group.filter(({ behaviour }) => behaviour.canary === undefined);
    const canaries = group.filter(({ behaviour }) => behaviour.canary !== undefined);
    const used = new Set<IngressPath>();
    const routes = stable.flatMap((ingress) => routesOf(ingress, gateway, canaries, used));
    const lost = canaries.flatMap((ingress) => lostCanary(ingress, used));
    return [gatewayDraft(gateway, gatewayClass, group, hostsOf(group)), ...routes, ...lost];
  });
}

/** Each host with a certificate that some Ingress has for it. */
function hostsOf(group: readonly ReadIngress[]): GatewayHost[] {
  const hosts = new Map<string, GatewayHost>();
  for (const { certificates } of group) for (const [host, secret] of certificates) if (!hosts.has(host)) hosts.set(host, { host, secret });
  return [...hosts.values()];
}

function routesOf(ingress: ReadIngress, gateway: string, canaries: readonly ReadIngress[], used: Set<IngressPath>): Draft[] {
  const { source, behaviour, paths, fallback, certificates } = ingress;
  const hosts = [...new Set(paths.map(({ host }) => host))];
  if (fallback !== undefined && !hosts.includes('')) hosts.push('');
  return hosts.flatMap((host, i) => {
    // What belongs to the whole Ingress is said once.
    const notes = i === 0 ? ingress.notes : new Notes();
    const name = hosts.length === 1 ? source.name : joinName(source.name, slugOf(host));
    const from = [sourceName(source)];
    const rules = paths.filter((path) => path.host === host).flatMap((path) => rulesOf(ingress, path, canaries, used, from, notes));
    if (fallback !== undefined && !rules.some(({ isCatchAll }) => isCatchAll))
      rules.push({ isCatchAll: true, rule: { backendRefs: [fallback], ...behaviour.rule } });
    if (behaviour.appRoot !== undefined) rules.unshift({ isCatchAll: false, rule: appRootRule(behaviour.appRoot) });
    const isGrpc = behaviour.backendProtocol.startsWith('GRPC');
    if (behaviour.backendProtocol !== 'HTTP' && behaviour.backendProtocol !== 'GRPC')
      notes.leftOut(
        `backend-protocol ${behaviour.backendProtocol}: write a BackendTLSPolicy for the Service, which says how its certificate is checked; nginx does not check it by default`,
      );
    const hostnames = [host, ...behaviour.aliases].filter((each) => each !== '');
    const secure = [
      ...new Set(
        [host, ...hostnames].flatMap((each) => (certificates.has(each) ? listenerOf(each) : certificates.has('') ? listenerOf('') : [])),
      ),
    ];
    const parents = (sections: readonly string[]): object[] => sections.map((sectionName) => ({ name: gateway, sectionName }));
    const route = (routeName: string, kind: string, sections: readonly string[], body: readonly object[], said: Notes): Draft => ({
      object: {
        apiVersion: GATEWAY_API,
        kind,
        metadata: { name: routeName, namespace: source.namespace },
        spec: { parentRefs: parents(sections), hostnames: hostnames.length === 0 ? undefined : hostnames, rules: body },
      },
      from,
      notes: said.all,
    });
    const redirects = secure.length > 0 && behaviour.sslRedirect !== null;
    const body = rules.map(({ rule }) => (isGrpc ? grpcRule(rule, notes) : rule)).filter((rule) => rule !== null);
    if (body.length > MOST_RULES)
      notes.differs(`it has ${body.length} rules, of which a route may have ${MOST_RULES}: make several routes of it`);
    const main = route(name, isGrpc ? 'GRPCRoute' : 'HTTPRoute', redirects ? secure : ['http', ...secure], body, notes);
    if (!redirects) return [main];
    const redirect = { filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: behaviour.sslRedirect } }] };
    return [main, route(joinName(name, 'to-https'), 'HTTPRoute', ['http'], [redirect], new Notes())];
  });
}

export interface DraftRule {
  /** It takes every path. */
  readonly isCatchAll: boolean;
  readonly rule: Readonly<Record<string, unknown>>;
}

function rulesOf(
  ingress: ReadIngress,
  path: IngressPath,
  canaries: readonly ReadIngress[],
  used: Set<IngressPath>,
  from: string[],
  notes: Notes,
): DraftRule[] {
  const { behaviour } = ingress;
  const target = behaviour.rewriteTarget;
  const translated = translatePath(path.path, path.pathType, { useRegex: behaviour.useRegex, target }, notes);
  if (translated === null) return [];
  const isCatchAll = translated.match.type === 'PathPrefix' && translated.match.value === '/';
  if (behaviour.redirect !== undefined) {
    const filter = redirectFilter(behaviour.redirect, notes);
    return filter === null ? [] : [{ isCatchAll, rule: { matches: [{ path: translated.match }], filters: [filter] } }];
  }
  const found = findCanary(path, canaries);
  const filters = [...behaviour.filters, ...rewriteFilters(translated)];
  const common = { filters: filters.length === 0 ? undefined : filters, ...behaviour.rule };
  if (found === null) return [{ isCatchAll, rule: { matches: [{ path: translated.match }], ...common, backendRefs: [path.backend] } }];
  used.add(found.path);
  const name = sourceName(found.ingress.source);
  if (!from.includes(name)) from.push(name);
  return canaryRules(translated.match, common, path.backend, found.path.backend, found.canary).map((rule) => ({ isCatchAll, rule }));
}

function findCanary(
  path: IngressPath,
  canaries: readonly ReadIngress[],
): { ingress: ReadIngress; path: IngressPath; canary: Canary } | null {
  for (const ingress of canaries) {
    const found = ingress.paths.find((other) => other.host === path.host && other.path === path.path);
    if (found !== undefined) return { ingress, path: found, canary: ingress.behaviour.canary! };
  }
  return null;
}

/** A canary none of whose paths belongs to another Ingress. */
function lostCanary({ source, paths, notes }: ReadIngress, used: ReadonlySet<IngressPath>): Draft[] {
  const alone = paths.filter((path) => !used.has(path));
  if (alone.length === 0) return [];
  notes.leftOut(`the canary of ${alone.map(({ host, path }) => `${host}${path}`).join(', ')}: no other Ingress has that host and path`);
  return [{ object: null, from: [sourceName(source)], notes: notes.all }];
}

function rewriteFilters({ rewrite }: TranslatedPath): object[] {
  if (rewrite === undefined) return [];
  const { type, value } = rewrite;
  const path = type === 'ReplaceFullPath' ? { type, replaceFullPath: value } : { type, replacePrefixMatch: value };
  return [{ type: 'URLRewrite', urlRewrite: { path } }];
}

function appRootRule(path: string): Record<string, unknown> {
  const requestRedirect = { path: { type: 'ReplaceFullPath', replaceFullPath: path }, statusCode: 302 };
  return { matches: [{ path: { type: 'Exact', value: '/' } }], filters: [{ type: 'RequestRedirect', requestRedirect }] };
}

function redirectFilter({ to, code }: { to: string; code: number }, notes: Notes): object | null {
  if (!URL.canParse(to)) {
    notes.leftOut(`the redirect to ${to}: it is not the whole address of a place`);
    return null;
  }
  const url = new URL(to);
  if (url.search !== '' || url.hash !== '') notes.leftOut(`the query and fragment of the redirect to ${to}`);
  const requestRedirect = {
    scheme: url.protocol.replace(':', ''),
    hostname: url.hostname,
    port: url.port === '' ? undefined : Number(url.port),
    path: url.pathname === '/' ? undefined : { type: 'ReplaceFullPath', replaceFullPath: url.pathname },
    statusCode: code,
  };
  if (url.pathname === '/') notes.differs(`the redirect to ${to} keeps the request's path`);
  return { type: 'RequestRedirect', requestRedirect };
}

/** An HTTP rule as one of a GRPCRoute; null, and a note, where its path is no method. */
function grpcRule(rule: Readonly<Record<string, unknown>>, notes: Notes): Record<string, unknown> | null {
  const { matches, filters, timeouts, retry, ...rest } = rule;
  if (timeouts !== undefined || retry !== undefined) notes.leftOut('timeouts and retries: a GRPCRoute has no such fields');
  const kept = mapsOf(filters).filter(({ type }) => type === 'RequestHeaderModifier');
  if (kept.length < mapsOf(filters).length) notes.leftOut('CORS, rewrites and redirects: a GRPCRoute has no such filters');
  const translated: object[] = [];
  for (const match of mapsOf(matches)) {
    const path = fieldsOf(match.path as Record<string, unknown>);
    const value = textOf(path.value) ?? '/';
    if (path.type === 'RegularExpression') {
      notes.leftOut(`the rule for path ${value}: a GRPCRoute matches services and methods`);
      continue;
    }
    const method = grpcMethodOf(value);
    if (value !== '/' && method === null) notes.leftOut(`the rule for path ${value}: it is not /service or /service/method`);
    else translated.push({ ...(method === null ? {} : { method }), headers: match.headers });
  }
  if (matches !== undefined && translated.length === 0) return null;
  const isAll = translated.every((match) => Object.values(match).every((value) => value === undefined));
  return { matches: isAll ? undefined : translated, filters: kept.length === 0 ? undefined : kept, ...rest };
}
