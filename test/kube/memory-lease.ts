// One Lease in memory with the conflicts of a real one, and clients of it that can be cut off or held up.
import { type KubeClient, KubeError } from '#kube/api.ts';

type Spec = Record<string, unknown>;
interface Lease extends Record<string, unknown> {
  metadata: { name: string; resourceVersion: string };
  spec: Spec;
}

export class MemoryLease {
  /** Identities whose requests fail. */
  readonly unreachable = new Set<string>();
  /** Answers wait for letGo(). */
  holdBack = false;
  private lease: Lease | null = null;
  private version = 0;
  private held: (() => void)[] = [];

  get spec(): Spec | undefined {
    return this.lease?.spec;
  }

  remove(): void {
    this.lease = null;
  }

  edit(spec: Spec): void {
    this.store(spec);
  }

  letGo(): void {
    for (const go of this.held.splice(0)) go();
  }

  client(identity: string): KubeClient {
    return {
      server: 'memory',
      request: async <T>(method: string, _path: unknown, options?: { body?: unknown }): Promise<T> => {
        await Promise.resolve();
        if (this.unreachable.has(identity)) throw new KubeError('no answer', 0, 'ECONNREFUSED');
        const answer = this.answer(method, options?.body as Lease | undefined);
        if (this.holdBack) await new Promise<void>((resolve) => this.held.push(resolve));
        return structuredClone(answer) as T;
      },
      watch: () => Promise.reject(new Error('a Lease is not watched')),
    };
  }

  private answer(method: string, body: Lease | undefined): Lease {
    if (method === 'POST') {
      if (this.lease !== null) throw new KubeError('it exists', 409, 'AlreadyExists');
      return this.store(body!.spec);
    }
    if (this.lease === null) throw new KubeError('there is none', 404, 'NotFound');
    if (method === 'GET') return this.lease;
    if (body!.metadata.resourceVersion !== this.lease.metadata.resourceVersion) throw new KubeError('it was modified', 409, 'Conflict');
    return this.store(body!.spec);
  }

  private store(spec: Spec): Lease {
    this.lease = { metadata: { name: 'weft', resourceVersion: String(++this.version) }, spec };
    return this.lease;
  }
}
