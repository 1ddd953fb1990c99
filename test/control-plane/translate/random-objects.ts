// Random clusters for properties: few names, so that objects meet each other, and a way to spoil an object as no CRD
// would let through.
import fc from 'fast-check';
import type { KubeObject } from '#kube/object.ts';
import type { EndpointSlice } from '#objects/endpoint-slice.ts';
import type { GRPCRoute, GRPCRouteMatch, GRPCRouteRule } from '#objects/grpc-route.ts';
import type { HTTPRoute, HTTPRouteMatch, HTTPRouteRule } from '#objects/http-route.ts';
import type { Pod } from '#objects/pod.ts';
import type { ReferenceGrant } from '#objects/reference-grant.ts';
import type { Service } from '#objects/service.ts';

const NAMESPACES = ['ns-a', 'ns-b'];
const SERVICES = ['web', 'wed', 'api', 'db'];
const PORTS = [80, 81, 82];
const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.0.3'];

const namespace = fc.constantFrom(...NAMESPACES);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 2 });

const outside = fc.constantFrom('192.0.2.1', '2001:DB8::0001', 'lb.example.com', '[::1');

export const service: fc.Arbitrary<Service> = fc
  .record({
    name: fc.constantFrom(...SERVICES),
    namespace,
    kind: fc.constantFrom('ClusterIP', 'ClusterIP', 'ClusterIP', 'None', 'ExternalName'),
    ports: fc.uniqueArray(
      fc.record({
        port: fc.constantFrom(...PORTS),
        name: fc.constantFrom('grpc', 'http', 'tcp', 'other'),
        protocol: fc.constantFrom(undefined, undefined, 'TCP', 'UDP'),
        appProtocol: fc.constantFrom(undefined, undefined, 'kubernetes.io/h2c', 'https', 'tcp'),
        nodePort: fc.constantFrom(undefined, 0, 30080),
      }),
      { selector: ({ port }) => port, minLength: 1, maxLength: 3 },
    ),
    sessionAffinity: fc.constantFrom(undefined, 'None', 'ClientIP'),
    timeoutSeconds: maybe(fc.integer({ min: 1, max: 86_400 })),
    externalIPs: maybe(fc.array(outside, { maxLength: 2 })),
    ingress: maybe(fc.array(fc.record({ ip: outside, ipMode: fc.constantFrom(undefined, 'VIP', 'Proxy') }), { maxLength: 2 })),
  })
  .map(({ name, namespace, kind, ports, sessionAffinity, timeoutSeconds, externalIPs, ingress }) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      type: kind === 'ExternalName' ? kind : 'ClusterIP',
      clusterIP: kind === 'None' ? 'None' : '10.96.0.9',
      ports,
      sessionAffinity,
      sessionAffinityConfig: { clientIP: { timeoutSeconds } },
      externalIPs,
    },
    status: { loadBalancer: { ingress } },
  }));

const methodMatch = fc.oneof(
  fc.record({ service: maybe(fc.constantFrom('a.S', 'a.S2', 'b.S')), method: fc.constantFrom('Get', 'Put', 'GetAll') }),
  fc.record({ service: fc.constantFrom('a.S', 'a.S2', 'b.S'), method: fc.constant(undefined) }),
  fc.record({
    type: fc.constant('RegularExpression'),
    service: maybe(fc.constantFrom('a[.]S', 'a[.].*', '.*', 'a[.]S2?')),
    method: fc.constantFrom('Get|Put', 'G.*', '.*'),
  }),
);

export const match: fc.Arbitrary<GRPCRouteMatch> = fc.record(
  {
    method: methodMatch,
    headers: fc.array(
      fc.record({
        type: fc.constantFrom(undefined, 'Exact', 'RegularExpression'),
        name: fc.constantFrom('x-a', 'X-A', 'x-b', 'x-c'),
        value: fc.constantFrom('1', '2', '12'),
      }),
      { maxLength: 3 },
    ),
  },
  { requiredKeys: [] },
);

const backend = fc.record({
  name: fc.constantFrom(...SERVICES, 'gone'),
  namespace: maybe(namespace),
  port: fc.constantFrom(...PORTS),
  weight: maybe(fc.constantFrom(0, 1, 5)),
});

const filter = fc.oneof(
  fc
    .constantFrom('x-a', 'x-z', 'host')
    .map((name) => ({ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name, value: '1' }] } })),
  fc.constantFrom('x-a', 'grpc-status').map((name) => ({ type: 'ResponseHeaderModifier', responseHeaderModifier: { remove: [name] } })),
  backend.map(({ weight: _, ...backendRef }) => ({ type: 'RequestMirror', requestMirror: { backendRef, percent: 10 } })),
  fc.constant({ type: 'ExtensionRef', extensionRef: { group: 'x', kind: 'Y', name: 'z' } }),
);

