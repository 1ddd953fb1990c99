// compile(): the last of the three pure functions. A Service as the control plane sent it becomes the records that a
// request is served by.
import {
  type Backend,
  type BackendRef,
  type Filter,
  Protocol,
  RouteKind,
  type RouteTable,
  type Rule,
  type Service,
  type ServicePort,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { firstTurn } from '../choose.ts';
import type { BackendRecord, CompiledPort, CompiledTable, HeaderEdit, MirrorRecord, RuleRecord, ServicePortRef } from '../records.ts';
import { indexByMethod, indexByPath } from './candidate-index.ts';
import { compileCandidates } from './candidates.ts';
import { CompileError } from './compile-error.ts';
import { compileEdits } from './edits.ts';
import { compileCors, compileRedirect, compileRetry, compileRewrite } from './http-filters.ts';

const MAX_WEIGHT = 1_000_000;

/**
 * Compiles all ports of a scoped Service, by port number. All or nothing: a sidecar never runs half of a new
 * configuration.
 * @param seed in [0, 1): where the splits of this process start; see firstTurn()
 * @throws CompileError with what cannot be used and where
 */
export function compileService(service: Service, seed = 0): Map<number, CompiledPort> {
  return new Map(service.ports.map((port) => [port.port, compilePort(service, port, seed)]));
}

/** Compiles one port of a scoped Service; see compileService(). */
export function compilePort(service: Service, port: ServicePort, seed = 0): CompiledPort {
  const self = refOf({ namespace: service.namespace, name: service.name, port: port.port });
  const table = port.routes === undefined ? null : compileTable(port.routes, self, seed);
  return {
    service: self,
    table,
    fallback: fallbackRule(self, null),
    headersThatMatter: headersThatMatter(table),
    // A GRPCRoute implies HTTP/2 where nothing else is declared (GEP-1911).
    protocol: table?.kind === 'grpc' && port.protocol === Protocol.UNSPECIFIED ? Protocol.HTTP2 : port.protocol,
  };
}

/**
 * A port without rules, whose calls go to its own endpoints: of a pod that is called directly, or of our own
 * application.
 * @param requestEdits made to each call; null: none
 */
export function plainPort(self: ServicePortRef, requestEdits: readonly HeaderEdit[] | null = null): CompiledPort {
  const headersThatMatter = new Set((requestEdits ?? []).map(({ name }) => name));
  return { service: self, table: null, fallback: fallbackRule(self, requestEdits), headersThatMatter, protocol: Protocol.UNSPECIFIED };
}

function fallbackRule(self: ServicePortRef, requestEdits: readonly HeaderEdit[] | null): RuleRecord {
  const backend: BackendRecord = {
    ref: self,
    weight: 1,
    invalid: '',
    requestEdits,
    responseEdits: null,
    mirrors: [],
    rewrite: null,
    redirect: null,
    cors: null,
  };
  return {
    route: null,
    index: 0,
    name: '',
    invalid: '',
    redirect: null,
    cors: null,
    requestTimeoutMs: 0,
    backendTimeoutMs: 0,
    retry: null,
    backends: [backend],
    cumulative: [1],
    totalWeight: 1,
    mirrors: [],
    traceSampling: -1,
    turn: 0,
  };
}

function compileTable(routes: RouteTable, self: ServicePortRef, seed: number): CompiledTable {
  const kind = routes.kind === RouteKind.GRPC ? 'grpc' : routes.kind === RouteKind.HTTP ? 'http' : undefined;
  if (kind === undefined) throw new CompileError(`${self.key}: this sidecar does not serve routes of kind ${routes.kind}`);
  const rules = routes.rules.map((rule, i) => compileRule(rule, i, self, seed));
  const candidates = compileCandidates(routes, kind, rules, self.key);
  return kind === 'grpc'
    ? { kind, rules, candidates, ...indexByMethod(candidates) }
    : { kind, rules, candidates, ...indexByPath(candidates) };
}

function compileRule(rule: Rule, position: number, self: ServicePortRef, seed: number): RuleRecord {
  const route = rule.route;
  if (route === undefined) throw new CompileError(`${self.key}: rule ${position} names no route`);
  const what = `${route.kind} ${route.namespace}/${route.name} rule ${rule.index}`;
  const key = `${self.key} ${what}`;
  const responseEdits = compileEdits(rule.filters, 'responseHeaders', what);
  const redirect = compileRedirect(rule.filters, orNull(responseEdits), what);
  const backends = rule.backends
    .filter(({ weight }) => weight !== 0)
    .map((backend, i) => compileBackend(rule, backend, what, `${key} ${i}`, seed));
  const cumulative: number[] = [];
  let totalWeight = 0;
  for (const { weight } of backends) cumulative.push((totalWeight += weight));
  return {
    route: { kind: route.kind, namespace: route.namespace, name: route.name },
    index: rule.index,
    name: rule.name,
    invalid: rule.invalid !== '' ? rule.invalid : totalWeight === 0 && redirect === null ? noBackend(rule) : '',
    redirect,
    cors: compileCors(rule.filters, what),
    requestTimeoutMs: rule.requestTimeoutMs,
    backendTimeoutMs: rule.backendTimeoutMs,
    retry: compileRetry(rule.retry),
    backends,
    cumulative,
    totalWeight,
    mirrors: compileMirrors(rule.filters, what, key, seed),
    traceSampling: rule.traceSampling ?? -1,
    turn: firstTurn(key, seed),
  };
}

/**
 * All weights zero has no status code in the specification; like a missing backend it is UNAVAILABLE, never another
 * backend's burden.
 */
function noBackend(rule: Rule): string {
  return rule.backends.length === 0 ? 'the rule has no backendRefs' : 'all backendRefs of the rule have weight 0';
}

function compileBackend(rule: Rule, backend: Backend, what: string, key: string, seed: number): BackendRecord {
  const ref = refOf(backend.ref, what);
  if (backend.weight > MAX_WEIGHT) throw new CompileError(`${what}: weight ${backend.weight} of ${ref.key} is above ${MAX_WEIGHT}`);
  const edits = (filters: readonly Filter[], side: 'requestHeaders' | 'responseHeaders') => compileEdits(filters, side, what);
  const requestEdits = [...edits(rule.filters, 'requestHeaders'), ...edits(backend.filters, 'requestHeaders')];
  const responseEdits = [...edits(backend.filters, 'responseHeaders'), ...edits(rule.filters, 'responseHeaders')];
  return {
    ref,
    weight: backend.weight,
    invalid: backend.invalid,
    requestEdits: orNull(requestEdits),
    responseEdits: orNull(responseEdits),
    mirrors: compileMirrors(backend.filters, what, key, seed),
    rewrite: compileRewrite(backend.filters, what) ?? compileRewrite(rule.filters, what),
    redirect: compileRedirect(backend.filters, orNull(responseEdits), what),
    cors: compileCors(backend.filters, what) ?? compileCors(rule.filters, what),
  };
}

function orNull(edits: HeaderEdit[]): HeaderEdit[] | null {
  return edits.length === 0 ? null : edits;
}

/**
 * The mirrors among filters. One that is invalid copies nothing and disturbs nothing. Throws for a filter of unknown
 * kind: skipping it would be silent.
 */
function compileMirrors(filters: readonly Filter[], what: string, key: string, seed: number): MirrorRecord[] {
  const mirrors: MirrorRecord[] = [];
  for (const { kind } of filters) {
    if (kind.case === undefined) throw new CompileError(`${what}: a filter of a kind that this sidecar does not know`);
    if (kind.case !== 'mirror' || kind.value.invalid !== '') continue;
    const { backend, numerator, denominator } = kind.value;
    if (denominator === 0) throw new CompileError(`${what}: a mirror's share has denominator 0`);
    if (numerator === 0) continue;
    const fraction = Math.min(1, numerator / denominator);
    mirrors.push({ backend: refOf(backend, what), fraction, turn: firstTurn(`${key} mirror ${mirrors.length}`, seed) });
  }
  return mirrors;
}

function headersThatMatter(table: CompiledTable | null): ReadonlySet<string> {
  const names = new Set<string>();
  if (table === null) return names;
  for (const candidate of table.candidates) for (const { name } of candidate.headers) names.add(name);
  for (const rule of table.rules) {
    for (const backend of rule.backends) {
      for (const { name } of [...(backend.requestEdits ?? []), ...(backend.responseEdits ?? [])]) names.add(name);
    }
  }
  return names;
}

function refOf(ref: Pick<BackendRef, 'namespace' | 'name' | 'port'> | undefined, what = ''): ServicePortRef {
  if (ref === undefined) throw new CompileError(`${what}: a backend names no Service`);
  const { namespace, name, port } = ref;
  return { namespace, name, port, key: `${namespace}/${name}:${port}` };
}
