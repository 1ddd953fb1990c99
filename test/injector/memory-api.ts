// An API server's memory for tests: objects by path, resourceVersions, conflicts; failures on demand. It speaks
// KubeClient, without sockets.
import { applyPatch } from 'rfc6902';
import { type KubeClient, KubeError, pathOf, type RequestOptions, type ResourcePath, type WatchOptions } from '#kube/api.ts';

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
  /** Called for each change. */
  onChange: (path: string, object: Stored) => void = () => {};
  private version = 0;
  private readonly listeners = new Set<(key: string, object: Stored | undefined) => void>();

  put(path: ResourcePath, object: Json): void {
    const key = pathOf(path);
    const stored = structuredClone({
      ...object,
      metadata: { ...(object.metadata as object), name: path.name!, resourceVersion: `${++this.version}` },
    });
    this.objects.set(key, stored);
    this.onChange(key, stored);
    this.tell(key, stored);
  }

  async request<T>(method: string, path: ResourcePath | string, { body, query }: RequestOptions = {}): Promise<T> {
    const key = typeof path === 'string' ? path : pathOf(path);
    this.requests.push(`${method} ${key}`);
    // A network is between them: others come first.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failure !== undefined) throw this.failure;
    const object = body as Stored;
    if (method === 'GET' && /\/[a-z]+s$/.test(key) && !this.objects.has(key)) return this.list(key, query) as T;
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

  /** Never ends but by the signal, as a quiet watch does; it reports changes since then. */
  watch(path: ResourcePath, { query, signal, onEvent }: WatchOptions): Promise<void> {
    const prefix = `${pathOf(path)}/`;
    const wanted = nameIn(query);
    const listener = (key: string, object: Stored | undefined): void => {
      const name = key.slice(prefix.length);
      if (!key.startsWith(prefix) || name.includes('/') || (wanted !== undefined && wanted !== name)) return;
      onEvent(
        object === undefined ? { type: 'DELETED', object: { metadata: { name } } } : { type: 'MODIFIED', object: structuredClone(object) },
      );
    };
    this.listeners.add(listener);
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        this.listeners.delete(listener);
        reject(new KubeError('aborted', 0, 'ABORT_ERR'));
      });
    });
  }

  remove(path: ResourcePath): void {
    this.objects.delete(pathOf(path));
    this.tell(pathOf(path), undefined);
  }

  private list(key: string, query: Readonly<Record<string, string>> | undefined): Json {
    const wanted = nameIn(query ?? {});
    const items = [...this.objects].filter(([path]) => path.startsWith(`${key}/`) && !path.slice(key.length + 1).includes('/'));
    return {
      metadata: { resourceVersion: `${this.version}` },
      items: structuredClone(items.map(([, object]) => object).filter(({ metadata }) => wanted === undefined || metadata.name === wanted)),
    };
  }

  private tell(key: string, object: Stored | undefined): void {
    for (const listener of [...this.listeners]) setImmediate(() => this.listeners.has(listener) && listener(key, object));
  }

  private store(key: string, object: Stored): Stored {
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = `${++this.version}`;
    this.objects.set(key, stored);
    this.onChange(key, stored);
    this.tell(key, stored);
    return structuredClone(stored);
  }
}

function nameIn(query: Readonly<Record<string, string>>): string | undefined {
  return /^metadata\.name=(.*)$/.exec(query.fieldSelector ?? '')?.[1];
}
