// The roots as a ConfigMap, in every namespace whose pods mount it. The leader keeps them right; a pod that starts
// before its ConfigMap is there has the roots of its injection.

import { ANNOTATION_STATUS, LABEL_INJECT, TRUST_CONFIG_MAP, TRUST_KEY } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, type KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { ObjectStore } from '../store/object-store.ts';
import { FollowingTask } from './following-task.ts';
import type { FailedWrite } from './leader-task.ts';

/** Between two looks at all namespaces. */
const LOOK_EVERY_MS = 250;
const MOST_WRITES = 4;
const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 30_000;

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export interface TrustBundleDeps {
  readonly client: KubeClient;
  readonly store: ObjectStore;
  readonly systemNamespace: string;
  /** PEM, as the authority gives it. */
  readonly roots: () => string;
  /** Asked before each round of writes, as a frozen process learns late that another leads. */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

/**
 * Namespaces that want the ConfigMap: the system's, those whose pods are injected, and those that run a pod that was.
 * Those that are going away want none.
 */
export function namespacesWithPods(store: ObjectStore, systemNamespace: string): Set<string> {
  const wanted = new Set([systemNamespace]);
  const leaving = new Set<string>();
  for (const { metadata } of store.every('Namespace')) {
    const { name = '', labels, deletionTimestamp } = fieldsOf(metadata);
    if (deletionTimestamp !== undefined) leaving.add(name);
    else if (fieldsOf(labels)[LABEL_INJECT] === 'enabled') wanted.add(name);
  }
  for (const { metadata } of store.every('Pod')) {
    const { namespace = '', annotations } = fieldsOf(metadata);
    if (fieldsOf(annotations)[ANNOTATION_STATUS] !== undefined) wanted.add(namespace);
  }
  for (const name of leaving) wanted.delete(name);
  return wanted;
}

export class TrustBundle extends FollowingTask {
  private readonly deps: TrustBundleDeps;
  protected readonly reflector: Reflector;
  /** Namespace → the roots that its ConfigMap holds ('' where the key is missing). */
  private readonly found = new Map<string, string>();

  constructor(deps: TrustBundleDeps) {
    super(deps.timers);
    this.deps = deps;
    const { client, timers, random, log } = deps;
    this.reflector = new Reflector({
      client,
      kind: KINDS.ConfigMap,
      name: TRUST_CONFIG_MAP,
      project: (raw) => raw as ConfigMap,
      handler: {
        synced: (objects) => {
          this.found.clear();
          for (const object of objects) this.take(object);
          this.touch();
        },
        applied: (object) => {
          this.take(object);
          this.touch();
        },
        removed: ({ metadata }) => {
          this.found.delete(metadata?.namespace ?? '');
          this.touch();
        },
      },
      timers,
      random,
      log: log.child('reflector', { kind: 'ConfigMap' }),
    });
  }

  /** Where the leader cannot put the roots, with the reason of one; '' when they are where they should be. */
  override get problem(): string {
    if (!this.leading) return '';
    const left: { readonly namespace: string; readonly error: KubeError }[] = [];
    for (const [namespace, write] of this.writes) {
      const failure = write.is === 'writing' ? write.before : write.is === 'failed' ? write : null;
      if (failure !== null && !isPassing(failure.error)) left.push({ namespace, error: failure.error });
    }
    const [first] = left;
    if (first === undefined) return '';
    const more = left.length === 1 ? '' : ` and ${left.length - 1} more`;
    return `the roots cannot be put into namespace ${first.namespace}${more}: ${first.error.message}`;
  }

  /** Namespaces whose ConfigMap does not hold the roots as they are now. */
  missing(): string[] {
    const { store, systemNamespace, roots } = this.deps;
    const pem = roots();
    return [...namespacesWithPods(store, systemNamespace)].filter((namespace) => this.found.get(namespace) !== pem).sort();
  }

  /** A namespace or a pod may be different, or the roots. Cheap: looks happen some time apart. */
  touch(): void {
    this.lookIn(LOOK_EVERY_MS);
  }

  private take({ metadata, data }: ConfigMap): void {
    this.found.set(metadata?.namespace ?? '', fieldsOf(data)[TRUST_KEY] ?? '');
  }

  protected look(nowMs: number): void {
    const { store, systemNamespace, roots, stillLeading } = this.deps;
    // Before the first list everything would look missing.
    if (!stillLeading() || !this.reflector.status().synced) return;
    const pem = roots();
    const wanted = namespacesWithPods(store, systemNamespace);
    this.retain((namespace) => wanted.has(namespace));
    for (const namespace of wanted) {
      const last = this.writes.get(namespace);
      if (this.found.get(namespace) === pem || last?.is === 'writing') continue;
      if (last?.is === 'failed' && nowMs < last.untilMs) {
        this.lookAt(Math.max(nowMs + LOOK_EVERY_MS, last.untilMs));
        continue;
      }
      if (this.writing >= MOST_WRITES) return;
      this.write(
        namespace,
        () => this.put(namespace, pem),
        (error, before) => this.failed(namespace, error, before),
      );
    }
  }

  private async put(namespace: string, pem: string): Promise<null> {
    const { client, log } = this.deps;
    const path = { kind: KINDS.ConfigMap, namespace };
    const metadata = { name: TRUST_CONFIG_MAP, namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } };
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [TRUST_KEY]: pem } };
    if (this.found.has(namespace)) await client.request('PUT', { ...path, name: TRUST_CONFIG_MAP }, { body });
    else await client.request('POST', path, { body });
    this.found.set(namespace, pem);
    log.info('the roots are in place', { namespace });
    return null;
  }

  private failed(namespace: string, error: KubeError, before: FailedWrite | null): FailedWrite {
    const failures = (before?.failures ?? 0) + 1;
    const waitMs = backoffMs(failures - 1, RETRY_BASE_MS, RETRY_CAP_MS, this.deps.random());
    if (!isPassing(error)) this.deps.log.warn('the roots cannot be put into a namespace', { namespace, error });
    return { is: 'failed', failures, untilMs: this.timers.now() + waitMs, error };
  }
}

/** It is there already, or the namespace no longer is: the watch shows it in a moment. */
function isPassing({ status }: KubeError): boolean {
  return status === 409 || status === 404;
}
