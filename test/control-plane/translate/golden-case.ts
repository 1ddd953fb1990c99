// One golden case: a file of Kubernetes objects, the line "--- # expected", and what translate() makes of them.
import { toJson } from '@bufbuild/protobuf';
import { type Document, isCollection, parse, parseAllDocuments, visit, Document as YamlDocument } from 'yaml';
import { scopeService } from '#control-plane/scope.ts';
import { ObjectStore } from '#control-plane/store/object-store.ts';
import { type RouteParentStatus, type TranslateOptions, type Translation, translateService } from '#control-plane/translate/service.ts';
import { EndpointsSchema, type Service, ServiceSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { KubeObject } from '#kube/object.ts';
import { compileService } from '#sidecar/route/compile/compile.ts';
import { findRule } from '#sidecar/route/match.ts';
import type { RuleRecord } from '#sidecar/route/records.ts';
import { changedPath, locationOf, type RequestPlace } from '#sidecar/route/redirect.ts';

/** The document without a kind: how to translate, and calls whose fate is part of the golden. */
interface CaseOptions {
  strictReferenceGrants?: boolean;
  /** Why the objects would not pass the CRD of the Gateway API; without it they are validated. */
  bypassesCrd?: string;
  calls?: { from: string; to: string; path: string; method?: string; headers?: Record<string, string> }[];
}

export interface GoldenCase {
  readonly input: string;
  /** As it stands in the file; empty: not yet made. */
  readonly expected: string;
  readonly objects: readonly KubeObject[];
  readonly options: CaseOptions;
}

const SEPARATOR = '--- # expected\n';

export function readCase(text: string): GoldenCase {
  const [input, expected = ''] = text.split(SEPARATOR);
  const documents = parseAllDocuments(input) as Document[];
  for (const { errors } of documents) if (errors.length > 0) throw errors[0];
  const values = documents.map((document) => document.toJS() as KubeObject & CaseOptions);
  return {
    input,
    expected,
    objects: values.filter(({ kind }) => kind !== undefined),
    options: values.find(({ kind }) => kind === undefined) ?? {},
  };
}

export function writeCase({ input }: GoldenCase, made: string): string {
  return `${input}${SEPARATOR}${made}`;
}

/** Translates all Services that exist or are named as parents, and renders the outcome. */
export function renderCase({ objects, options }: GoldenCase): string {
  const store = new ObjectStore();
  const keys = [...store.replaceAll(objects).services].sort();
  const translateOptions: TranslateOptions = { trustDomain: 'cluster.local', strictReferenceGrants: options.strictReferenceGrants };
  const translations = new Map(keys.map((key) => [key, translateService(store, key, translateOptions)]));
  const all = [...translations];
  const outcome = {
    services: record(all, ({ service }) => service && toJson(ServiceSchema, service)),
    // A Service without any is left out: most cases are about routes.
    endpoints: record(
      all.filter(([, { endpoints }]) => endpoints?.ports.some((port) => port.endpoints.length > 0)),
      ({ endpoints }) => endpoints && toJson(EndpointsSchema, endpoints),
    ),
    statuses: all.flatMap(([, { statuses }]) => statuses.map(renderStatus)),
    ...(options.calls && { calls: options.calls.map((call) => renderCall(call, translations)) }),
  };
  return layOut(outcome);
}

function record(all: [string, Translation][], part: (translation: Translation) => unknown): Record<string, unknown> {
  return Object.fromEntries(all.map(([key, translation]) => [key, part(translation) ?? null]));
}

function renderStatus({ route, generation, parentRef, conditions }: RouteParentStatus): unknown {
  return {
    route: `${route.kind} ${route.namespace}/${route.name}`,
    parentRef,
    conditions: conditions.map(({ type, status, reason, message, observedGeneration }) => ({
      [`${type}=${status}`]: reason,
      message,
      generation: observedGeneration === generation ? generation : `${observedGeneration} of ${generation}`,
    })),
  };
}

/** The fate of a call by the sidecar's own functions: scope, compile, match. */
function renderCall(call: NonNullable<CaseOptions['calls']>[number], translations: ReadonlyMap<string, Translation>): string {
  const [key, port] = call.to.split(':');
  const given = Object.entries(call.headers ?? {});
  const method = call.method === undefined ? '' : `${call.method} `;
  const told = [`from ${call.from} to ${method}${call.to}${call.path}`, ...given.map((pair) => pair.join(': '))].join(', ');
  const headers = [':method', call.method ?? 'GET', ':path', call.path, ...given.flatMap(([name, value]) => [name.toLowerCase(), value])];
  return `${told} => ${fateOf(translations.get(key)?.service, call.from, Number(port), headers)}`;
}

function fateOf(service: Service | undefined, from: string, port: number, headers: string[]): string {
  if (service === undefined) return 'no such Service';
  const compiled = compileService(scopeService(service, { namespace: from })).get(port);
  if (compiled === undefined) return 'no such port';
  if (compiled.table === null) return 'default: no route';
  const rule = findRule(compiled.table, headers);
  if (rule === null) return `${compiled.table.kind === 'grpc' ? 'UNIMPLEMENTED' : '404'}: no rule matches`;
  const place = { scheme: 'http', authority: service.name, path: headers[3] };
  return describeRule(rule, compiled.table.kind === 'grpc' ? 'UNAVAILABLE' : '500', place, port);
}

function describeRule(rule: RuleRecord, failure: string, place: RequestPlace, port: number): string {
  const { route, index, invalid, redirect, backends, totalWeight } = rule;
  const name = `${route!.namespace}/${route!.name} rules[${index}]`;
  if (invalid !== '') return `${name}: ${failure}: ${invalid}`;
  if (redirect !== null) return `${name}: ${redirect.status} ${locationOf(redirect, place, port)}`;
  const shares = backends.map(({ ref, weight, invalid, requestEdits, responseEdits, rewrite }) => {
    const edits = [
      ...(requestEdits ?? []).map((edit) => ['>', edit] as const),
      ...(responseEdits ?? []).map((edit) => ['<', edit] as const),
    ];
    const told = edits.map(([way, { op, name, value }]) => ` ${way}${op} ${name}${op === 'remove' ? '' : `=${value}`}`).join('');
    const host = rewrite === null || rewrite.hostname === '' ? '' : ` as ${rewrite.hostname}`;
    const path = rewrite === null || rewrite.path === null ? '' : ` ${changedPath(rewrite.path, place.path)}`;
    const share = `${Math.round((weight / totalWeight) * 1000) / 10}%`;
    return invalid === '' ? `${share} ${ref.key}${path}${host}${told}` : `${share} ${failure} (${invalid})`;
  });
  return `${name}: ${shares.join(', ')}`;
}

/** YAML in which what is short stands on one line. */
function layOut(value: unknown): string {
  // The references of protobuf messages that several ports share would become anchors.
  const document = new YamlDocument(parse(JSON.stringify(value)), { aliasDuplicateObjects: false });
  visit(document, {
    Collection(key, node) {
      if (key === null || !isCollection(node)) return undefined;
      node.flow = JSON.stringify(node.toJS(document)).length <= 100;
      return node.flow ? visit.SKIP : undefined;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: true });
}
