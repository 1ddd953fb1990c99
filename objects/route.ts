// What routes of every kind share: types, what is kept of them, which Services they name, and the form of their parts
// in files. Values of enums (a match type, a filter type) are not checked in files: a wrong one is a condition on the
// route.
import { liveAnnotationKeys } from '#core/contract/annotations.ts';
import type { KubeObject, ObjectMeta } from '#kube/object.ts';
import type { StoredCondition } from './condition.ts';
import { entriesOf, fieldsOf } from './fields.ts';
import { named, objectShape, present, some } from './metadata.ts';
import { type BackendObjectReference, backendServiceOf, namespaceOf, type ParentReference, parentServiceOf } from './references.ts';
import { allFields, INT32, integer, list, name, portNumber, type Shape, text } from './shape.ts';
import { addAll, type Change, type Names, type Touched } from './touched.ts';

/** A route of any kind. */
export interface Route extends KubeObject {
  spec?: {
    parentRefs?: ParentReference[];
    hostnames?: string[];
    rules?: RouteRule[];
  };
  status?: RouteStatus;
}

export interface RouteRule {
  name?: string;
  /** A list of the kind's own. */
  matches?: unknown;
  filters?: RouteFilter[];
  backendRefs?: RouteBackendRef[];
}

export interface RouteHeaderMatch {
  /** Exact (also when absent) or RegularExpression. */
  type?: string;
  name?: string;
  value?: string;
}

/** A filter, with one of its fields by its type. */
export interface RouteFilter {
  /**
   * RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, ExtensionRef; of an HTTPRoute also RequestRedirect,
   * URLRewrite, CORS.
   */
  type?: string;
  requestHeaderModifier?: HeaderModifierFilter;
  responseHeaderModifier?: HeaderModifierFilter;
  requestMirror?: RequestMirrorFilter;
  extensionRef?: { group?: string; kind?: string; name?: string };
  requestRedirect?: RequestRedirectFilter;
  urlRewrite?: { hostname?: string; path?: PathModifier };
  cors?: CorsFilter;
}

export interface RequestRedirectFilter {
  scheme?: string;
  hostname?: string;
  path?: PathModifier;
  port?: number;
  /** Absent: 302. */
  statusCode?: number;
}

export interface PathModifier {
  /** ReplaceFullPath or ReplacePrefixMatch. */
  type?: string;
  replaceFullPath?: string;
  replacePrefixMatch?: string;
}

export interface CorsFilter {
  allowOrigins?: string[];
  allowCredentials?: boolean;
  allowMethods?: string[];
  allowHeaders?: string[];
  exposeHeaders?: string[];
  /** Seconds; absent: 5. */
  maxAge?: number;
}

export interface HeaderModifierFilter {
  set?: HeaderLine[];
  add?: HeaderLine[];
  remove?: string[];
}

export interface HeaderLine {
  name?: string;
  value?: string;
}

export interface RequestMirrorFilter {
  backendRef?: BackendObjectReference;
  /** 0 to 100; absent, with `fraction` absent too: 100. */
  percent?: number;
  /** An absent denominator is 100. */
  fraction?: { numerator?: number; denominator?: number };
}

export interface RouteBackendRef extends BackendObjectReference {
  /** 0 to 1000000; absent: 1. */
  weight?: number;
  filters?: RouteFilter[];
}

export interface RouteStatus {
  /** At most 32, of all controllers together; an atomic list. */
  parents?: RouteParentEntry[];
}

/** One entry of a route's status. Entries with another controllerName are others'. */
export interface RouteParentEntry {
  parentRef?: ParentReference;
  /** "domain/path" */
  controllerName?: string;
  /** At most 8, of different types. */
  conditions?: StoredCondition[];
}

