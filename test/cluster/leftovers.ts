// What a cluster leaves on the machine besides its processes: containers, mounts, cgroups, sockets, CNI's and the
// kubelet's files. Taken away here.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { containerdSocket } from './configuration.ts';
import { exec } from './exec.ts';
import { allPids, statOf } from './processes.ts';

const CONTAINER_LOGS = '/var/log/containers';
const CNI_RESULTS = '/var/lib/cni/results';
const CGROUPS = '/sys/fs/cgroup';
/** A mount under a mount has to go first; more rounds than this and something is busy. */
const UMOUNT_ROUNDS = 5;
const KILL_WAIT_MS = 3_000;

const list = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/**
 * containerd's shims of this cluster, recognised by the address of its socket on their command line, and all that runs
 * below them.
 */
export function containerPids(directory: string): number[] {
  const socket = containerdSocket(directory);
  const pids = allPids();
  const found = new Set(pids.filter((pid) => commandLine(pid).includes(socket) && commandLine(pid)[0].includes('containerd-shim')));
  const children = new Map<number, number[]>();
  for (const pid of pids) {
    const parent = statOf(pid)?.parent;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found];
}

/** Removes all containers while containerd still runs: it takes their cgroups and network away with them. */
export async function removeTasks(directory: string): Promise<void> {
  const ctr = ['-a', containerdSocket(directory), '-n', 'k8s.io'];
  const { stdout, code } = await exec('ctr', [...ctr, 'tasks', 'ls', '-q'], { timeoutMs: 5_000 });
  if (code !== 0) return;
  const tasks = stdout.split('\n').filter(Boolean);
  await Promise.all(tasks.map((task) => exec('ctr', [...ctr, 'tasks', 'rm', '-f', task], { timeoutMs: 20_000 })));
}

async function killContainers(directory: string): Promise<void> {
  const deadline = Date.now() + KILL_WAIT_MS;
  for (let pids = containerPids(directory); pids.length > 0 && Date.now() < deadline; pids = containerPids(directory)) {
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Ended in between.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((mount) => mount.startsWith(`${directory}/`));
}

async function unmountAll(directory: string): Promise<void> {
  for (let round = 0; round < UMOUNT_ROUNDS; round++) {
    const mounts = mountsBelow(directory).sort().reverse();
    if (mounts.length === 0) return;
    // The last round lets go of what is still busy.
    await exec('umount', [...(round === UMOUNT_ROUNDS - 1 ? ['--lazy'] : []), ...mounts]);
  }
}

/** containerd's folders of containers that were not removed properly: their names, and the shims' sockets. */
function removeShimTraces(directory: string): string[] {
  const state = `${directory}/run/containerd/io.containerd.runtime.v2.task/k8s.io`;
  const containers = list(state);
  for (const id of containers) {
    const address = path.join(state, id, 'address');
    if (existsSync(address)) rmSync(readFileSync(address, 'utf8').replace(/^unix:\/\//, ''), { force: true });
  }
  return containers;
}

/** Folders of these containers in any of the cgroup hierarchies, with those below. */
function removeCgroups(containers: readonly string[]): void {
  const wanted = new Set(containers);
  const removeTree = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) removeTree(path.join(directory, entry.name));
    }
    try {
      rmdirSync(directory);
    } catch {
      // A process is still ending in it: the kernel keeps an empty folder, which does no harm.
    }
  };
  const search = (directory: string, depth: number): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const below = path.join(directory, entry.name);
      if (wanted.has(entry.name)) removeTree(below);
      else if (depth > 0) search(below, depth - 1);
    }
  };
  if (wanted.size > 0 && existsSync(CGROUPS)) search(CGROUPS, 4);
  // Above them is a folder that all clusters of the machine share: the last one takes it away.
  for (const above of [CGROUPS, ...list(CGROUPS).map((name) => path.join(CGROUPS, name))]) {
    try {
      rmdirSync(path.join(above, 'k8s.io'));
    } catch {
      // Not there, or in use.
    }
  }
}

function isLinkInto(directory: string, file: string): boolean {
  try {
    return lstatSync(file).isSymbolicLink() && readlinkSync(file).startsWith(`${directory}/`);
  } catch {
    return false;
  }
}

/** Takes everything away that is left once containerd has ended. */
export async function removeLeftovers(directory: string): Promise<void> {
  await killContainers(directory);
  const containers = removeShimTraces(directory);
  await unmountAll(directory);
  removeCgroups(containers);
  for (const name of list(CNI_RESULTS)) {
    const file = path.join(CNI_RESULTS, name);
    // CNI remembers for each pod the network namespace it was for: ours lie below our directory.
    if (readFileSync(file, 'utf8').includes(`${directory}/`)) rmSync(file, { force: true });
  }
  for (const name of list(CONTAINER_LOGS)) {
    const file = path.join(CONTAINER_LOGS, name);
    if (isLinkInto(directory, file)) rmSync(file, { force: true });
  }
}

/** For a report: what of the cluster is still on the machine. */
export function whatIsLeft(directory: string, network: string): string[] {
  return [
    ...containerPids(directory).map((pid) => `process ${pid}`),
    ...mountsBelow(directory).map((mount) => `mount ${mount}`),
    ...list('/sys/class/net')
      .filter((name) => name === network)
      .map((name) => `link ${name}`),
    ...list('/run/netns')
      .filter((name) => name === network)
      .map((name) => `network namespace ${name}`),
  ];
}
