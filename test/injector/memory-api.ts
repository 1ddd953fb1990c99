// An API server's memory for tests: objects by path, resourceVersions, conflicts; failures on demand. It speaks KubeClient, without sockets.
import { applyPatch } from 'rfc6902';
import { type KubeClient, KubeError, pathOf, type RequestOptions, type ResourcePath } from '#kube/api.ts';

type Json = Record<string, unknown>;
interface Stored extends Json {
  metadata: { name: string; resourceVersion?: string };
}

export class MemoryApi implements KubeClient {
  readonly server = 'memory:';
  readonly objects = new Map<string, Stored>();
  /** `GET /api/v1/…`, in order. */
  readonly requests: string[] = [];
  /** Set: every request ends with it. */
  failure: KubeError | undefined;
  /** Told of each change. */
  onChange: (path: string, object: Stored) => void = () => {};
  private version = 0;

  put(path: ResourcePath, object: Json): void {
    const key = pathOf(path);
    const stored = structuredClone({
      ...object,
      metadata: { ...(object.metadata as object), name: path.name!, resourceVersion: `${++this.version}` },
    });
    this.objects.set(key, stored);
    this.onChange(key, stored);
  }

  async request<T>(method: string, path: ResourcePath | string, { body }: RequestOptions = {}): Promise<T> {
    const key = typeof path === 'string' ? path : pathOf(path);
    this.requests.push(`${method} ${key}`);
    // A network is between them: others come first.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failure !== undefined) throw this.failure;
    const object = body as Stored;
    const found = this.objects.get(method === 'POST' ? `${key}/${object.metadata.name}` : key);
    if (method === 'POST') {
      if (found !== undefined) throw new KubeError('already exists', 409, 'AlreadyExists');
      return this.store(`${key}/${object.metadata.name}`, object) as T;
    }
    if (found === undefined) throw new KubeError('not found', 404, 'NotFound');
    if (method === 'GET') return structuredClone(found) as T;
    if (method === 'PUT') {
      const { resourceVersion } = object.metadata;
      if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
        throw new KubeError('conflict', 409, 'Conflict');
      return this.store(key, object) as T;
    }
    if (method === 'PATCH') {
      const patched = structuredClone(found);
      const failed = applyPatch(patched, structuredClone(body) as Parameters<typeof applyPatch>[1]).find(Boolean);
      if (failed) throw new KubeError(failed.message, 422, 'Invalid');
      return this.store(key, patched) as T;
    }
    throw new KubeError(`no ${method} here`, 405, 'MethodNotAllowed');
  }

  watch(): Promise<void> {
    throw new KubeError('no watch here', 405, 'MethodNotAllowed');
  }

  private store(key: string, object: Stored): Stored {
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = `${++this.version}`;
    this.objects.set(key, stored);
    this.onChange(key, stored);
    return structuredClone(stored);
  }
}
