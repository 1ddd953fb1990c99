// Memory of every container of Weft in the cluster: RSS and its anonymous part, from the kernel (/proc/<pid>/smaps_rollup). Our own cluster only.
// npx node test/cluster/measure/memory.ts
import { readdirSync, readFileSync } from 'node:fs';
import { SIDECAR_CONTAINER, SYSTEM_NAMESPACE } from '#core/names.ts';
import { openObjects, type PodItem } from '../support/objects.ts';
import { say } from './frame.ts';

const objects = await openObjects();
const pids = pidsByContainer();
for (const pod of await objects.list<PodItem>('pods')) {
  const { namespace, name } = pod.metadata;
  const statuses = [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])];
  for (const { name: container, containerID } of statuses) {
    if (namespace !== SYSTEM_NAMESPACE && container !== SIDECAR_CONTAINER) continue;
    for (const pid of pids.get(containerID?.replace(/^.*:\/\//, '') ?? '') ?? []) {
      const [rss, anonymous] = memoryOf(pid);
      say(`${`${namespace}/${name} ${container}`.padEnd(70)} RSS ${mebibytes(rss)} MiB, anonymous ${mebibytes(anonymous)} MiB`);
    }
  }
}
process.exit(0);

/** Process ids by container id: the cgroup of a process ends in the id of its container. */
function pidsByContainer(): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const id = /([0-9a-f]{64})/.exec(textOf(`/proc/${entry}/cgroup`))?.[1];
    if (id !== undefined) found.set(id, [...(found.get(id) ?? []), Number(entry)]);
  }
  return found;
}

/** [Rss, Anonymous] in KiB. */
function memoryOf(pid: number): [number, number] {
  const text = textOf(`/proc/${pid}/smaps_rollup`);
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
  return [field('Rss'), field('Anonymous')];
}

/** '' where the process has gone meanwhile. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function mebibytes(kib: number): string {
  return (kib / 1024).toFixed(1);
}
