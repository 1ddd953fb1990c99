// translate(): the first of the three pure functions. Kubernetes objects in, what sidecars need to know of one Service
// and what its routes' authors need to know out.
import { create } from '@bufbuild/protobuf';
import {
  ConsumerRoutesSchema,
  type Endpoints,
  Protocol,
  type RouteTable,
  type Service,
  type ServicePort,
  ServicePortSchema,
  ServiceSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import type { Condition } from '#objects/condition.ts';
import { entriesOf, fieldsOf, isInteger, textOf } from '#objects/fields.ts';
import type { RouteKindName } from '#objects/kinds.ts';
import { keyOf, namespaceOf, type ParentReference, splitKey } from '#objects/references.ts';
import type { Route } from '#objects/route.ts';
import type { Service as KubeService } from '#objects/service.ts';
import type { ObjectView } from '../store/object-store.ts';
import { affinitySecondsOf } from './affinity.ts';
import { type Aged, compareByAge, creationTimeOf } from './age.ts';
import { opaqueByPods, translateEndpoints } from './endpoints.ts';
import { externalAddressesOf, loadBalancerAddressesOf, loadBalancerRangesOf } from './other-addresses.ts';
import { clusterIPsOf, frontendOf, type MeshPort, meshPorts } from './ports.ts';
import { conditionsOf } from './routes/conditions.ts';
import { type Contender, lostPorts, ROUTE_KINDS, withoutLost } from './routes/kinds.ts';
import { type Attachment, attach, parentRefsTo } from './routes/parents.ts';
import { type TranslatedRoute, translateRules } from './routes/rules.ts';
import { buildTable } from './routes/table.ts';
import type { RouteTraits } from './routes/traits.ts';

export interface TranslateOptions {
  /**
   * Of the SPIFFE ids of endpoints, such as "cluster.local". Ours to give: one that isTrustDomain() refuses is a bug,
   * and throws RangeError.
   */
  readonly trustDomain: string;
  /**
   * Whether a backendRef into a third namespace needs a ReferenceGrant there. Default false: a mesh route only augments
   * what its clients can reach anyway (GEP-1294), and Weft opens nothing that was closed. When true, the route's own
   * namespace and the parent Service's still need none (the latter is what MeshConsumerRoute demands).
   */
  readonly strictReferenceGrants?: boolean;
}

/** One entry of a route's status.parents, to be written with our controllerName. */
export interface RouteParentStatus {
  readonly route: { readonly kind: RouteKindName; readonly namespace: string; readonly name: string };
  /** metadata.generation that was judged; 0 where the object has none. */
  readonly generation: number;
  /** As the author wrote it. */
  readonly parentRef: ParentReference;
  /** Accepted, ResolvedRefs, and PartiallyInvalid where it holds. */
  readonly conditions: readonly Condition[];
}

export interface Translation {
  /** Absent: no such Service, or an ExternalName one, which has no frontend in the mesh. Before scope(). */
  readonly service?: Service;
  readonly endpoints?: Endpoints;
  /**
   * Of every parentRef to this Service, also of one that does not exist; by route, then in the order of its parentRefs.
   */
  readonly statuses: readonly RouteParentStatus[];
}

/**
 * Translates one Service: its frontend with the routes attached to it, its endpoints, and the verdict on those routes.
 * Works for a Service that does not exist too. Never throws for anything that stands in an object; what is wrong there
 * is a condition, and the rest still applies.
 *
 * TLSRoutes and TCPRoutes are not served yet: they are left alone, without effect and without a status.
 * @param key "namespace/name"
 */
export function translateService(objects: ObjectView, key: string, options: TranslateOptions): Translation {
  const service = objects.service(key);
  const ports = service === undefined ? [] : portsOf(key, service, objects);
  const routes = attachedRoutes(key, ports, objects, options);
  const statuses = routes.flatMap(({ statuses }) => statuses);
  if (service === undefined || frontendOf(service) === 'externalName') return { statuses };
  const [namespace, name] = splitKey(key);
  const ranked = [...routes].sort(compareByAge);
  const frontend = ports.map((port) => translatePort(port, namespace, ranked));
  // What is spoken on a port is learnt from its routes as well: many Services declare nothing.
  const spoken = ports.map((port, i) => ({ ...port, protocol: frontend[i].protocol }));
  return {
    service: create(ServiceSchema, {
      namespace,
      name,
      addresses: clusterIPsOf(service),
      ports: frontend,
      loadBalancerAddresses: loadBalancerAddressesOf(service),
      externalAddresses: externalAddressesOf(service),
      loadBalancerRanges: loadBalancerRangesOf(service),
    }),
    endpoints: { ...translateEndpoints(key, service, spoken, objects, options.trustDomain), affinitySeconds: affinitySecondsOf(service) },
    statuses,
  };
}

/** The ports of a Service as its pods know them: what one of them calls opaque carries octets. */
function portsOf(key: string, service: KubeService, objects: ObjectView): MeshPort[] {
  const ports = meshPorts(service);
  const opaque = opaqueByPods(key, ports, objects);
  return ports.map((port) => {
    const opaqueBy = opaque.get(port.port);
    return opaqueBy === undefined ? port : { ...port, protocol: Protocol.TCP, opaqueBy };
  });
}

interface AttachedRoute extends Aged, Contender {
  readonly translated: TranslatedRoute;
  /** Numbers of the ports that it holds for. */
  readonly held: ReadonlySet<number>;
  readonly statuses: readonly RouteParentStatus[];
}

/** All routes with a parentRef to the Service, by their keys, whether they are accepted or not. */
function attachedRoutes(key: string, ports: readonly MeshPort[], objects: ObjectView, options: TranslateOptions): AttachedRoute[] {
  const found = ROUTE_KINDS.flatMap((traits) =>
    objects.routesTo(traits.kind, key).map((route) => translateRoute(traits, route, key, ports, objects, options)),
  ).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const lost = lostPorts(found);
  return found.map((route) => {
    const gone = lost.get(route)!;
    return {
      ...route,
      held: new Set([...route.ports].filter((port) => !gone.has(port))),
      statuses: route.parents.map(({ written, attachment }) => route.judge(written, withoutLost(attachment, gone))),
    };
  });
}

/** A route that is translated, before it is known which kind holds on its ports. */
interface ContendingRoute extends Aged, Contender {
  readonly translated: TranslatedRoute;
  readonly parents: readonly { readonly written: ParentReference; readonly attachment: Attachment }[];
  judge(parentRef: ParentReference, attachment: Attachment): RouteParentStatus;
}

function translateRoute(
  traits: RouteTraits,
  route: Route,
  key: string,
  ports: readonly MeshPort[],
  objects: ObjectView,
  options: TranslateOptions,
): ContendingRoute {
  const { metadata, spec } = fieldsOf(route);
  const namespace = namespaceOf(route);
  const name = textOf(fieldsOf(metadata).name) ?? '';
  const [parentNamespace] = splitKey(key);
  const strictReferenceGrants = options.strictReferenceGrants ?? false;
  const translated = translateRules(route, name, { traits, objects, routeNamespace: namespace, parentNamespace, strictReferenceGrants });
  const { generation: given } = fieldsOf(metadata);
  const generation = isInteger(given, 0, Number.MAX_SAFE_INTEGER) ? given : 0;
  const judged = {
    generation,
    routeNamespace: namespace,
    parentNamespace,
    hasHostnames: entriesOf(fieldsOf(spec).hostnames).length > 0,
    failures: traits.failures,
  };
  const service = objects.service(key);
  const parents = parentRefsTo(key, route, namespace).map(({ ref, written }) => ({
    written,
    attachment: attach(ref, key, service, ports, objects, traits),
  }));
  return {
    createdAtMs: creationTimeOf(route),
    key: keyOf(namespace, name),
    traits,
    namespace,
    translated,
    parents,
    ports: new Set(parents.flatMap(({ attachment }) => ('ports' in attachment ? attachment.ports.map(({ port }) => port) : []))),
    judge: (parentRef, attachment) => ({
      route: { kind: traits.kind, namespace, name },
      generation,
      parentRef,
      conditions: conditionsOf(attachment, translated, judged),
    }),
  };
}

/**
 * One port with its groups of routes: the producer's (routes of the Service's own namespace) and one per client
 * namespace (GEP-1294). A route that is attached counts even where none of its rules can be served: it replaces the
 * default forwarding, and calls fail rather than going where the author did not send them.
 */
function translatePort({ port, name, protocol, nodePort }: MeshPort, namespace: string, ranked: readonly AttachedRoute[]): ServicePort {
  const groups = new Map<string, AttachedRoute[]>();
  for (const route of ranked) {
    if (!route.held.has(port)) continue;
    const group = groups.get(route.namespace);
    if (group === undefined) groups.set(route.namespace, [route]);
    else group.push(route);
  }
  // All of one kind: the others do not hold.
  const table = (group: readonly AttachedRoute[]): RouteTable =>
    buildTable(
      group[0].traits.table,
      group.map(({ translated }) => translated.rules),
    );
  const producer = groups.get(namespace);
  const consumers = [...groups].filter(([client]) => client !== namespace).sort(([a], [b]) => (a < b ? -1 : 1));
  const [first] = [...groups.values()].flat();
  return create(ServicePortSchema, {
    port,
    name,
    protocol: protocol === Protocol.UNSPECIFIED && first !== undefined ? first.traits.protocol : protocol,
    routes: producer && table(producer),
    consumers: consumers.map(([client, group]) => create(ConsumerRoutesSchema, { namespace: client, routes: table(group) })),
    nodePort,
  });
}