const rule: fc.Arbitrary<GRPCRouteRule> = fc.record(
  {
    name: fc.constantFrom('r1', 'r2'),
    matches: fc.array(match, { maxLength: 3 }),
    filters: fc.array(filter, { maxLength: 2 }),
    backendRefs: fc.array(
      fc.oneof(backend, fc.record({ name: fc.constant('web'), port: fc.constant(80), filters: fc.array(filter, { maxLength: 1 }) })),
      {
        maxLength: 3,
      },
    ),
  },
  { requiredKeys: [] },
);

const parentRef = fc.record(
  {
    group: fc.constantFrom('', '', 'core', undefined),
    kind: fc.constantFrom('Service', 'Service', 'Service', 'Gateway'),
    name: fc.constantFrom(...SERVICES, 'webb'),
    namespace,
    port: fc.constantFrom(...PORTS),
    sectionName: fc.constantFrom('grpc', 'http', 'gprc'),
  },
  { requiredKeys: ['group', 'kind', 'name'] },
);

const metadata = (name: fc.Arbitrary<string>) =>
  fc.record(
    {
      name,
      namespace,
      generation: fc.nat(3),
      creationTimestamp: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    },
    { requiredKeys: ['name', 'namespace'] },
  );

export function routeWith(
  rules: fc.Arbitrary<GRPCRouteRule[]>,
  parentRefs: fc.Arbitrary<object[]> = fc.array(parentRef, { maxLength: 3 }),
): fc.Arbitrary<GRPCRoute> {
  return fc
    .record({ metadata: metadata(fc.constantFrom('r-1', 'r-2', 'r-3', 'a-route')), rules, parentRefs })
    .map(({ metadata, rules, parentRefs }) => ({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata,
      spec: { parentRefs, rules },
    }));
}

const valueMatch = (names: readonly string[]) =>
  fc.record({
    type: fc.constantFrom(undefined, 'Exact', 'RegularExpression'),
    name: fc.constantFrom(...names),
    value: fc.constantFrom('1', '2', '12'),
  });

const pathMatch = fc.oneof(
  fc.record({
    type: fc.constantFrom('Exact', 'PathPrefix', undefined),
    value: fc.constantFrom('/', '/v1', '/v1/', '/v1/items', '/v1/items/7', '/v2', '/v', '/items'),
  }),
  fc.record({ type: fc.constant('RegularExpression'), value: fc.constantFrom('/v[12].*', '/.*', '/v1/items/[0-9]+', '/v2|/v1') }),
);

export const httpMatch: fc.Arbitrary<HTTPRouteMatch> = fc.record(
  {
    path: pathMatch,
    method: fc.constantFrom('GET', 'POST'),
    headers: fc.array(valueMatch(['x-a', 'X-A', 'x-b']), { maxLength: 2 }),
    queryParams: fc.array(valueMatch(['a', 'A', 'b']), { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

const httpFilter = fc.oneof(
  filter,
  fc.constantFrom('example.org', 'A B').map((hostname) => ({ type: 'RequestRedirect', requestRedirect: { hostname } })),
  fc.constantFrom('/x', '/', '').map((replacePrefixMatch) => ({
    type: 'URLRewrite',
    urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch } },
  })),
  fc.constantFrom('*', 'https://*.a.org', 'a').map((origin) => ({ type: 'CORS', cors: { allowOrigins: [origin] } })),
);

const httpRule: fc.Arbitrary<HTTPRouteRule> = fc.record(
  {
    matches: fc.array(httpMatch, { maxLength: 3 }),
    filters: fc.array(httpFilter, { maxLength: 2 }),
    backendRefs: fc.array(backend, { maxLength: 3 }),
    timeouts: fc.record({ request: fc.constantFrom('1s', '0s', 'x'), backendRequest: fc.constantFrom('500ms', '2s') }),
    retry: fc.record({ codes: fc.constantFrom(503, 200).map((code) => [code]), attempts: fc.constantFrom(0, 2) }),
  },
  { requiredKeys: [] },
);

export function httpRouteWith(rules: fc.Arbitrary<HTTPRouteRule[]>, parentRefs: fc.Arbitrary<object[]>): fc.Arbitrary<HTTPRoute> {
  return fc.record({ metadata: metadata(fc.constantFrom('r-1', 'h-1')), rules, parentRefs }).map(({ metadata, rules, parentRefs }) => ({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata,
    spec: { parentRefs, rules },
  }));
}

const httpRoute = httpRouteWith(fc.array(httpRule, { maxLength: 3 }), fc.array(parentRef, { maxLength: 3 }));

export const route = routeWith(fc.array(rule, { maxLength: 3 }));

const pod: fc.Arbitrary<Pod> = fc
  .record({
    name: fc.constantFrom('p1', 'p2', 'p3'),
    namespace,
    annotations: fc.constantFrom<Record<string, string>>({}, { 'weft.dev/status': '{}' }),
    serviceAccountName: fc.constantFrom(undefined, 'one', 'two'),
    podIP: fc.constantFrom(...ADDRESSES),
    phase: fc.constantFrom('Running', 'Running', 'Succeeded'),
  })
  .map(({ name, namespace, annotations, serviceAccountName, podIP, phase }) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, annotations },
    spec: { serviceAccountName },
    status: { phase, podIP, podIPs: [{ ip: podIP }] },
  }));

