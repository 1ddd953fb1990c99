// Answers an inquiry from objects: translate, scope, compile and match, the very functions of the mesh. Pure.

import { scopeService } from '#control-plane/scope.ts';
import type { SourcedObject } from '#control-plane/source/files/manifests.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { nearParentProblems } from '#control-plane/translate/routes/near-parents.ts';
import { translateService } from '#control-plane/translate/service.ts';
import type { Service, ServicePort } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { DEFAULT_TRUST_DOMAIN } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import { didYouMean, nearest } from '#core/text/nearest.ts';
import { compilePort } from '#sidecar/route/compile/compile.ts';
import { CompileError } from '#sidecar/route/compile/compile-error.ts';
import { type CandidateVerdict, explainMatch } from '#sidecar/route/explain.ts';
import { headerValue } from '#sidecar/route/match.ts';
import type { CompiledPort, CompiledTable, RouteRefRecord, RuleRecord } from '#sidecar/route/records.ts';
import { asIfRunning } from './as-if-running.ts';
import { type AskedCall, type Callee, type Inquiry, requestHeaders } from './inquiry.ts';
import type { CallReport, CandidateReport, ExplainReport, RestReport, Result, RouteVerdict, RuleName } from './report.ts';
import {
  type AskedPlace,
  defaultBackend,
  type EndpointsOf,
  NO_FILTERS,
  reportBackend,
  reportFilters,
  reportStatus,
} from './report-parts.ts';

/** How a call fails that meets no rule, or one that cannot be served (docs/reference/errors.md). */
const FAILURES = {
  grpc: { unmatched: 'UNIMPLEMENTED', invalid: 'UNAVAILABLE' },
  http: { unmatched: '404', invalid: '500' },
} as const;

/**
 * @param problems of the directory, for the report
 * @throws Failure where the inquiry names what is not there; with the nearest name, if one is near
 */
export function explain(sourced: readonly SourcedObject[], inquiry: Inquiry, problems: readonly string[]): ExplainReport {
  checkCaller(sourced, inquiry);
  const { objects, assumed } = asIfRunning(sourced);
  const store = new ObjectStore();
  store.replaceAll(objects);
  const translate = (key: string) => translateService(store, key, { trustDomain: DEFAULT_TRUST_DOMAIN });
  const key = `${inquiry.to.namespace}/${inquiry.to.name}`;
  const { service, statuses } = translate(key);
  if (service === undefined) throw new Failure(whyNoService(store, inquiry.to));
  const port = findPort(service, inquiry.to);
  const scopedPort = findPort(scopeService(service, inquiry.from), { ...inquiry.to, port: port.port });
  const compiled = compile(service, scopedPort);
  const endpointsOf: EndpointsOf = (ref) => {
    const endpoints = translate(`${ref.namespace}/${ref.name}`).endpoints?.ports.find(
      (candidate) => candidate.port === ref.port,
    )?.endpoints;
    return { endpoints: endpoints ?? [], assumed: assumed.has(`${ref.namespace}/${ref.name}`) };
  };
  const strays = store.allKeys().filter((other) => store.service(other) === undefined && isMeantFor(other, key));
  const routes = [...statuses, ...strays.flatMap((other) => translate(other).statuses)].map(reportStatus);
  return {
    from: inquiry.from,
    to: { service: key, port: port.port, portName: port.name },
    call: { ...callReport(inquiry.call), headers: inquiry.headers },
    ...explainCall({ store, inquiry, port, scopedPort, compiled, endpointsOf }),
    routes: mergeStatuses(routes),
    problems: [...problems, ...nearParentProblems(store.routes(), store)],
  };
}

interface CallFacts {
  readonly store: ObjectStore;
  readonly inquiry: Inquiry;
  /** Before scope(). */
  readonly port: ServicePort;
  readonly scopedPort: ServicePort;
  readonly compiled: CompiledPort;
  readonly endpointsOf: EndpointsOf;
}

function explainCall(facts: CallFacts): Pick<ExplainReport, 'result' | 'candidates' | 'filters' | 'backends'> {
  const { store, inquiry, port, scopedPort, compiled, endpointsOf } = facts;
  if (compiled.table === null) {
    return { result: { kind: 'default' }, candidates: [], filters: NO_FILTERS, backends: [defaultBackend(compiled.service, endpointsOf)] };
  }
  const { table } = compiled;
  const createdAt = (route: RouteRefRecord): string | null =>
    store.routeOf(route.kind, `${route.namespace}/${route.name}`)?.metadata?.creationTimestamp ?? null;
  const group = port.consumers.some(({ namespace }) => namespace === inquiry.from.namespace)
    ? ('consumer' as const)
    : ('producer' as const);
  const headers = requestHeaders(inquiry, port.port);
  const { winner, candidates } = explainMatch(table, headers, createdAt);
  const reported = candidates.map(reportCandidate);
  const failures = FAILURES[inquiry.call.kind];
  if (winner === null) {
    const near = didYouMean(inquiry.call.kind === 'grpc' ? inquiry.call.method : inquiry.call.path, exactTargets(table));
    const reason = `routes are attached to ${compiled.service.key}, and none of their matches holds${near}`;
    return {
      result: { kind: 'no match', group, status: failures.unmatched, reason },
      candidates: reported,
      filters: NO_FILTERS,
      backends: [],
    };
  }
  const record = winner.candidate.rule;
  const rule = scopedPort.routes!.rules[table.rules.indexOf(record)];
  const known = { rule: nameOf(record), group, why: winner.reason };
  const result: Result =
    record.invalid === ''
      ? { kind: 'rule', ...known, rest: restOf(record) }
      : { kind: 'broken rule', ...known, status: failures.invalid, reason: record.invalid };
  const [scheme, authority, path] = [':scheme', ':authority', ':path'].map((name) => headerValue(headers, name) ?? '');
  const place: AskedPlace = { scheme, authority, path, servicePort: port.port };
  const backends = rule.backends.map((backend) => reportBackend(backend, record.totalWeight, place, endpointsOf));
  return { result, candidates: reported, filters: reportFilters(rule.filters, place), backends };
}

