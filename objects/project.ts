// What is kept of each object that the API server sends: the parts that Weft reads, and nothing else. Memory grows with pods and endpoints, so this is
// where it is saved. Pure.
import { ANNOTATION_TRACE_SAMPLING } from '#core/contract/names.ts';
import { entriesOf, fieldsOf } from './fields.ts';
import { apiVersionOf } from './kind.ts';
import { followedKind } from './kinds.ts';
import { named, present, some } from './metadata.ts';
import type { StoredKind } from './stored-kinds.ts';
import {
  EXPERIMENTAL_GROUP,
  GATEWAY_GROUP,
  type GRPCRoute,
  type KubeObject,
  type ObjectMeta,
  type ReferenceGrant,
  type RouteStatus,
  type XTelemetryPolicy,
} from './types.ts';

/** The API server leaves apiVersion and kind out of the items of a list. */
const API_VERSION: Readonly<Record<string, string>> = {
  GRPCRoute: `${GATEWAY_GROUP}/v1`,
  ReferenceGrant: `${GATEWAY_GROUP}/v1beta1`,
  XTelemetryPolicy: `${EXPERIMENTAL_GROUP}/v1alpha1`,
};

const ROUTE_ANNOTATIONS = [ANNOTATION_TRACE_SAMPLING];

/** The object as the store holds it. Fields of wrong types are kept as they are: translate/ is who judges them. */
export function project(kind: StoredKind, raw: Record<string, unknown>): KubeObject {
  const object = raw as KubeObject;
  const known = followedKind(kind);
  if (known !== undefined) return { apiVersion: apiVersionOf(known), kind, ...known.keep(object, fieldsOf(object.metadata)) };
  return { apiVersion: API_VERSION[kind], kind, ...PARTS[kind](object, fieldsOf(object.metadata)) };
}

type Parts = (object: KubeObject, metadata: Partial<ObjectMeta>) => KubeObject;

const PARTS: Readonly<Record<string, Parts>> = {
  GRPCRoute: (object, metadata) => {
    const { generation, creationTimestamp, resourceVersion, uid } = metadata;
    const { spec, status } = object as GRPCRoute;
    return {
      metadata: present({
        ...named(metadata),
        generation,
        creationTimestamp,
        resourceVersion,
        uid,
        annotations: some(metadata.annotations, ROUTE_ANNOTATIONS),
      }),
      spec,
      status: statusOf(status),
    } as GRPCRoute;
  },
  XTelemetryPolicy: (object, metadata) => {
    const { generation, creationTimestamp, resourceVersion, uid } = metadata;
    const { spec, status } = object as XTelemetryPolicy;
    const ancestors = entriesOf(fieldsOf(status).ancestors);
    return {
      metadata: present({ ...named(metadata), generation, creationTimestamp, resourceVersion, uid }),
      spec,
      status: ancestors.length === 0 ? undefined : { ancestors },
    } as XTelemetryPolicy;
  },
  ReferenceGrant: (object, metadata) => ({ metadata: named(metadata), spec: (object as ReferenceGrant).spec }) as ReferenceGrant,
};

/** All entries, others' too: the list is written back as one. */
function statusOf(status: RouteStatus | undefined): RouteStatus | undefined {
  const parents = entriesOf(fieldsOf(status).parents);
  return parents.length === 0 ? undefined : { parents: [...parents] };
}
