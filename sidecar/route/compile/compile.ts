// compile(): the last of the three pure functions. A Service as the control plane sent it becomes the records that a
// request is served by.
import {
  type Backend,
  type BackendRef,
  type Filter,
  type Match,
  Protocol,
  RouteKind,
  type RouteTable,
  type Rule,
  type Service,
  type ServicePort,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { firstTurn } from '../choose.ts';
import type {
  BackendRecord,
  Candidate,
  CompiledPort,
  CompiledTable,
  HeaderEdit,
  HeaderTest,
  MirrorRecord,
  RuleRecord,
  ServicePortRef,
  StringTest,
} from '../records.ts';
import { indexCandidates } from './candidate-index.ts';
import { CompileError } from './compile-error.ts';
import { checkedName, compileEdits } from './edits.ts';
import { compileStringTest } from './string-test.ts';

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
  const backend: BackendRecord = { ref: self, weight: 1, invalid: '', requestEdits, responseEdits: null, mirrors: [] };
  return {
    route: null,
    index: 0,
    name: '',
    invalid: '',
    backends: [backend],
    cumulative: [1],
    totalWeight: 1,
    mirrors: [],
    traceSampling: -1,
    turn: 0,
  };
}

function compileTable(routes: RouteTable, self: ServicePortRef, seed: number): CompiledTable {
  if (routes.kind !== RouteKind.GRPC) {
    throw new CompileError(`${self.key}: this sidecar serves GRPCRoutes, not routes of kind ${routes.kind}`);
  }
  const rules = routes.rules.map((rule, i) => compileRule(rule, i, self, seed));
  const candidates = compileCandidates(routes.matches, rules, self);
  return { kind: 'grpc', rules, candidates, ...indexCandidates(candidates) };
}

function compileRule(rule: Rule, position: number, self: ServicePortRef, seed: number): RuleRecord {
  const route = rule.route;
  if (route === undefined) throw new CompileError(`${self.key}: rule ${position} names no route`);
  const what = `${route.kind} ${route.namespace}/${route.name} rule ${rule.index}`;
  const key = `${self.key} ${what}`;
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
    invalid: rule.invalid !== '' ? rule.invalid : totalWeight === 0 ? noBackend(rule) : '',
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
    requestEdits: requestEdits.length === 0 ? null : requestEdits,
    responseEdits: responseEdits.length === 0 ? null : responseEdits,
    mirrors: compileMirrors(backend.filters, what, key, seed),
  };
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

function compileCandidates(matches: readonly Match[], rules: readonly RuleRecord[], self: ServicePortRef): Candidate[] {
  // Patterns repeat over the matches of a route: each is compiled once.
  const tests = new Map<string, StringTest>();
  const test = (match: Match['service'], what: string): StringTest | null => {
    if (match === undefined) return null;
    const key = `${match.kind.case} ${match.kind.value}`;
    let made = tests.get(key);
    if (made === undefined) tests.set(key, (made = compileStringTest(match, what)));
    return made;
  };
  return matches.map((match) => {
    const rule = rules[match.rule];
    if (rule === undefined) throw new CompileError(`${self.key}: a match points at rule ${match.rule} of ${rules.length}`);
    const { route } = rule;
    const what = `${route?.kind} ${route?.namespace}/${route?.name} rule ${rule.index} match ${match.index}`;
    const headers: HeaderTest[] = [];
    for (const header of match.headers) {
      const name = checkedName(header.name, what);
      // Of equivalent names in one match the first holds, the others are ignored (Gateway API, GRPCHeaderMatch.name).
      if (headers.some((earlier) => earlier.name === name)) continue;
      const value = test(header.value, `${what} header ${name}`);
      if (value === null) throw new CompileError(`${what}: header ${name} has no value to match`);
      headers.push({ name, value });
    }
    return {
      rule,
      matchIndex: match.index,
      service: test(match.service, `${what} service`),
      method: test(match.method, `${what} method`),
      headers,
    };
  });
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
