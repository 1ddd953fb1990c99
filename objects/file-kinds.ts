// Which kinds of manifests are read, and the types of the fields that Weft reads in each.
// Values of enums (a match type, a filter type) are not checked here: a wrong one is a condition on the route.
import { apiVersionOf, groupOf } from './kind.ts';
import { FILE_KINDS } from './kinds.ts';
import { objectShape } from './metadata.ts';
import { allFields, fields, INT32, integer, list, name, portNumber, type Shape, text } from './shape.ts';

export interface Kind {
  readonly kind: string;
  /** API group; any version of it is read. Empty: the core group. */
  readonly group: string;
  readonly apiVersion: string;
  readonly namespaced: boolean;
  readonly shape: Shape;
}

const GATEWAY = 'gateway.networking.k8s.io';
// Weights of the Gateway API, both ends included.
const weight = integer(0, 1_000_000);

function kind(kind: string, group: string, version: string, namespaced: boolean, rest: Readonly<Record<string, Shape>>): Kind {
  return {
    kind,
    group,
    apiVersion: group === '' ? version : `${group}/${version}`,
    namespaced,
    shape: objectShape(rest),
  };
}

const objectRef = { group: text, kind: text, name, namespace: text, port: portNumber };
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
const filter = allFields(
  {
    type: text,
    requestHeaderModifier: headerFilter,
    responseHeaderModifier: headerFilter,
    requestMirror: mirror,
    extensionRef: allFields(objectRef),
  },
  ['type'],
);
const headerMatch = allFields({ type: text, name, value: text }, ['name', 'value']);
const grpcMatch = allFields({ method: allFields({ type: text, service: text, method: text }), headers: list(headerMatch) });
const backendRef = allFields({ ...objectRef, weight, filters: list(filter) }, ['name']);
const parentRef = allFields({ ...objectRef, sectionName: text }, ['name']);

const grpcRoute = allFields(
  {
    parentRefs: list(parentRef),
    hostnames: list(text),
    rules: list(
      allFields({ name: text, matches: list(grpcMatch), filters: list(filter), backendRefs: list(backendRef) }, [], ['sessionPersistence']),
    ),
  },
  [],
  ['useDefaultGateways'],
);

const grant = fields(
  {
    from: list(fields({ group: text, kind: text, namespace: text }, ['group', 'kind', 'namespace'])),
    to: list(fields({ group: text, kind: text, name: text }, ['group', 'kind'])),
  },
  ['from', 'to'],
);

/** All kinds that Weft reads from files. */
export const KINDS: readonly Kind[] = [
  ...FILE_KINDS.map((known) => ({ ...known, apiVersion: apiVersionOf(known), shape: known.shape! })),
  kind('GRPCRoute', GATEWAY, 'v1', true, { spec: grpcRoute }),
  kind('ReferenceGrant', GATEWAY, 'v1beta1', true, { spec: grant }),
];

export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const group = groupOf(apiVersion);
  return KINDS.find((known) => known.kind === kind && known.group === group);
}
