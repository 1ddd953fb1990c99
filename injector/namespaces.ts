// What the injector knows of namespaces: a watch keeps it up to date, and single ones are asked for where that is too
// late.
import { ANNOTATION_PREFIX } from '#core/contract/annotations.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { namespaceKind } from '#objects/namespace.ts';
import type { NamespaceFacts } from './decide.ts';

/** The API server waits five seconds for a webhook's answer, and a review may ask twice. */
const LOOKUP_TIMEOUT_MS = 2000;

export class NamespaceCache {
  private readonly client: KubeClient;
  private known = new Map<string, NamespaceFacts>();
  /** Questions under way: a burst of pods in a new namespace asks once. */
  private readonly asking = new Map<string, Promise<NamespaceFacts | undefined>>();

  constructor(client: KubeClient) {
    this.client = client;
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
   * @returns undefined: there is no such namespace
   * @throws KubeError when it is not known and the API server cannot be asked
   */
  async lookup(name: string, fresh = false): Promise<NamespaceFacts | undefined> {
    const found = this.known.get(name);
    if (found !== undefined && !fresh) return found;
    let asked = this.asking.get(name);
    if (asked === undefined) {
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
