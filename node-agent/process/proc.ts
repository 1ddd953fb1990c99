// The node's processes, as /proc shows them to a container with hostPID. What has gone meanwhile is absent, never an
// error.
import fs from 'node:fs';
import { podOfGroups } from './control-group.ts';
import { type ProcessStat, processStatOf } from './process-stat.ts';

/** A namespace of the kernel: the device and inode of its file (namespaces(7)). */
export interface NamespaceId {
  readonly dev: number;
  readonly ino: number;
}

/** What the agent asks of a node's processes. */
export interface Processes {
  /** The ids of all. */
  ids(): number[];
  podUid(pid: number): string | undefined;
  stat(pid: number): ProcessStat | undefined;
  /** The network namespace of a process. @throws the system's error, such as EACCES without SYS_PTRACE */
  network(pid: number): NamespaceId;
  /** The same, open: it stays the same whatever becomes of the process. To be closed. @throws as network() does */
  openNetwork(pid: number): { readonly fd: number; readonly id: NamespaceId; close(): void };
}

/** @param root of the file system; another one in tests */
export function nodeProcesses(root = '/proc'): Processes {
  const textOf = (pid: number, file: string): string => {
    try {
      return fs.readFileSync(`${root}/${pid}/${file}`, 'utf8');
    } catch {
      return '';
    }
  };
  const networkFile = (pid: number): string => `${root}/${pid}/ns/net`;
  return {
    ids: () => fs.readdirSync(root).flatMap((name) => (/^\d+$/.test(name) ? Number(name) : [])),
    podUid: (pid) => podOfGroups(textOf(pid, 'cgroup')),
    stat: (pid) => processStatOf(textOf(pid, 'stat')),
    network: (pid) => idOf(fs.statSync(networkFile(pid))),
    openNetwork: (pid) => {
      const fd = fs.openSync(networkFile(pid), 'r');
      return { fd, id: idOf(fs.fstatSync(fd)), close: () => fs.closeSync(fd) };
    },
  };
}

function idOf({ dev, ino }: fs.Stats): NamespaceId {
  return { dev, ino };
}

export function isSameNamespace(one: NamespaceId, other: NamespaceId): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}
