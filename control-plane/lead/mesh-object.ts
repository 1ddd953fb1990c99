// The XMesh object of GEP-3949: says which mesh this is and what it supports, where that CRD is served.

import { CONTROLLER_NAME } from '#core/contract/names.ts';
import { VERSION } from '#core/contract/version.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import type { StoredCondition } from '#objects/condition.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { FollowingTask } from './following-task.ts';
import { timeText } from './leader-task.ts';
import { putStatus } from './put-status.ts';

/**
 * What works, by the names of the conformance suite, sorted. Nothing is claimed that has no test of its own kind of
 * route.
 */
export const SUPPORTED_FEATURES: readonly string[] = [
  'GRPCRoute',
  'HTTPRoute',
  'HTTPRoute303RedirectStatusCode',
  'HTTPRoute307RedirectStatusCode',
  'HTTPRoute308RedirectStatusCode',
  'HTTPRouteParentRefPort',
  'HTTPRouteResponseHeaderModification',
  'Mesh',
  'MeshClusterIPMatching',
  'MeshConsumerRoute',
  'MeshHTTPRouteBackendRequestHeaderModification',
  'MeshHTTPRouteNamedRouteRule',
  'MeshHTTPRouteQueryParamMatching',
  'MeshHTTPRouteRedirectPath',
  'MeshHTTPRouteRedirectPort',
  'MeshHTTPRouteRewritePath',
  'MeshHTTPRouteSchemeRedirect',
];
const RETRY_MS = 5000;

interface XMesh extends KubeObject {
  spec?: { controllerName?: string };
  status?: { conditions?: StoredCondition[]; supportedFeatures?: { name?: string }[] };
}

export interface MeshObjectDeps {
  readonly client: KubeClient;
  /** Of the XMesh object. */
  readonly name: string;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

type MeshAction =
  | { readonly do: 'create' }
  | { readonly do: 'status'; readonly status: NonNullable<XMesh['status']> }
  | { readonly do: 'nothing' };

/**
 * What is to be done about the object as it stands. It is created with nothing but our name, and its spec is never
 * touched; one of another controller is left alone; of the status only what is ours changes.
 * @param now RFC 3339, whole seconds
 */
export function nextMesh(stored: XMesh | undefined, now: string): MeshAction {
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

/** Keeps the object as it should be, from when its CRD is served. */
export class MeshObject extends FollowingTask {
  private readonly deps: MeshObjectDeps;
  protected readonly reflector: Reflector;
  private stored: XMesh | undefined;

  constructor(deps: MeshObjectDeps) {
    super(deps.timers);
    this.deps = deps;
    const { client, name, timers, random, log } = deps;
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

  touch(): void {
    this.lookNow();
  }

  protected async look(nowMs: number): Promise<void> {
    const { name, log } = this.deps;
    try {
      while (this.leading && this.isServed() && (await this.step(nowMs)));
      if (this.note(this.foreign())) log.warn(this.problem);
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // The watch shows what another writer did meanwhile.
      if (error.status !== 409 && this.note(`XMesh ${name} cannot be written: ${error.message}`)) log.warn(this.problem);
      this.lookIn(RETRY_MS);
    }
  }

  /** @returns whether there may be more to do */
  private async step(nowMs: number): Promise<boolean> {
    const { client, name, log } = this.deps;
    const { group, version } = KINDS.XMesh;
    const head = { apiVersion: `${group}/${version}`, kind: 'XMesh' };
    const action = nextMesh(this.stored, timeText(nowMs));
    if (action.do === 'create') {
      const body = { ...head, metadata: { name }, spec: { controllerName: CONTROLLER_NAME } };
      this.stored = await client.request<XMesh & Record<string, unknown>>('POST', { kind: KINDS.XMesh }, { body });
      log.info('the mesh object is created', { name });
      return true;
    }
    if (action.do === 'status') {
      const metadata = { name, resourceVersion: this.stored?.metadata?.resourceVersion };
      this.stored = await putStatus<XMesh>(client, KINDS.XMesh, { ...head, metadata }, action.status);
    }
    return false;
  }

  private isServed(): boolean {
    const { synced, missing } = this.reflector.status();
    return synced && !missing;
  }

  private foreign(): string {
    const controller = this.stored === undefined ? CONTROLLER_NAME : fieldsOf(this.stored.spec).controllerName;
    if (controller === CONTROLLER_NAME) return '';
    return `XMesh ${this.deps.name} belongs to ${controller ?? 'no controller'}, not to ${CONTROLLER_NAME}: it is left alone`;
  }
}
