// Istio's VirtualServices → routes: on Services for the mesh, on Gateways for what comes from outside. Pure.
import { fieldsOf, textOf } from '#objects/fields.ts';
import { type Draft, GATEWAY_API, Notes } from './draft.ts';
import { type Action, destinationOf, serviceOfHost, translateAction } from './istio-action.ts';
import { type HttpMatch, translateMatch } from './istio-match.ts';
import { grpcMethodOf, joinName, mapsOf, type SourceObject, type Sources, sourceName, textsOf } from './sources.ts';

interface Rule extends Action {
  readonly name: string | undefined;
  readonly matches: readonly HttpMatch[] | undefined;
}

const MESH = 'mesh';

export function migrateVirtualService(source: SourceObject, services: Sources['services']): Draft[] {
  const notes = new Notes();
  const { spec, namespace, name } = source;
  const hosts = textsOf(spec.hosts);
  const gateways = textsOf(spec.gateways);
  const rules = mapsOf(spec.http).flatMap((rule) => ruleOf(rule, source, services, notes));
  const from = [sourceName(source)];
  const drafts: Draft[] = [];
  const add = (kind: string, routeName: string, body: object): void => {
    const said = drafts.length === 0 ? notes.all : [];
    drafts.push({ object: { apiVersion: GATEWAY_API, kind, metadata: { name: routeName, namespace }, spec: body }, from, notes: said });
  };
  const isInMesh = gateways.length === 0 || gateways.includes(MESH);
  const parents = isInMesh ? meshParents(hosts, namespace, notes) : [];
  const attached = gateways.filter((gateway) => gateway !== MESH).map((gateway) => gatewayRef(gateway, namespace));
  const suffix = parents.length > 0 && attached.length > 0 ? 'gateway' : '';
  const hostnames = hosts.filter((host) => host !== '*');
  const kind = rules.length > 0 && rules.every(canBeGrpc) ? 'GRPCRoute' : 'HTTPRoute';
  const body = rules.map((rule) => (kind === 'GRPCRoute' ? grpcRule(rule, notes) : httpRule(rule)));
  if (body.length > 0) {
    if (parents.length > 0) add(kind, name, { parentRefs: parents, rules: body });
    if (attached.length > 0)
      add(kind, joinName(name, suffix), { parentRefs: attached, hostnames: hostnames.length === 0 ? undefined : hostnames, rules: body });
  }
  const both = [...parents, ...attached];
  for (const [i, route] of mapsOf(spec.tcp).entries()) {
    if (mapsOf(route.match).some((match) => Object.keys(match).some((field) => field !== 'port' && field !== 'gateways')))
      notes.leftOut('a TCP rule with conditions other than a port: a TCPRoute has none');
    else
      add('TCPRoute', joinName(name, 'tcp', i === 0 ? '' : `${i}`), {
        parentRefs: withPort(both, mapsOf(route.match)),
        rules: [{ backendRefs: destinations(route, source, services, notes) }],
      });
  }
  for (const [i, route] of mapsOf(spec.tls).entries()) {
    const names = [...new Set(mapsOf(route.match).flatMap((match) => textsOf(match.sniHosts)))];
    add('TLSRoute', joinName(name, 'tls', i === 0 ? '' : `${i}`), {
      parentRefs: withPort(both, mapsOf(route.match)),
      hostnames: names,
      rules: [{ backendRefs: destinations(route, source, services, notes) }],
    });
  }
  return drafts.length === 0 ? [{ object: null, from, notes: notes.all }] : [{ ...drafts[0], notes: notes.all }, ...drafts.slice(1)];
}

function meshParents(hosts: readonly string[], namespace: string, notes: Notes): object[] {
  return hosts.flatMap((host) => {
    const service = serviceOfHost(host, namespace);
    if (service === null) {
      notes.leftOut(`host ${host}: in the mesh a route belongs to a Service, and this is none`);
      return [];
    }
    if (service.namespace !== namespace)
      notes.differs(
        `host ${host}: a route on a Service of another namespace holds for clients in ${namespace} alone (GEP-1426, consumer routes)`,
      );
    return [{ group: '', kind: 'Service', name: service.name, namespace: service.namespace === namespace ? undefined : service.namespace }];
  });
}

function gatewayRef(gateway: string, namespace: string): object {
  const [where, name] = gateway.includes('/') ? gateway.split('/') : [namespace, gateway];
  return { name, namespace: where === namespace ? undefined : where };
}

function withPort(parents: readonly object[], matches: readonly Readonly<Record<string, unknown>>[]): object[] {
  const ports = [...new Set(matches.flatMap(({ port }) => (typeof port === 'number' ? [port] : [])))];
  return ports.length === 0 ? [...parents] : parents.flatMap((parent) => ports.map((port) => ({ ...parent, port })));
}

