// The processes full of sidecars, as one.
import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import type { CrowdAnswer, CrowdMember, CrowdOrder, CrowdStart } from './crowd-program.ts';

/** Sidecars of one process. */
const OF_ONE_PROCESS = 500;
const HEAP_MIB = 8192;

export interface CrowdSettings extends Omit<CrowdStart, 'members' | 'network'> {
  /** Of the machine, as taskset takes them. */
  readonly cores: string;
}

export class Crowd {
  private readonly settings: CrowdSettings;
  private readonly children: ChildProcess[] = [];
  private count = 0;
  private readonly firstNetwork: number;

  /** @param firstNetwork its processes have addresses of 127.<100 + this, and so on>.0.0/16 */
  constructor(settings: CrowdSettings, firstNetwork = 0) {
    this.settings = settings;
    this.firstNetwork = firstNetwork;
  }

  get size(): number {
    return this.count;
  }

  /** Adds these; they begin to connect. */
  async add(members: readonly CrowdMember[]): Promise<void> {
    for (let from = 0; from < members.length; from += OF_ONE_PROCESS) {
      const part = members.slice(from, from + OF_ONE_PROCESS);
      const program = path.join(import.meta.dirname, 'crowd-program.ts');
      const { cores, ...settings } = this.settings;
      const child = spawn('taskset', ['-c', cores, process.execPath, `--max-old-space-size=${HEAP_MIB}`, program], {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      });
      const network = this.firstNetwork + this.children.length;
      this.children.push(child);
      this.count += part.length;
      await ask(child, { do: 'start', with: { ...settings, network, members: part } });
    }
  }

  /** @returns Unix ms: when the last of them was connected, or was not any more */
  connected(connected = true): Promise<number> {
    return this.last({ do: 'await', connected });
  }

  /** From now on it is noted who gets this resource. */
  async mark(resource: string): Promise<void> {
    await this.last({ do: 'mark', resource });
  }

  /** @returns Unix ms: when the last one had it */
  marked(): Promise<number> {
    return this.last({ do: 'await marked' });
  }

  /** Octets that all have received. */
  async octets(): Promise<number> {
    const answers = await this.all({ do: 'octets' });
    return answers.reduce((sum, { octets }) => sum + octets, 0);
  }

  /** The stream of one of the first process's members ends, or begins anew. */
  async toggle(member: number): Promise<void> {
    await ask(this.children[0]!, { do: 'toggle', member });
  }

  end(): void {
    for (const child of this.children) child.kill('SIGKILL');
  }

  private async last(order: CrowdOrder): Promise<number> {
    return Math.max(...(await this.all(order)).map(({ atMs }) => atMs));
  }

  private all(order: CrowdOrder): Promise<CrowdAnswer[]> {
    return Promise.all(this.children.map((child) => ask(child, order)));
  }
}

/** One order at a time. */
function ask(child: ChildProcess, order: CrowdOrder): Promise<CrowdAnswer> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error('a process of sidecars has ended'));
    child.once('exit', ended);
    child.once('message', (answer) => {
      child.off('exit', ended);
      resolve(answer as CrowdAnswer);
    });
    child.send(order);
  });
}
