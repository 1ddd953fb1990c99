// translate(): the first of the three pure functions. Kubernetes objects in, what sidecars need to know of one Service and what its routes' authors
// need to know out.
import type { Endpoints, Service } from '#core/gen/weft/v1/mesh_pb.ts';
import type { Condition, ParentReference } from '../kube/types.ts';
import type { ObjectView } from '../objects.ts';

export interface TranslateOptions {
  /** Of the SPIFFE ids of endpoints, such as "cluster.local". */
  readonly trustDomain: string;
  /**
   * Whether a backendRef into a third namespace needs a ReferenceGrant there. Default false: a mesh route only augments what its clients can reach
   * anyway (GEP-1294), and Weft opens nothing that was closed. When true, the route's own namespace and the parent Service's still need none
   * (the latter is what MeshConsumerRoute demands).
   */
  readonly strictReferenceGrants?: boolean;
}

/** One entry of a route's status.parents, to be written with our controllerName. */
export interface RouteParentStatus {
  readonly route: { readonly kind: 'GRPCRoute'; readonly namespace: string; readonly name: string };
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
  /** Of every parentRef to this Service, also of one that does not exist; by route, then in the order of its parentRefs. */
  readonly statuses: readonly RouteParentStatus[];
}

export type TranslateService = (objects: ObjectView, key: string, options: TranslateOptions) => Translation;
