// The objects of a cluster: one reflector for each kind feeds the object store. The counterpart of
// source/files/directory-source.ts.

import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import type { KubeClient } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector, type ReflectorStatus } from '#kube/reflector.ts';
import type { FollowedKind } from '#objects/kind.ts';
import { FOLLOWED_KINDS, followedKind, identify, kept, type StoredKind } from '#objects/kinds.ts';
import { splitKey } from '#objects/references.ts';
import type { Touched } from '#objects/touched.ts';
import type { ObjectStore } from '../../store/object-store.ts';

/**
 * What takes the objects: the store itself while nothing is served, afterwards the control plane (over the same store).
 */
export interface ObjectSink {
  apply(object: KubeObject): Touched;
  remove(kind: string, namespace: string | undefined, name: string): Touched;
}

/** A kind's reflector; tests put their own in its place. */
export interface Following {
  start(): void;
  stop(): void;
  status(): ReflectorStatus;
}

export interface ClusterSourceDeps {
  readonly client: KubeClient;
  readonly store: ObjectStore;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** After each change, for what follows the objects besides the sink. */
  readonly onTouched?: (touched: Touched) => void;
}

/**
 * An API server that has just started denies kinds that it will serve in a moment: only after so long is a kind
 * believed to be missing.
 */
export const MISSING_AFTER_MS = 6000;

export class ClusterSource {
  private readonly deps: ClusterSourceDeps;
  private readonly reflectors: ReadonlyMap<StoredKind, Following>;
  private sink: ObjectSink;
  /** Kind → when it was first found missing, Unix ms; while waitingFor() is asked. */
  private readonly missingSince = new Map<StoredKind, number>();

  constructor(deps: ClusterSourceDeps) {
    this.deps = deps;
    this.sink = deps.store;
    this.reflectors = new Map(FOLLOWED_KINDS.map((kind) => [kind.kind, this.follow(kind)]));
  }

  start(): void {
    for (const reflector of this.reflectors.values()) reflector.start();
  }

  stop(): void {
    for (const reflector of this.reflectors.values()) reflector.stop();
  }

  /** From now on changes go there. It must hold the same store. */
  feed(sink: ObjectSink): void {
    this.sink = sink;
  }

  /** Of the kinds that should be there, and of the optional ones that are. */
  status(): { readonly kind: StoredKind; readonly status: ReflectorStatus }[] {
    return [...this.reflectors]
      .map(([kind, reflector]) => ({ kind, status: reflector.status() }))
      .filter(({ kind, status }) => !(followedKind(kind)!.optional && status.missing));
  }

  /** Kinds that are served but not known in full yet: while there is one, what is missing would look removed. */
  waitingFor(): { readonly kind: StoredKind; readonly error: string }[] {
    const nowMs = this.deps.timers.now();
    return this.status().flatMap(({ kind, status }) => {
      if (status.synced || (followedKind(kind)!.optional && status.lastError !== '')) return [];
      if (!status.missing) this.missingSince.delete(kind);
      else if (!this.missingSince.has(kind)) this.missingSince.set(kind, nowMs);
      const sinceMs = this.missingSince.get(kind);
      return sinceMs !== undefined && nowMs - sinceMs >= MISSING_AFTER_MS ? [] : [{ kind, error: status.lastError }];
    });
  }

  /** Kinds that the API server does not serve; they count as empty until it does. */
  missingKinds(): StoredKind[] {
    return this.status().flatMap(({ kind, status }) => (status.missing ? [kind] : []));
  }

  private follow(kind: FollowedKind<StoredKind>): Following {
    const { client, timers, random, log } = this.deps;
    return new Reflector({
      client,
      kind,
      project: (raw) => kept(kind, raw),
      handler: {
        synced: (objects, unread) => this.replace(kind, objects, unread),
        applied: (object) => this.report(this.sink.apply(object)),
        removed: ({ metadata }) => this.report(this.sink.remove(kind.kind, metadata?.namespace, metadata?.name ?? '')),
      },
      timers,
      random,
      log: log.child('reflector', { kind: kind.kind }),
    });
  }

  /**
   * After a list: what it names is there, the rest is gone. What is equal to before touches nothing: the store sees to it.
   */
  private replace(kind: FollowedKind<StoredKind>, objects: readonly KubeObject[], unread: readonly KubeObject[]): void {
    const gone = new Set(this.deps.store.keysOf(kind.kind));
    for (const object of unread) gone.delete(identify(object)?.key ?? '');
    for (const object of objects) {
      gone.delete(identify(object)?.key ?? '');
      this.report(this.sink.apply(object));
    }
    for (const key of gone) {
      const [namespace, name] = kind.namespaced ? splitKey(key) : [undefined, key];
      this.report(this.sink.remove(kind.kind, namespace, name));
    }
  }

  private report(touched: Touched): void {
    this.deps.onTouched?.(touched);
  }
}
