// Pods to measure in: empty ones whose network a load and a server are started in, and the processes of containers. Our
// own cluster only.
import { readdirSync, readFileSync } from 'node:fs';
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { type Measured, watch } from '../../../bench/processes.ts';
import { PAUSE_IMAGE } from '../configuration.ts';
import type { Item, Objects, PodItem } from '../support/objects.ts';

/** A pod that does nothing, with a label app=<name>. */
export function emptyPod(namespace: string, name: string): Item {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name } },
    spec: { containers: [{ name: 'app', image: PAUSE_IMAGE, imagePullPolicy: 'Never' }], terminationGracePeriodSeconds: 1 },
  };
}

/** Makes pods, and waits until they are Ready. */
export async function startPods(objects: Objects, namespace: string, ...pods: readonly Item[]): Promise<void> {
  await objects.apply(...pods);
  const names = pods.map(({ metadata }) => `pod/${metadata.name}`);
  await objects.must(['wait', '--for=condition=Ready', ...names, '-n', namespace, '--timeout=120s']);
}

/** The process of a pod's sidecar, to be measured. */
export async function sidecarOf(objects: Objects, namespace: string, pod: string): Promise<Measured & { pid: number }> {
  const pid = await pidOf(objects, namespace, pod, SIDECAR_CONTAINER);
  return { ...watch(`weft-proxy of ${pod}`, pid), pid };
}

/**
 * Command that a program is started by to be in a pod's network, as root: not the sidecar's user, so it is captured.
 */
export async function inNetworkOf(objects: Objects, namespace: string, pod: string): Promise<string[]> {
  return ['nsenter', `--net=/proc/${await pidOf(objects, namespace, pod, 'app')}/ns/net`];
}

/** @throws Error when there is no such container, or its node is another machine */
export async function pidOf(objects: Objects, namespace: string, pod: string, container: string): Promise<number> {
  const { status } = (await objects.get<PodItem>('pod', pod, namespace))!;
  const statuses = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])];
  const id = statuses.find(({ name }) => name === container)?.containerID?.replace(/^.*:\/\//, '') ?? '';
  const pid = pidsByContainer().get(id)?.[0];
  if (pid === undefined) throw new Error(`${namespace}/${pod}: no process of container ${container} on this machine`);
  return pid;
}

/** Process ids by container id: the cgroup of a process ends in the id of its container. */
export function pidsByContainer(): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const id = /([0-9a-f]{64})/.exec(textOf(`/proc/${entry}/cgroup`))?.[1];
    if (id !== undefined) found.set(id, [...(found.get(id) ?? []), Number(entry)]);
  }
  return found;
}

/** '' where the process has gone meanwhile. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
