// A Pod object → what its sidecar has to know of its own pod. Pure.
import { create } from '@bufbuild/protobuf';
import { MtlsMode, type Telemetry, TelemetrySchema, type Workload, WorkloadSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { isNamespace, isServiceAccount, workloadSpiffeId } from '#core/contract/identity.ts';
import { LABEL_MTLS } from '#core/contract/names.ts';
import type { KubeObject } from '#kube/object.ts';
import { readAnnotations } from '#objects/annotations.ts';
import { fieldsOf, textOf } from '#objects/fields.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { Pod } from '#objects/pod.ts';
import type { PolicyTelemetry } from './policies/telemetry.ts';

/**
 * @param pod undefined, or one whose names no API server would take: nothing is known
 * @param policy what XTelemetryPolicies say for this pod
 * @param zoneOfNode the zone of a node, '' where it is in none
 * @returns ports stay empty: where traffic is captured, the original destination says them
 */
export function workloadOfPod(
  pod: Pod | undefined,
  namespace: Namespace | undefined,
  trustDomain: string,
  policy?: PolicyTelemetry,
  zoneOfNode: (node: string) => string = () => '',
): Workload | undefined {
  if (pod === undefined) return undefined;
  const metadata = fieldsOf(pod.metadata);
  const labels = fieldsOf(metadata.labels);
  const name = textOf(metadata.name) ?? '';
  const node = textOf(fieldsOf(pod.spec).nodeName) ?? '';
  const inNamespace = textOf(metadata.namespace) || 'default';
  const serviceAccount = textOf(fieldsOf(pod.spec).serviceAccountName) || 'default';
  if (!isNamespace(inNamespace) || !isServiceAccount(serviceAccount)) return undefined;
  // The pod's own label wins over its annotation, and that over its namespace's label.
  const mode = mtlsOf(labels) ?? mtlsOf(fieldsOf(metadata.annotations)) ?? mtlsOf(fieldsOf(fieldsOf(namespace?.metadata).labels));
  return create(WorkloadSchema, {
    namespace: inNamespace,
    pod: name,
    serviceAccount,
    identity: workloadSpiffeId(trustDomain, inNamespace, serviceAccount),
    mtls: mode ?? MtlsMode.PERMISSIVE,
    name: workloadName(name, textOf(labels['pod-template-hash']), labels['statefulset.kubernetes.io/pod-name'] !== undefined),
    telemetry: telemetryOf(pod, namespace, policy),
    node,
    zone: node === '' ? '' : zoneOfNode(node),
  });
}

/**
 * What a pod reports: its own annotation wins over its namespace's, and that over a policy. Undefined: none of them
 * says anything.
 */
export function telemetryOf(pod: KubeObject, namespace: KubeObject | undefined, policy?: PolicyTelemetry): Telemetry | undefined {
  const [own, around] = [readAnnotations(pod), readAnnotations(namespace)];
  const traceSampling = own.traceSampling ?? around.traceSampling ?? policy?.traceSampling;
  const accessLog = own.accessLog ?? around.accessLog;
  if (traceSampling === undefined && accessLog === undefined && policy === undefined) return undefined;
  return create(TelemetrySchema, { ...policy, traceSampling, accessLog: accessLog ?? '' });
}

// Kubernetes names a Deployment's pods <deployment>-<hash>-<5 letters>, a StatefulSet's <set>-<number>.
function workloadName(pod: string, hash: string | undefined, ordinal: boolean): string {
  const cut = hash === undefined ? -1 : pod.lastIndexOf(`-${hash}-`);
  if (cut > 0) return pod.slice(0, cut);
  return ordinal ? pod.replace(/-[0-9]+$/, '') : pod;
}

function mtlsOf(values: Readonly<Record<string, unknown>>): MtlsMode | undefined {
  const value = values[LABEL_MTLS];
  if (value === 'strict') return MtlsMode.STRICT;
  return value === 'permissive' ? MtlsMode.PERMISSIVE : undefined;
}