const slice: fc.Arbitrary<EndpointSlice> = fc
  .record({
    name: fc.constantFrom('s1', 's2', 's3'),
    namespace,
    service: fc.constantFrom(...SERVICES),
    endpoints: fc.array(
      fc.record({
        addresses: fc.constantFrom(...ADDRESSES).map((address) => [address]),
        conditions: fc.record({ ready: fc.boolean(), terminating: fc.boolean() }, { requiredKeys: [] }),
        targetRef: maybe(fc.record({ kind: fc.constant('Pod'), name: fc.constantFrom('p1', 'p2', 'p3') })),
      }),
      { maxLength: 3 },
    ),
    ports: fc.array(fc.record({ name: fc.constantFrom('grpc', 'http', 'other'), port: fc.constantFrom(8080, 8081) }), { maxLength: 2 }),
  })
  .map(({ name, namespace, service, endpoints, ports }) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints,
    ports,
  }));

const grant: fc.Arbitrary<ReferenceGrant> = fc
  .record({ name: fc.constantFrom('g1', 'g2'), namespace, from: namespace, to: maybe(fc.constantFrom(...SERVICES)) })
  .map(({ name, namespace, from, to }) => ({
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name, namespace },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'GRPCRoute', namespace: from }],
      to: [{ group: '', kind: 'Service', name: to }],
    },
  }));

export const object: fc.Arbitrary<KubeObject> = fc.oneof(
  { weight: 3, arbitrary: service },
  { weight: 4, arbitrary: route },
  { weight: 3, arbitrary: httpRoute },
  { weight: 2, arbitrary: slice },
  { weight: 2, arbitrary: pod },
  { weight: 1, arbitrary: grant },
  { weight: 1, arbitrary: fc.constant({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns-a' } }) },
);

const junk = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, '', ' ', 0, -1, 1.5, 2 ** 31, Number.NaN, Number.POSITIVE_INFINITY, true, [], {}, [null], [[]]),
  fc.constantFrom<unknown>(
    '\ud800',
    'a\r\nb',
    '\0',
    '__proto__',
    'constructor',
    'x'.repeat(5000),
    '(((',
    '(a{1000}){1000}',
    ':path',
    'é',
    '\u202e',
  ),
  fc.constantFrom<unknown>({ __proto__: null }, { length: 5 }, { kind: 'Service' }, JSON.parse('{"__proto__":{"a":1}}')),
  fc.constant('many').map(() => Array.from({ length: 700 }, () => ({}))),
  fc.anything({ maxDepth: 2 }),
);

/**
 * An object with up to four of its parts, at any depth below its name, replaced by something that has no business
 * there.
 */
export const spoiltObject: fc.Arbitrary<KubeObject> = fc
  .tuple(object, fc.array(fc.tuple(fc.nat(), junk), { minLength: 1, maxLength: 4 }))
  .map(([original, spoils]) => {
    const spoilt = structuredClone(original) as Record<string, unknown>;
    for (const [where, value] of spoils) {
      const places = placesIn(spoilt);
      const [parent, key] = places[where % places.length];
      // A copy: one put into itself would be a cycle, which neither JSON nor our YAML reader can make.
      parent[key] = structuredClone(value);
    }
    return spoilt;
  });

function placesIn(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== 'object' || value === null) return [];
  const parent = value as Record<string, unknown>;
  return Object.keys(parent)
    .filter((key) => key !== '__proto__' && key !== 'apiVersion' && !(key === 'kind' && 'metadata' in parent))
    .flatMap((key): [Record<string, unknown>, string][] => [[parent, key], ...placesIn(parent[key])]);
}
