// A node whose processes are made up: which pod each is of, when it began, in which network it is.
import type { NamespaceId, Processes } from '#node-agent/process/proc.ts';

export interface FakeProcess {
  uid?: string;
  parent: number;
  startTime: number;
  /** Inode of its network namespace. */
  network: number;
}

/** The node's own network, and that of the agent's pod. */
export const NODE_NETWORK = 1;
export const AGENT_NETWORK = 2;
/** The runtime's process, parent of each pod's first. */
export const SHIM = 10;
export const AGENT = 11;

export class FakeNode implements Processes {
  readonly table = new Map<number, FakeProcess>([
    [SHIM, { parent: 1, startTime: 1, network: NODE_NETWORK }],
    [AGENT, { parent: SHIM, startTime: 2, network: AGENT_NETWORK }],
  ]);
  /** How often control groups were read. */
  reads = 0;
  open = 0;
  /** Called when a namespace is opened. */
  onOpen: (pid: number) => void = () => {};
  /** What opening throws. */
  refusal = '';

  ids(): number[] {
    return [...this.table.keys()];
  }

  podUid(pid: number): string | undefined {
    this.reads++;
    return this.table.get(pid)?.uid;
  }

  stat(pid: number) {
    return this.table.get(pid);
  }

  network(pid: number): NamespaceId {
    const process = this.table.get(pid);
    if (process === undefined) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    return { dev: 4, ino: process.network };
  }

  openNetwork(pid: number) {
    if (this.refusal !== '') throw Object.assign(new Error('refused'), { code: this.refusal });
    const id = this.network(pid);
    this.open++;
    this.onOpen(pid);
    return { fd: id.ino, id, close: () => void this.open-- };
  }
}
