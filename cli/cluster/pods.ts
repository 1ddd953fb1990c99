// What a pod's status says in a few words. Pure.
import { SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import type { ClusterPod, ContainerStatus, Deployment } from './objects.ts';

/** "namespace/name", of any object. */
export function fullNameOf({ metadata }: { metadata?: { namespace?: string; name?: string } }): string {
  return `${metadata?.namespace ?? ''}/${metadata?.name ?? ''}`;
}

/** Neither ended nor on its way out: only such pods are judged. */
export function isLive({ metadata, status }: ClusterPod): boolean {
  return metadata?.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}

/** Whether the Ready condition is True. */
export function isReady({ status }: ClusterPod): boolean {
  return (status?.conditions ?? []).some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

/** The pods of a Deployment of the system namespace: those whose ReplicaSet is named after it. */
export function podsOf(pods: readonly ClusterPod[], deployment: string): readonly ClusterPod[] {
  return pods.filter(
    ({ metadata }) =>
      metadata?.namespace === SYSTEM_NAMESPACE &&
      metadata.ownerReferences?.some(({ kind, name }) => kind === 'ReplicaSet' && name?.replace(/-[^-]+$/, '') === deployment),
  );
}

/** The status of an init container, or undefined before the kubelet has written one. */
export function initContainer({ status }: ClusterPod, name: string): ContainerStatus | undefined {
  return status?.initContainerStatuses?.find((container) => container.name === name);
}

/**
 * Why a container does not run, "CrashLoopBackOff: back-off 10s …; it ended with code 1 (Error)"; '' when nothing is
 * known.
 */
export function troubleOf({ state, lastState, restartCount = 0 }: ContainerStatus): string {
  const ended = state?.terminated ?? lastState?.terminated;
  const parts = [
    [state?.waiting?.reason, state?.waiting?.message].filter(Boolean).join(': '),
    ended === undefined
      ? ''
      : `ended with code ${ended.exitCode ?? '?'}${ended.reason ? ` (${ended.reason})` : ''}${ended.message ? `: ${ended.message.trim()}` : ''}`,
    restartCount > 0 ? `${restartCount} restarts` : '',
  ];
  return parts.filter((part) => part !== '').join('; ');
}

/** Why a pod is not ready, from its containers, else from its conditions. */
export function podTrouble(pod: ClusterPod): string {
  const containers = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const container of containers) {
    const trouble = container.ready === true ? '' : troubleOf(container);
    if (trouble !== '') return `container ${container.name}: ${trouble}`;
  }
  const unmet = (pod.status?.conditions ?? []).filter(({ status, message }) => status !== 'True' && message);
  return unmet.find(({ type }) => type === 'PodScheduled')?.message ?? unmet[0]?.message ?? `phase ${pod.status?.phase ?? 'unknown'}`;
}

/** Why a Deployment has no available replica, from its conditions. */
export function deploymentTrouble({ status }: Deployment): string[] {
  return (status?.conditions ?? [])
    .filter(({ type, status: value }) => (type === 'ReplicaFailure' ? value === 'True' : value === 'False'))
    .map(({ reason, message }) => [reason, message].filter(Boolean).join(': '));
}