function destinations(
  route: Readonly<Record<string, unknown>>,
  source: SourceObject,
  services: Sources['services'],
  notes: Notes,
): object[] {
  return mapsOf(route.route).flatMap(({ destination, weight }) => {
    const backend = destinationOf(destination, source, services, notes);
    return backend === null ? [] : [{ ...backend, weight: typeof weight === 'number' ? weight : undefined }];
  });
}

function ruleOf(rule: Readonly<Record<string, unknown>>, source: SourceObject, services: Sources['services'], notes: Notes): Rule[] {
  const action = translateAction(rule, source, services, notes);
  if (action === null) return [];
  const wanted = mapsOf(rule.match);
  const matches = wanted.flatMap((match) => translateMatch(match, notes) ?? []);
  // A rule that had conditions must not lose them all.
  if (wanted.length > 0 && matches.length === 0) return [];
  return [{ ...action, name: textOf(rule.name), matches: wanted.length === 0 ? undefined : matches }];
}

/** Whether a GRPCRoute can say it. */
function canBeGrpc({ isGrpc, matches }: Rule): boolean {
  return (
    isGrpc &&
    (matches ?? []).every(
      ({ path, method, queryParams }) =>
        method === undefined && queryParams === undefined && (path === undefined || methodOf(path) !== null),
    )
  );
}

function methodOf(path: NonNullable<HttpMatch['path']>): { service?: string; method?: string } | null {
  if (path.type === 'RegularExpression') return null;
  if (path.value === '/' && path.type === 'PathPrefix') return {};
  const method = grpcMethodOf(path.value);
  return method === null || (path.type === 'Exact') !== (method.method !== undefined) ? null : method;
}

function grpcRule({ name, matches, filters, backendRefs, timeouts, retry }: Rule, notes: Notes): object {
  if (timeouts !== undefined || retry !== undefined) notes.leftOut('timeout and retries: a GRPCRoute has no such fields');
  const kept = filters.filter(({ type }) => ['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror'].includes(String(type)));
  if (kept.length < filters.length) notes.leftOut('redirect, rewrite and corsPolicy: a GRPCRoute has no such filters');
  const translated = matches?.map(({ path, headers }) => {
    const method = path === undefined ? {} : methodOf(path)!;
    return { method: Object.keys(method).length === 0 ? undefined : method, headers };
  });
  const isAll = translated?.every(({ method, headers }) => method === undefined && headers === undefined);
  return { name, matches: isAll ? undefined : translated, filters: kept.length === 0 ? undefined : kept, backendRefs };
}

function httpRule({ name, matches, filters, backendRefs, timeouts, retry }: Rule): object {
  const isRedirect = filters.some(({ type }) => type === 'RequestRedirect');
  return {
    name,
    matches,
    filters: filters.length === 0 ? undefined : filters,
    timeouts,
    retry,
    backendRefs: isRedirect || backendRefs.length === 0 ? undefined : backendRefs,
  };
}

/** Subsets of DestinationRules as Services of their own, which routes can name. */
export function migrateDestinationRule(source: SourceObject, services: Sources['services']): Draft[] {
  const notes = new Notes();
  const from = [sourceName(source)];
  const { spec, namespace } = source;
  const policy = fieldsOf(spec.trafficPolicy as Record<string, unknown>);
  for (const field of Object.keys(policy)) {
    const mode = textOf(fieldsOf(policy.tls as Record<string, unknown>).mode);
    if (field === 'tls' && mode === 'ISTIO_MUTUAL') continue;
    notes.leftOut(
      `trafficPolicy.${field}: ${field === 'tls' ? `between sidecars there is mTLS always; for ${mode ?? 'another mode'} write a BackendTLSPolicy` : "the Gateway API has no such field; balancing and ejection are the mesh's own"}`,
    );
  }
  const host = serviceOfHost(textOf(spec.host) ?? '', namespace);
  const service = host === null ? undefined : services.get(`${host.namespace}/${host.name}`);
  const drafts = mapsOf(spec.subsets).flatMap((subset): Draft[] => {
    const name = textOf(subset.name) ?? '';
    if (subset.trafficPolicy !== undefined) notes.leftOut(`trafficPolicy of subset ${name}: the Gateway API has no such field`);
    if (host === null || service === undefined) {
      notes.leftOut(
        `subset ${name}: it becomes a Service with the ports and the selector of ${textOf(spec.host) ?? ''}: give that Service too`,
      );
      return [];
    }
    const { selector, ports } = service.spec;
    // Numbers of node ports belong to the first Service alone.
    const copied = mapsOf(ports).map(({ nodePort: _, ...port }) => port);
    const object = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: `${host.name}-${name}`, namespace: host.namespace },
      spec: { selector: { ...fieldsOf(selector as object), ...fieldsOf(subset.labels as object) }, ports: copied },
    };
    return [{ object, from, notes: [] }];
  });
  if (drafts.length === 0) return notes.all.length === 0 ? [] : [{ object: null, from, notes: notes.all }];
  return [{ ...drafts[0], notes: notes.all }, ...drafts.slice(1)];
}
