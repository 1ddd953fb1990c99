// Memory of every container of Weft in the cluster: RSS and its anonymous part, from the kernel
// (/proc/<pid>/smaps_rollup). Our own cluster only.
// npx node test/cluster/measure/memory.ts
import { SIDECAR_CONTAINER, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { watch } from '../../../bench/processes.ts';
import { openObjects, type PodItem } from '../support/objects.ts';
import { mebibytes, say } from './frame.ts';
import { pidsByContainer } from './pods.ts';

const objects = await openObjects();
const pids = pidsByContainer();
for (const pod of await objects.list<PodItem>('pods')) {
  const { namespace, name } = pod.metadata;
  const statuses = [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])];
  for (const { name: container, containerID } of statuses) {
    if (namespace !== SYSTEM_NAMESPACE && container !== SIDECAR_CONTAINER) continue;
    for (const pid of pids.get(containerID?.replace(/^.*:\/\//, '') ?? '') ?? []) {
      say(`${`${namespace}/${name} ${container}`.padEnd(70)} ${mebibytes(watch(container, pid).memory())}`);
    }
  }
}
process.exit(0);
