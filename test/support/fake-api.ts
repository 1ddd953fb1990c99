// An API server of a few objects in memory, behind the interface that the control plane uses: lists, watches, versions
// that count up, conflicts.
import { KINDS, type KubeClient, KubeError, pathOf, type RequestOptions, type ResourcePath, type WatchOptions } from '#kube/api.ts';
import { FOLLOWED_KINDS } from '#objects/kinds.ts';

export interface Stored extends Record<string, unknown> {
  metadata: { namespace?: string; name: string; resourceVersion?: string; uid?: string; generation?: number };
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: Record<string, unknown> | undefined;
}

const PLURALS = new Set<string>([...Object.values(KINDS), ...FOLLOWED_KINDS].map(({ plural }) => plural));

export class FakeApi implements KubeClient {
  readonly server = 'https://fake.test';
  readonly asked: Asked[] = [];
  /** Path → object. */
  readonly objects = new Map<string, Stored>();
  /**
   * Answers instead of the store: what it returns, or the KubeError that it throws; undefined lets the store answer.
   */
  intercept: (asked: Asked) => unknown = () => undefined;
  private version = 100;
  private readonly watchers = new Set<(type: string, path: string, object: Stored) => void>();
  private readonly breakers = new Set<(error: KubeError) => void>();
  /** What new watches end with at once; null: they open. */
  private watchError: KubeError | null = null;
  private quiet = false;

  async request<T = Record<string, unknown>>(method: string, path: ResourcePath | string, options: RequestOptions = {}): Promise<T> {
    const asked: Asked = {
      method,
      path: typeof path === 'string' ? path : pathOf(path),
      body: options.body as Record<string, unknown> | undefined,
    };
    this.asked.push(asked);
    await Promise.resolve();
    return structuredClone((await this.intercept(asked)) ?? this.answer(asked, options.query?.fieldSelector)) as T;
  }

  watch(path: ResourcePath, { query, signal, onOpen, onEvent }: WatchOptions): Promise<void> {
    const collection = pathOf(path);
    const watcher = (type: string, of: string, object: Stored): void => {
      if (isIn(of, collection, query.fieldSelector)) onEvent({ type, object: structuredClone(object) });
    };
    if (this.watchError?.status === 0) return Promise.reject(this.watchError);
    this.watchers.add(watcher);
    onOpen?.();
    return new Promise((resolve, reject) => {
      const end = (then: () => void): void => {
        this.watchers.delete(watcher);
        this.breakers.delete(fail);
        then();
      };
      const fail = (error: KubeError): void => end(() => reject(error));
      this.breakers.add(fail);
      signal.addEventListener('abort', () => end(resolve));
    });
  }

  /** Ends all watches so; with status 0 (no server answers) new ones, too. */
  breakWatches(error: KubeError): void {
    this.watchError = error;
    for (const fail of [...this.breakers]) fail(error);
  }

  /** Changes something that no watch reports. */
  quietly(what: () => void): void {
    this.quiet = true;
    what();
    this.quiet = false;
  }

  /** As if another client had written it. */
  put(path: ResourcePath, object: Record<string, unknown>): Stored {
    return this.keep(pathOf(path), {
      ...object,
      metadata: { name: path.name!, namespace: path.namespace, ...(object.metadata as object) },
    } as Stored);
  }

  /** Watches report an object as it was, late. */
  report(path: ResourcePath, object: Stored): void {
    this.tell('MODIFIED', pathOf(path), object);
  }

  get(path: ResourcePath): Stored | undefined {
    return this.objects.get(pathOf(path));
  }

  drop(path: ResourcePath): void {
    this.answer({ method: 'DELETE', path: pathOf(path), body: undefined });
  }

  /** Requests that change something. */
  get writes(): Asked[] {
    return this.asked.filter(({ method }) => method !== 'GET');
  }

  private answer({ method, path, body }: Asked, selector?: string): unknown {
    const collection = PLURALS.has(path.split('/').at(-1)!);
    if (collection && method === 'GET') {
      const items = [...this.objects].filter(([of]) => isIn(of, path, selector)).map(([, object]) => object);
      return { metadata: { resourceVersion: String(this.version) }, items };
    }
    const key = collection ? `${path}/${(body as Stored).metadata.name}` : path.replace(/\/status$/, '');
    const stored = this.objects.get(key);
    if (collection && stored !== undefined) throw new KubeError('409 it exists', 409, 'AlreadyExists');
    if (collection) return this.keep(key, body as Stored);
    if (stored === undefined) throw new KubeError('404 not found', 404, 'NotFound');
    if (method === 'GET') return stored;
    if (method === 'DELETE') {
      this.objects.delete(key);
      this.tell('DELETED', key, stored);
      return stored;
    }
    if (method === 'PATCH') return this.keep(key, merged(stored, body!) as Stored);
    const { resourceVersion } = (body as Stored).metadata;
    if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion)
      throw new KubeError('409 the object has been modified', 409, 'Conflict');
    return this.keep(key, path.endsWith('/status') ? { ...stored, status: body!.status } : (body as Stored));
  }

  private keep(key: string, object: Stored): Stored {
    const stored = structuredClone(object);
    stored.metadata = { ...stored.metadata, resourceVersion: String(++this.version) };
    const type = this.objects.has(key) ? 'MODIFIED' : 'ADDED';
    this.objects.set(key, stored);
    this.tell(type, key, stored);
    return stored;
  }

  private tell(type: string, key: string, object: Stored): void {
    if (!this.quiet) for (const watcher of [...this.watchers]) watcher(type, key, object);
  }
}

/** RFC 7396. */
function merged(into: Record<string, unknown>, patch: Record<string, unknown>): Record<string, unknown> {
  const result = { ...into };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (typeof value !== 'object') result[key] = value;
    else result[key] = merged((result[key] ?? {}) as Record<string, unknown>, value as Record<string, unknown>);
  }
  return result;
}

function isIn(path: string, collection: string, selector: string | undefined): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const parent = path.slice(0, path.lastIndexOf('/'));
  const inside = parent === collection || parent.replace(/\/namespaces\/[^/]+/, '') === collection;
  return inside && (selector === undefined || selector === `metadata.name=${name}`);
}
