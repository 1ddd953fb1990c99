// Which kinds of manifests are read, and the types of the fields that Weft reads in each.
// Values of enums (a match type, a filter type) are not checked here: a wrong one is a condition on the route.
import { apiVersionOf, groupOf } from './kind.ts';
import { FILE_KINDS } from './kinds.ts';
import { objectShape, templateMetadataShape } from './metadata.ts';
import { allFields, fields, integer, list, name, portNumber, portOrName, type Shape, text, textMap } from './shape.ts';

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
const INT32 = 2_147_483_647;

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

const probe = fields({
  tcpSocket: fields({ port: portOrName }, ['port']),
  httpGet: fields({ port: portOrName, path: text }, ['port']),
  grpc: fields({ port: portNumber }, ['port']),
  periodSeconds: integer(0, INT32),
  failureThreshold: integer(0, INT32),
});
const variable = fields({ name, value: text, valueFrom: fields({ fieldRef: fields({ fieldPath: text }, ['fieldPath']) }) }, ['name']);
const container = fields(
  {
    name,
    image: text,
    command: list(text),
    args: list(text),
    workingDir: text,
    env: list(variable),
    ports: list(fields({ name: text, containerPort: portNumber, protocol: text }, ['containerPort'])),
    readinessProbe: probe,
  },
  ['name'],
);
const podSpec = fields({ serviceAccountName: text, containers: list(container), initContainers: list(container) }, ['containers']);
const deployment = fields(
  {
    replicas: integer(0, INT32),
    selector: fields({ matchLabels: textMap }),
    template: fields({ metadata: templateMetadataShape, spec: podSpec }, ['spec']),
  },
  ['selector', 'template'],
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
  kind('Namespace', '', 'v1', false, {}),
  kind('Pod', '', 'v1', true, { spec: podSpec }),
  kind('ServiceAccount', '', 'v1', true, {}),
  kind('Deployment', 'apps', 'v1', true, { spec: deployment }),
  kind('GRPCRoute', GATEWAY, 'v1', true, { spec: grpcRoute }),
  kind('ReferenceGrant', GATEWAY, 'v1beta1', true, { spec: grant }),
];

export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const group = groupOf(apiVersion);
  return KINDS.find((known) => known.kind === kind && known.group === group);
}
