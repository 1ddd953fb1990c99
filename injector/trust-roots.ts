// The mesh's roots as the control plane publishes them: injection gives them to sidecars for their first seconds.
import { splitPem } from '#certs/authority.ts';
import { TRUST_CONFIG_MAP, TRUST_KEY } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { KubeObject } from '#kube/object.ts';

interface TrustConfigMap extends KubeObject {
  roots: string;
}

export class TrustRoots {
  private readonly log: Logger;
  private known = '';

  constructor(log: Logger) {
    this.log = log;
  }

  /** For a Reflector on the ConfigMap, with `projectTrust`. */
  readonly handler = {
    synced: (objects: KubeObject[]): void => this.see(objects[0] as TrustConfigMap | undefined),
    applied: (object: KubeObject): void => this.see(object as TrustConfigMap),
    removed: (): void => this.see(undefined),
  };

  /** PEM; '' before there are any. */
  pem(): string {
    return this.known;
  }

  private see(found: TrustConfigMap | undefined): void {
    const roots = found?.roots ?? '';
    if (roots !== '') this.known = roots;
    else if (this.known !== '')
      this.log.warn('the roots are gone from their ConfigMap; the last ones stay in use', { name: TRUST_CONFIG_MAP });
  }
}

/** Keeps of the ConfigMap the certificates in it. */
export function projectTrust(raw: Record<string, unknown>): TrustConfigMap {
  const { metadata, data } = raw as KubeObject & { data?: Record<string, unknown> };
  return { metadata: { name: metadata?.name }, roots: rootsOf(data?.[TRUST_KEY]) };
}

/** The PEM certificates of a text, one behind the other and nothing else; '' when there are none. */
export function rootsOf(text: unknown): string {
  return typeof text === 'string'
    ? splitPem(text)
        .map((pem) => `${pem}\n`)
        .join('')
    : '';
}