/** All entries of the status are kept, others' too, because the list is written back as one. */
export function keepRoute(kind: string, { spec, status }: Route, metadata: Partial<ObjectMeta>): Route {
  const { generation, creationTimestamp, resourceVersion, uid } = metadata;
  const parents = entriesOf(fieldsOf(status).parents);
  return {
    metadata: present({
      ...named(metadata),
      generation,
      creationTimestamp,
      resourceVersion,
      uid,
      annotations: some(metadata.annotations, liveAnnotationKeys(kind)),
    }),
    spec,
    status: parents.length === 0 ? undefined : { parents: [...parents] },
  };
}

export function matterOfRoute(kind: string, { metadata, spec }: Route): unknown {
  const { generation, creationTimestamp, annotations } = fieldsOf(metadata);
  return [generation, creationTimestamp, liveAnnotationKeys(kind).map((name) => fieldsOf(annotations)[name]), spec];
}

export function namesOfRoute(route: Route): Names {
  return { parents: parentServices(route), targets: targetServices(route) };
}

/** A route is translated with the Services that it is attached to. */
export function touchParents({ names }: Change, touched: Touched): void {
  addAll(touched.services, names('parents'));
}

/** Keys of all Services among a route's parents. */
function parentServices(route: Route): Set<string> {
  const namespace = namespaceOf(route);
  const keys = new Set<string>();
  for (const ref of entriesOf(fieldsOf(route.spec).parentRefs)) {
    const key = parentServiceOf(ref, namespace);
    if (key !== undefined) keys.add(key);
  }
  return keys;
}

/** Keys of all Services among a route's backends and mirrors, of whatever weight. */
function targetServices(route: Route): Set<string> {
  const namespace = namespaceOf(route);
  const keys = new Set<string>();
  const add = (ref: BackendObjectReference | null | undefined) => {
    const key = backendServiceOf(ref, namespace);
    if (key !== undefined) keys.add(key);
  };
  const addMirrors = (filters: RouteFilter[] | undefined) => {
    for (const filter of entriesOf(filters)) add(fieldsOf(fieldsOf(filter).requestMirror).backendRef);
  };
  for (const rule of entriesOf(fieldsOf(route.spec).rules)) {
    const { filters, backendRefs } = fieldsOf(rule);
    addMirrors(filters);
    for (const backend of entriesOf(backendRefs)) {
      add(backend);
      addMirrors(fieldsOf(backend).filters);
    }
  }
  return keys;
}

const objectRef = { group: text, kind: text, name, namespace: text, port: portNumber };
const parentRef = allFields({ ...objectRef, sectionName: text }, ['name']);
const headerLine = allFields({ name, value: text }, ['name', 'value']);
const headerFilter = allFields({ set: list(headerLine), add: list(headerLine), remove: list(text) });
const mirror = allFields(
  {
    backendRef: allFields(objectRef, ['name']),
    percent: integer(0, 100),
    fraction: allFields({ numerator: integer(0, INT32), denominator: integer(1, INT32) }, ['numerator']),
  },
  ['backendRef'],
);

/** The fields of a filter that are in every kind of route. */
export const filterFields: Readonly<Record<string, Shape>> = {
  type: text,
  requestHeaderModifier: headerFilter,
  responseHeaderModifier: headerFilter,
  requestMirror: mirror,
  extensionRef: allFields(objectRef),
};

export const headerMatchShape = allFields({ type: text, name, value: text }, ['name', 'value']);

// Of the Gateway API, both ends included.
const weight = integer(0, 1_000_000);

/** A route whose rules have these matches and filters. @param more fields of its rules that not every kind has */
export function routeShape(match: Shape, filter: Shape, more: Readonly<Record<string, Shape>> = {}): Shape {
  const backendRef = allFields({ ...objectRef, weight, filters: list(filter) }, ['name']);
  const rule = allFields(
    { name: text, matches: list(match), filters: list(filter), backendRefs: list(backendRef), ...more },
    [],
    ['sessionPersistence'],
  );
  const spec = allFields({ parentRefs: list(parentRef), hostnames: list(text), rules: list(rule) }, [], ['useDefaultGateways']);
  return objectShape({ spec });
}
