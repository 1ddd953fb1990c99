// What is kept of each object that the API server sends: the parts that Weft reads, and nothing else. Memory grows with pods and endpoints, so this is
// where it is saved. Pure.
import {
  ANNOTATION_ACCESS_LOG,
  ANNOTATION_STATUS,
  ANNOTATION_TRACE_SAMPLING,
  LABEL_INJECT,
  LABEL_MTLS,
  SIDECAR_CONTAINER,
} from '#core/contract/names.ts';
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
  type Namespace,
  type ObjectMeta,
  type Pod,
  type ReferenceGrant,
  type RouteStatus,
  type XTelemetryPolicy,
} from './types.ts';

/** The API server leaves apiVersion and kind out of the items of a list. */
const API_VERSION: Readonly<Record<string, string>> = {
  Pod: 'v1',
  Namespace: 'v1',
  GRPCRoute: `${GATEWAY_GROUP}/v1`,
  ReferenceGrant: `${GATEWAY_GROUP}/v1beta1`,
  XTelemetryPolicy: `${EXPERIMENTAL_GROUP}/v1alpha1`,
};

const POD_LABELS = [LABEL_MTLS, 'pod-template-hash', 'statefulset.kubernetes.io/pod-name'];
const POD_ANNOTATIONS = [LABEL_MTLS, ANNOTATION_TRACE_SAMPLING, ANNOTATION_ACCESS_LOG];
const NAMESPACE_LABELS = [LABEL_INJECT, LABEL_MTLS];
const NAMESPACE_ANNOTATIONS = [ANNOTATION_TRACE_SAMPLING, ANNOTATION_ACCESS_LOG];
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
  Pod: (object, metadata) => {
    const { serviceAccountName, hostNetwork } = fieldsOf((object as Pod).spec);
    const { phase, podIP, podIPs } = fieldsOf((object as Pod).status);
    const labels = some(metadata.labels, POD_LABELS);
    const annotations = some(metadata.annotations, POD_ANNOTATIONS);
    const status = sidecarStatus(object as Pod, metadata);
    return {
      metadata: present({
        ...named(metadata),
        uid: metadata.uid,
        labels,
        annotations: status === undefined ? annotations : { ...annotations, ...status },
      }),
      spec: present({ serviceAccountName, hostNetwork }),
      status: present({ phase, podIP, podIPs }),
    } as Pod;
  },
  Namespace: (_, metadata) =>
    ({
      metadata: present({
        name: metadata.name,
        uid: metadata.uid,
        deletionTimestamp: metadata.deletionTimestamp,
        labels: some(metadata.labels, NAMESPACE_LABELS),
        annotations: some(metadata.annotations, NAMESPACE_ANNOTATIONS),
      }),
    }) as Namespace,
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

/**
 * The status annotation of a pod that has a sidecar: the store's pods are known by it. The container decides: the annotation alone may be a copy,
 * and calls to a pod without a sidecar must not be mTLS; one that was taken away makes no difference.
 */
function sidecarStatus({ spec }: Pod, { annotations }: Partial<ObjectMeta>): Record<string, string> | undefined {
  const containers = entriesOf(fieldsOf(spec).initContainers);
  if (!containers.some((container) => fieldsOf(container).name === SIDECAR_CONTAINER)) return undefined;
  return { [ANNOTATION_STATUS]: fieldsOf(annotations)[ANNOTATION_STATUS] ?? '{}' };
}

/** All entries, others' too: the list is written back as one. */
function statusOf(status: RouteStatus | undefined): RouteStatus | undefined {
  const parents = entriesOf(fieldsOf(status).parents);
  return parents.length === 0 ? undefined : { parents: [...parents] };
}
