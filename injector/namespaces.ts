// What the injector knows of namespaces: a watch keeps it up to date, and single ones are asked for where that is too
// late.
import { ANNOTATION_PREFIX } from '#core/contract/annotations.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { namespaceKind } from '#objects/namespace.ts';
import type { NamespaceFacts } from './decide.ts';

/** The API server waits five seconds for a webhook's answer, and a review may ask twice. */
const LOOKUP_TIMEOUT_MS = 2000;

/** Questions that one address may cause: so many per minute, so many at once. Reviews of known namespaces cause none. */
export const LOOKUPS_PER_MINUTE = 600;
export const LOOKUPS_BURST = 200;

export class NamespaceCache {
  private readonly client: KubeClient;
  private readonly limit: RateLimit;
  private known = new Map<string, NamespaceFacts>();
  /** Questions under way: a burst of pods in a new namespace asks once. */
  private readonly asking = new Map<string, Promise<NamespaceFacts | undefined>>();

  /** @param now Unix ms */
  constructor(client: KubeClient, now: () => number = () => 0) {
    this.client = client;
    this.limit = new RateLimit(LOOKUPS_PER_MINUTE, LOOKUPS_BURST, now);
  }

  /** For a Reflector on namespaces. */
  readonly handler = {
    synced: (objects: KubeObject[]): void => {
      this.known = new Map(objects.map((object) => [object.metadata?.name ?? '', factsOf(object)]));
    },
    applied: (object: KubeObject): void => void this.known.set(object.metadata?.name ?? '', factsOf(object)),
    removed: (object: KubeObject): void => void this.known.delete(object.metadata?.name ?? ''),
  };

  /**
   * A namespace's facts.
   * @param fresh asks the API server even when it is known
   * @param sender the address that causes the question
   * @returns undefined: there is no such namespace
   * @throws KubeError when it is not known and the API server cannot be asked
   */
  async lookup(name: string, fresh = false, sender = ''): Promise<NamespaceFacts | undefined> {
    const found = this.known.get(name);
    if (found !== undefined && !fresh) return found;
    let asked = this.asking.get(name);
    if (asked === undefined) {
      if (!this.limit.take(sender)) throw new KubeError('too many questions about namespaces from one address', 429, 'TooManyRequests');
      asked = this.ask(name).finally(() => this.asking.delete(name));
      this.asking.set(name, asked);
    }
    return asked;
  }

  private async ask(name: string): Promise<NamespaceFacts | undefined> {
    try {
      // It is not kept, because only the watch learns when it changes.
      return factsOf(await this.client.request<KubeObject>('GET', { kind: namespaceKind, name }, { timeoutMs: LOOKUP_TIMEOUT_MS }));
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return undefined;
      throw error;
    }
  }
}

/** Keeps of a namespace what injection reads: its name, labels, and Weft's annotations. */
export function projectNamespace(raw: Record<string, unknown>): KubeObject {
  const { name, labels, annotations } = (raw as KubeObject).metadata ?? {};
  return { metadata: { name, labels: onlyTexts(labels, ''), annotations: onlyTexts(annotations, ANNOTATION_PREFIX) } };
}

function factsOf(object: KubeObject): NamespaceFacts {
  const { name = '', labels, annotations } = object.metadata ?? {};
  return { name, labels: onlyTexts(labels, ''), annotations: onlyTexts(annotations, ANNOTATION_PREFIX) };
}

function onlyTexts(map: Record<string, string> | undefined, prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key, value]) => key.startsWith(prefix) && typeof value === 'string'));
}