function callReport(call: AskedCall): Omit<CallReport, 'headers'> {
  return call.kind === 'grpc' ? { method: call.method } : { method: call.method, path: call.path };
}

/** What the table's matches name exactly, as a user writes it. */
function exactTargets({ candidates }: CompiledTable): string[] {
  return candidates.flatMap(({ target }) => {
    if (target.kind === 'http') return target.path === null || target.path.kind === 'regex' ? [] : [target.path.pattern];
    const { service, method } = target;
    return service?.kind === 'exact' && method?.kind === 'exact' ? [`${service.pattern}/${method.pattern}`] : [];
  });
}

function restOf({ requestTimeoutMs, backendTimeoutMs, retry }: RuleRecord): RestReport {
  return { requestTimeoutMs, backendTimeoutMs, retry: retry && { ...retry, codes: [...retry.codes] } };
}

function reportCandidate({ candidate, outcome, reason, parts }: CandidateVerdict): CandidateReport {
  return { rule: nameOf(candidate.rule), match: candidate.matchIndex, outcome, reason, parts };
}

function nameOf({ route, index, name }: RuleRecord): RuleName {
  return { kind: route!.kind, namespace: route!.namespace, route: route!.name, index, name };
}

function compile(service: Service, port: ServicePort): CompiledPort {
  try {
    return compilePort(service, port);
  } catch (error) {
    if (error instanceof CompileError) throw new Failure(`sidecars would refuse this Service and keep the last good one: ${error.message}`);
    throw error;
  }
}

/**
 * A typing mistake in the caller's name would otherwise be answered as if for a stranger. A namespace like none in the
 * directory is one.
 */
function checkCaller(sourced: readonly SourcedObject[], { from }: Inquiry): void {
  const namespaces = new Set<string>();
  const workloads = new Set<string>();
  for (const { object } of sourced) {
    const { name = '', namespace = 'default' } = object.metadata ?? {};
    namespaces.add(object.kind === 'Namespace' ? name : namespace);
    if (namespace === from.namespace && (object.kind === 'Deployment' || object.kind === 'Pod')) workloads.add(name);
  }
  if (!namespaces.has(from.namespace)) {
    const near = nearest(from.namespace, namespaces);
    if (near !== undefined) throw new Failure(`there is no namespace ${from.namespace}, did you mean "${near}"?`);
  }
  if (from.workload !== null && !workloads.has(from.workload)) {
    throw new Failure(`there is no Deployment or Pod ${from.namespace}/${from.workload}${didYouMean(from.workload, workloads)}`);
  }
}

function whyNoService(store: ObjectStore, { namespace, name }: Callee): string {
  if (store.service(`${namespace}/${name}`) !== undefined) {
    return `Service ${namespace}/${name} is of type ExternalName: it has no address in the mesh, and calls to it pass through`;
  }
  const [elsewhere] = [...store.namespacesOfService(name)].sort();
  const hint = didYouMean(name, store.serviceNamesIn(namespace));
  if (hint === '' && elsewhere !== undefined) return `there is no Service ${namespace}/${name}, did you mean "${name}.${elsewhere}"?`;
  return `there is no Service ${namespace}/${name}${hint}`;
}

function findPort(service: Service, { namespace, name, port }: Callee): ServicePort {
  const { ports } = service;
  const listed = ports
    .map((candidate) => (candidate.name === '' ? `${candidate.port}` : `${candidate.port} (${candidate.name})`))
    .join(', ');
  if (port === null) {
    if (ports.length === 1) return ports[0];
    if (ports.length === 0) throw new Failure(`Service ${namespace}/${name} has no TCP port`);
    throw new Failure(
      `Service ${namespace}/${name} has several ports: ${listed}; say which, as in --to ${name}.${namespace}:${ports[0].port}`,
    );
  }
  const found = ports.find((candidate) => candidate.port === port || (candidate.name !== '' && candidate.name === port));
  if (found === undefined) throw new Failure(`Service ${namespace}/${name} has no port ${port}; it has ${listed === '' ? 'none' : listed}`);
  return found;
}

/**
 * Whether a Service that does not exist was probably meant to be this one: then its routes are what the user misses.
 */
function isMeantFor(missing: string, key: string): boolean {
  return nearest(missing, [key]) !== undefined || missing.split('/')[1] === key.split('/')[1];
}

/** One entry per route and parent. */
function mergeStatuses(routes: readonly RouteVerdict[]): RouteVerdict[] {
  return [...new Map(routes.map((route) => [JSON.stringify(route), route])).values()];
}
