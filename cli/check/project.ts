// What is kept of large objects: a cluster's pods and CRDs are read whole, and only what is judged stays in memory.
import type { Container } from '#injector/pod.ts';
import type { Service } from '#objects/service.ts';
import type { ClusterPod } from '../cluster/objects.ts';
import type { Crd, PodOwner } from './facts.ts';

/** Keeps of a pod what decide() and the verdicts read. */
export function projectPod(raw: Record<string, unknown>): ClusterPod {
  const { metadata = {}, spec = {}, status = {} } = raw as ClusterPod;
  const { name, namespace, labels, annotations, ownerReferences, creationTimestamp, deletionTimestamp } = metadata;
  return {
    metadata: { name, namespace, labels, annotations, ownerReferences, creationTimestamp, deletionTimestamp },
    spec: {
      nodeName: spec.nodeName,
      hostNetwork: spec.hostNetwork,
      os: spec.os,
      securityContext: spec.securityContext,
      initContainers: (spec.initContainers ?? []).map(projectContainer),
      containers: (spec.containers ?? []).map(projectContainer),
      volumes: (spec.volumes ?? []).map((volume) => ({ name: volume.name })),
    },
    status: {
      phase: status.phase,
      conditions: status.conditions,
      containerStatuses: status.containerStatuses,
      initContainerStatuses: status.initContainerStatuses,
    },
  };
}

function projectContainer({ name, restartPolicy, securityContext, startupProbe, readinessProbe, livenessProbe }: Container): Container {
  return { name, restartPolicy, securityContext, startupProbe, readinessProbe, livenessProbe };
}

/** Keeps of a CRD its annotations and versions; the schemas are most of it. */
export function projectCrd(raw: Record<string, unknown>): Crd {
  const { metadata, spec } = raw as Crd;
  return {
    metadata: { name: metadata?.name, annotations: metadata?.annotations },
    spec: { versions: (spec?.versions ?? []).map(({ name, served }) => ({ name, served })) },
  };
}

/** Keeps of a workload of this kind its own labels and annotations, and its template's. */
export function projectWorkload(kind: string, raw: Record<string, unknown>): PodOwner {
  const { metadata, spec } = raw as Pick<PodOwner, 'metadata'> & { spec?: { template?: { metadata?: PodOwner['template'] } } };
  const { name, namespace, labels, annotations } = metadata ?? {};
  const template = spec?.template?.metadata;
  return {
    kind,
    metadata: { name, namespace, labels, annotations },
    template: { labels: template?.labels, annotations: template?.annotations },
  };
}

/** Keeps of a Service its name. */
export function projectService(raw: Record<string, unknown>): Service {
  const { name, namespace } = (raw as Service).metadata ?? {};
  return { metadata: { name, namespace } };
}
