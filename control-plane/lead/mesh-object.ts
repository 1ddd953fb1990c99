// The XMesh object of GEP-3949: says which mesh this is and what it supports, where that CRD is served.

import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { VERSION } from '#core/contract/version.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector, type ReflectorStatus } from '#kube/reflector.ts';
import type { StoredCondition } from '#objects/condition.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';

/** What works, by the names of the conformance suite, sorted. Nothing is claimed that has no test of its own kind of route. */
export const SUPPORTED_FEATURES: readonly string[] = ['GRPCRoute', 'Mesh'];
const RETRY_MS = 5000;

interface XMesh extends KubeObject {
  spec?: { controllerName?: string };
  status?: { conditions?: StoredCondition[]; supportedFeatures?: { name?: string }[] };
}

export interface MeshObjectSettings {
  readonly client: KubeClient;
  /** Of the XMesh object. */
  readonly name: string;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

type Deed =
  | { readonly do: 'create' }
  | { readonly do: 'status'; readonly status: NonNullable<XMesh['status']> }
  | { readonly do: 'nothing' };

/**
 * What is to be done about the object as it stands: it is created with nothing but our name, its spec never touched; one of another controller is left
 * alone; of the status only what is ours changes.
 * @param now RFC 3339, whole seconds
 */
export function nextMesh(stored: XMesh | undefined, now: string): Deed {
  if (stored === undefined) return { do: 'create' };
  if (fieldsOf(stored.spec).controllerName !== CONTROLLER_NAME) return { do: 'nothing' };
  const status = fieldsOf(stored.status);
  const conditions = entriesOf(status.conditions);
  const before = conditions.find(({ type }) => type === 'Accepted');
  const accepted = {
    type: 'Accepted',
    status: 'True',
    reason: 'Accepted',
    message: `Weft ${VERSION} serves this mesh`,
    observedGeneration: stored.metadata?.generation ?? 0,
  };
  const sameCondition = (['status', 'reason', 'message', 'observedGeneration'] as const).every(
    (field) => before?.[field] === accepted[field],
  );
  const features = entriesOf(status.supportedFeatures).map((feature) => fieldsOf(feature).name);
  const sameFeatures = features.length === SUPPORTED_FEATURES.length && SUPPORTED_FEATURES.every((feature, i) => feature === features[i]);
  if (sameCondition && sameFeatures) return { do: 'nothing' };
  const lastTransitionTime = before?.status === 'True' ? (before.lastTransitionTime ?? now) : now;
  const next = { ...accepted, lastTransitionTime };
  return {
    do: 'status',
    status: {
      ...status,
      conditions: before === undefined ? [...conditions, next] : conditions.map((one) => (one === before ? next : one)),
      supportedFeatures: SUPPORTED_FEATURES.map((feature) => ({ name: feature })),
    },
  };
}

/** The leader's: keeps the object as it should be, from when its CRD is served. */
export class MeshObject {
  /** What a person should know; '' when all is well. */
  problem = '';
  private readonly settings: MeshObjectSettings;
  private readonly reflector: Reflector;
  private stored: XMesh | undefined;
  private leading = false;
  private busy = false;
  private dirty = false;
  private cancel: () => void = () => {};

  constructor(settings: MeshObjectSettings) {
    this.settings = settings;
    const { client, name, timers, random, log } = settings;
    const take = (object: KubeObject | undefined): void => {
      this.stored = object as XMesh | undefined;
      this.touch();
    };
    this.reflector = new Reflector({
      client,
      kind: KINDS.XMesh,
      name,
      project: (raw) => raw as XMesh,
      handler: { synced: ([object]) => take(object), applied: take, removed: () => take(undefined) },
      timers,
      random,
      log: log.child('reflector', { kind: 'XMesh' }),
    });
  }

  start(): void {
    this.reflector.start();
  }

  stop(): void {
    this.leading = false;
    this.cancel();
    this.reflector.stop();
  }

  status(): ReflectorStatus {
    return this.reflector.status();
  }

  lead(leading: boolean): void {
    this.leading = leading;
    // The leader's to tell: what this replica last saw of it would stay for good.
    if (!leading) this.problem = '';
    this.touch();
  }

  private touch(): void {
    const { synced, missing } = this.reflector.status();
    if (!this.leading || !synced || missing) return;
    this.dirty = true;
    if (!this.busy) void this.act();
  }

  private async act(): Promise<void> {
    this.busy = true;
    const { client, name, timers, log } = this.settings;
    const path = { kind: KINDS.XMesh, name };
    const { group, version } = KINDS.XMesh;
    const head = { apiVersion: `${group}/${version}`, kind: 'XMesh' };
    while (this.dirty && this.leading) {
      this.dirty = false;
      const deed = nextMesh(this.stored, `${new Date(timers.now()).toISOString().slice(0, 19)}Z`);
      try {
        if (deed.do === 'create') {
          const body = { ...head, metadata: { name }, spec: { controllerName: CONTROLLER_NAME } };
          this.stored = await client.request<XMesh & Record<string, unknown>>('POST', { kind: KINDS.XMesh }, { body });
          this.dirty = true;
          log.info('the mesh object is created', { name });
        } else if (deed.do === 'status') {
          const metadata = { name, resourceVersion: this.stored?.metadata?.resourceVersion };
          const body = { ...head, metadata, status: deed.status };
          this.stored = await client.request<XMesh & Record<string, unknown>>('PUT', { ...path, subresource: 'status' }, { body });
        }
        this.note(this.foreign());
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        // What somebody else did meanwhile comes by the watch.
        if (error.status !== 409) this.note(`XMesh ${name} cannot be written: ${error.message}`);
        this.cancel = timers.after(RETRY_MS, () => this.touch());
      }
    }
    this.busy = false;
  }

  private foreign(): string {
    const controller = this.stored === undefined ? CONTROLLER_NAME : fieldsOf(this.stored.spec).controllerName;
    if (controller === CONTROLLER_NAME) return '';
    return `XMesh ${this.settings.name} belongs to ${controller ?? 'no controller'}, not to ${CONTROLLER_NAME}: it is left alone`;
  }

  /** Once for each cause, not for each try. */
  private note(problem: string): void {
    if (!this.leading) return;
    if (problem !== '' && problem !== this.problem) this.settings.log.warn(problem);
    this.problem = problem;
  }
}
