// Objects of a cluster as verbs judge them: how a pod and a Deployment are doing. Only the fields that are read.
import type { InjectablePod, PodMetadata, PodSpec } from '#injector/pod.ts';
import type { ObjectMeta } from '#kube/object.ts';
import type { StoredCondition } from '#objects/condition.ts';

/** apps/v1 */
export interface Deployment {
  metadata?: ObjectMeta;
  spec?: {
    replicas?: number;
    template?: { spec?: { containers?: { env?: { name?: string; value?: string }[] }[] } };
  };
  status?: { readyReplicas?: number; availableReplicas?: number; updatedReplicas?: number; conditions?: StoredCondition[] };
}

export interface ContainerState {
  waiting?: { reason?: string; message?: string };
  running?: { startedAt?: string };
  terminated?: { exitCode?: number; reason?: string; message?: string };
}

export interface ContainerStatus {
  name?: string;
  ready?: boolean;
  started?: boolean;
  restartCount?: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

/** v1: what injection reads, and how the pod is doing. */
export interface ClusterPod extends InjectablePod {
  metadata?: PodMetadata & { creationTimestamp?: string; deletionTimestamp?: string };
  spec?: PodSpec & { nodeName?: string };
  status?: {
    phase?: string;
    conditions?: StoredCondition[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}
