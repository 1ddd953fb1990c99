// The control groups of a cluster's pods: a directory of its own in each hierarchy of the machine, below which the
// kubelet makes one per pod, as on any node.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';

const MOUNT = '/sys/fs/cgroup';
/** What the kubelet asks of each hierarchy before it starts (pkg/kubelet/cm/cgroup_manager_linux.go). */
const NEEDED = ['cpu', 'cpuacct', 'cpuset', 'memory', 'pids', 'systemd'];
const NEEDED_V2 = ['cpu', 'cpuset', 'memory', 'pids'];

/** The directories that are the cluster's: one per hierarchy of version 1, a single one of version 2. */
function rootsOf(name: string): string[] {
  if (existsSync(path.join(MOUNT, 'cgroup.controllers'))) return [path.join(MOUNT, name)];
  return (existsSync(MOUNT) ? readdirSync(MOUNT) : []).map((hierarchy) => path.join(MOUNT, hierarchy, name));
}

/**
 * Makes the directories.
 * @returns whether the kubelet can have a control group per pod here. Where it cannot, such as in a container without
 *   controllers of its own, pods run all the same
 */
export function makePodCgroups(name: string): boolean {
  const enabled = path.join(MOUNT, 'cgroup.subtree_control');
  if (existsSync(enabled)) {
    const controllers = readFileSync(enabled, 'utf8').trim().split(' ');
    if (!NEEDED_V2.every((controller) => controllers.includes(controller))) return false;
  } else if (!NEEDED.every((hierarchy) => existsSync(path.join(MOUNT, hierarchy)))) return false;
  try {
    for (const directory of rootsOf(name)) mkdirSync(directory, { recursive: true });
    return true;
  } catch {
    removePodCgroups(name);
    return false;
  }
}

/** Whether they are there. */
export function hasPodCgroups(name: string): boolean {
  return rootsOf(name).some((directory) => existsSync(directory));
}

/** Removes them with all that is below; a process that is still ending keeps its own for a moment, which does no harm. */
export function removePodCgroups(name: string): void {
  for (const directory of rootsOf(name)) removeTree(directory);
}

function removeTree(directory: string): void {
  if (!existsSync(directory)) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(path.join(directory, entry.name));
  }
  try {
    rmdirSync(directory);
  } catch {
    // Busy.
  }
}
