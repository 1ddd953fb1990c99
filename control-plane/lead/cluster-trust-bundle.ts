// Further roots from a ClusterTrustBundle of the cluster (certificates.k8s.io/v1beta1), where the installation names one.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf, textOf } from '#objects/fields.ts';

interface ClusterTrustBundle extends KubeObject {
  spec?: { trustBundle?: string };
}

export interface ClusterTrustBundleDeps {
  readonly client: KubeClient;
  readonly name: string;
  readonly onChange: () => void;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class ClusterTrustBundleRoots {
  private readonly deps: ClusterTrustBundleDeps;
  private readonly reflector: Reflector;
  private found: string | undefined;

  constructor(deps: ClusterTrustBundleDeps) {
    this.deps = deps;
    const { client, name, timers, random, log } = deps;
    const take = (object: KubeObject | undefined): void => {
      this.found = textOf(fieldsOf((object as ClusterTrustBundle | undefined)?.spec).trustBundle);
      deps.onChange();
    };
    this.reflector = new Reflector({
      client,
      kind: KINDS.ClusterTrustBundle,
      name,
      project: (raw) => raw as ClusterTrustBundle,
      handler: { synced: ([object]) => take(object), applied: take, removed: () => take(undefined) },
      timers,
      random,
      log: log.child('reflector', { kind: 'ClusterTrustBundle' }),
    });
  }

  start(): void {
    this.reflector.start();
  }

  stop(): void {
    this.reflector.stop();
  }

  /** PEM; undefined while it is not known or not there: what was trusted stays then. */
  pem(): string | undefined {
    return this.found;
  }

  /** '' while it is there. */
  get problem(): string {
    if (this.found !== undefined) return '';
    const { missing, lastError } = this.reflector.status();
    const why = missing ? ': the API server does not serve the kind' : lastError === '' ? '' : `: ${lastError}`;
    return `the ClusterTrustBundle ${this.deps.name} is not there${why}. The roots that are trusted stay, and changes of the authority wait for it`;
  }
}
