// The roots as a ConfigMap, in every namespace whose pods mount it. The leader keeps them right; a pod that starts before its ConfigMap is there has the
// roots of its injection.

import { ANNOTATION_STATUS, LABEL_INJECT, TRUST_CONFIG_MAP, TRUST_KEY } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector, type ReflectorStatus } from '#kube/reflector.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { ObjectStore } from '../store/object-store.ts';

/** Between two looks at all namespaces. */
const LOOK_EVERY_MS = 250;
const MOST_WRITES = 4;
const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 30_000;

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export interface TrustBundleSettings {
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

/** Namespaces that want the ConfigMap: the system's, those whose pods are injected, and those that run a pod that was. Those that are going away want none. */
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

export class TrustBundle {
  private readonly settings: TrustBundleSettings;
  private readonly reflector: Reflector;
  /** Namespace → the roots that its ConfigMap holds ('' where the key is missing). */
  private readonly found = new Map<string, string>();
  private readonly writing = new Set<string>();
  /** Namespace → when to try again. */
  private readonly failed = new Map<string, { readonly failures: number; readonly untilMs: number; readonly error: KubeError }>();
  private looking: { readonly atMs: number; readonly cancel: () => void } | null = null;
  private leading = false;
  private stopped = false;

  constructor(settings: TrustBundleSettings) {
    this.settings = settings;
    const { client, timers, random, log } = settings;
    this.reflector = new Reflector({
      client,
      kind: KINDS.ConfigMap,
      name: TRUST_CONFIG_MAP,
      project: (raw) => raw as ConfigMap,
      handler: {
        synced: (objects) => {
          this.found.clear();
          for (const object of objects) this.note(object);
          this.touch();
        },
        applied: (object) => {
          this.note(object);
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

  start(): void {
    this.reflector.start();
  }

  stop(): void {
    this.stopped = true;
    this.looking?.cancel();
    this.reflector.stop();
  }

  status(): ReflectorStatus {
    return this.reflector.status();
  }

  /** Where the leader cannot put the roots, with the reason of one; '' when they are where they should be. */
  get problem(): string {
    const left = [...this.failed].filter(([, { error }]) => !isPassing(error));
    const [first] = left;
    if (!this.leading || first === undefined) return '';
    const more = left.length === 1 ? '' : ` and ${left.length - 1} more`;
    return `the roots cannot be put into namespace ${first[0]}${more}: ${first[1].error.message}`;
  }

  lead(leading: boolean): void {
    this.leading = leading;
    this.touch();
  }

  /** A namespace or a pod may be different. Cheap: looks happen some time apart. */
  touch(): void {
    this.lookIn(LOOK_EVERY_MS);
  }

  /** The earliest of what is asked for counts: a namespace that has to wait must not make the others wait. */
  private lookIn(ms: number): void {
    const { timers } = this.settings;
    const atMs = timers.now() + ms;
    if (this.stopped || (this.looking !== null && this.looking.atMs <= atMs)) return;
    this.looking?.cancel();
    const cancel = timers.after(ms, () => {
      this.looking = null;
      this.look();
    });
    this.looking = { atMs, cancel };
  }

  private note({ metadata, data }: ConfigMap): void {
    this.found.set(metadata?.namespace ?? '', fieldsOf(data)[TRUST_KEY] ?? '');
  }

  private look(): void {
    // Before the first list everything would look missing.
    if (!this.leading || this.stopped || !this.settings.stillLeading() || !this.reflector.status().synced) return;
    const { store, systemNamespace, roots, timers } = this.settings;
    const pem = roots();
    const nowMs = timers.now();
    const wanted = namespacesWithPods(store, systemNamespace);
    for (const namespace of this.failed.keys()) if (!wanted.has(namespace)) this.failed.delete(namespace);
    for (const namespace of wanted) {
      if (this.found.get(namespace) === pem || this.writing.has(namespace)) continue;
      const failure = this.failed.get(namespace);
      if (failure !== undefined && nowMs < failure.untilMs) {
        this.lookIn(Math.max(LOOK_EVERY_MS, failure.untilMs - nowMs));
        continue;
      }
      if (this.writing.size >= MOST_WRITES) return;
      this.writing.add(namespace);
      void this.write(namespace, pem);
    }
  }

  private async write(namespace: string, pem: string): Promise<void> {
    const { client, timers, random, log } = this.settings;
    const path = { kind: KINDS.ConfigMap, namespace };
    const metadata = { name: TRUST_CONFIG_MAP, namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } };
    try {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [TRUST_KEY]: pem } };
      if (this.found.has(namespace)) await client.request('PUT', { ...path, name: TRUST_CONFIG_MAP }, { body });
      else await client.request('POST', path, { body });
      this.found.set(namespace, pem);
      this.failed.delete(namespace);
      log.info('the roots are in place', { namespace });
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      const failures = (this.failed.get(namespace)?.failures ?? 0) + 1;
      const waitMs = backoffMs(failures - 1, RETRY_BASE_MS, RETRY_CAP_MS, random());
      this.failed.set(namespace, { failures, untilMs: timers.now() + waitMs, error });
      if (!isPassing(error)) log.warn('the roots cannot be put into a namespace', { namespace, error });
    } finally {
      this.writing.delete(namespace);
      this.touch();
    }
  }
}

/** It is there already, or the namespace not any more: the watch tells in a moment. */
function isPassing({ status }: KubeError): boolean {
  return status === 409 || status === 404;
}
