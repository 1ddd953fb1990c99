// Lists a collection in pages, so that neither the API server nor this program has to hold ten thousand raw objects at
// once.
import { type KubeClient, KubeError, type ResourcePath } from './api.ts';
import { isRecord } from './json-lines.ts';

export const PAGE_SIZE = 500;
const PAGE_TIMEOUT_MS = 30_000;
/** A list that outlives the server's history begins again; the last time in one piece, which cannot expire. */
const ATTEMPTS = 3;

export interface ListOptions {
  readonly query: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Called for each object; it has the apiVersion and kind that the server leaves out inside a list. */
  readonly item: (raw: Record<string, unknown>) => void;
  /** The pages so far are void: the list begins again. */
  readonly restart: () => void;
}

/**
 * All objects of a collection, as of one version.
 * @returns that version, from which to watch
 * @throws KubeError
 */
export async function listAll(client: KubeClient, path: ResourcePath, options: ListOptions): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await listPages(client, path, options, attempt < ATTEMPTS ? { limit: String(PAGE_SIZE) } : {});
    } catch (error) {
      if (!(error instanceof KubeError) || error.status !== 410 || attempt === ATTEMPTS) throw error;
      options.restart();
    }
  }
}

async function listPages(client: KubeClient, path: ResourcePath, options: ListOptions, limit: Record<string, string>): Promise<string> {
  const { query, signal, item } = options;
  let token = '';
  for (;;) {
    const page = await client.request('GET', path, {
      query: { ...query, ...limit, ...(token === '' ? {} : { continue: token }) },
      timeoutMs: PAGE_TIMEOUT_MS,
      signal,
    });
    const metadata = isRecord(page.metadata) ? page.metadata : {};
    if (typeof metadata.resourceVersion !== 'string' || !(Array.isArray(page.items) || page.items === null || page.items === undefined)) {
      throw new KubeError(`list ${path.kind.plural} at ${client.server}: the answer is not a list`, 200, 'InvalidAnswer');
    }
    const kind = typeof page.kind === 'string' ? page.kind.replace(/List$/, '') : undefined;
    for (const raw of (page.items ?? []) as unknown[]) {
      if (!isRecord(raw)) continue;
      raw.apiVersion ??= page.apiVersion;
      raw.kind ??= kind;
      item(raw);
    }
    token = typeof metadata.continue === 'string' ? metadata.continue : '';
    if (token === '') return metadata.resourceVersion;
  }
}
