// Events about reviews whose sender is not authenticated: written only when the object that the review names is there,
// and with the words that the object itself gives rise to. Of the review nothing but the object's name is used.
import type { Logger } from '#core/program/log.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import type { Timers } from '#core/program/timers.ts';
import { type KubeClient, KubeError, type ServedKind } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { podKind } from '#objects/pod.ts';
import type { InjectionSettings } from './containers.ts';
import type { NamespaceFacts } from './decide.ts';
import type { NamespaceLimits } from './limits.ts';
import { noticeOf } from './notice.ts';
import { type InjectablePod, isObject, podProblem } from './pod.ts';
import type { InjectionEvent, ReviewSender } from './review.ts';

/** Checks that one address may cause: so many per minute, so many at once. Each is a request to the API server. */
export const CHECKS_PER_MINUTE = 60;
export const CHECKS_BURST = 20;
/** Checks that wait; more are left out. */
export const MOST_CHECKS = 64;
/** The pod is there when its review is answered and the API server has stored it, in ms. */
const POD_AFTER_MS = 1000;
const TIMEOUT_MS = 5000;

/** Controllers whose pods are made from `spec.template`, as Kubernetes itself has them. */
const CONTROLLERS: Readonly<Record<string, ServedKind>> = {
  'apps/v1 ReplicaSet': { group: 'apps', version: 'v1', plural: 'replicasets', namespaced: true },
  'apps/v1 StatefulSet': { group: 'apps', version: 'v1', plural: 'statefulsets', namespaced: true },
  'apps/v1 DaemonSet': { group: 'apps', version: 'v1', plural: 'daemonsets', namespaced: true },
  'batch/v1 Job': { group: 'batch', version: 'v1', plural: 'jobs', namespaced: true },
  'v1 ReplicationController': { group: '', version: 'v1', plural: 'replicationcontrollers', namespaced: true },
};
/** Names and namespaces of Kubernetes: what is none is asked for nothing. */
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

export interface VerifiedEventsDeps {
  readonly client: KubeClient;
  readonly namespaceOf: (name: string) => Promise<NamespaceFacts | undefined>;
  readonly settings: () => InjectionSettings | string;
  readonly limitsOf: (namespace: string) => NamespaceLimits;
  readonly record: (event: InjectionEvent) => void;
  readonly timers: Timers;
  readonly log: Logger;
}

interface Subject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly served: ServedKind;
  readonly namespace: string;
  readonly name: string;
}

export class VerifiedEvents {
  /** Events that were not written, because too many were asked for. */
  left = 0;
  private readonly deps: VerifiedEventsDeps;
  private readonly limit: RateLimit;
  private readonly checking = new Set<string>();

  constructor(deps: VerifiedEventsDeps) {
    this.deps = deps;
    this.limit = new RateLimit(CHECKS_PER_MINUTE, CHECKS_BURST, () => deps.timers.now());
  }

  /** Writes the Event if it is true; never throws, never waits. */
  record(event: InjectionEvent, sender: ReviewSender): void {
    const subject = subjectOf(event);
    if (subject === null) return;
    const key = `${subject.kind} ${subject.namespace}/${subject.name}`;
    if (this.checking.has(key)) return;
    if (this.checking.size >= MOST_CHECKS || !this.limit.take(sender.address)) {
      this.left++;
      return;
    }
    this.checking.add(key);
    const check = (): void => {
      this.check(subject)
        .catch((error: unknown) => {
          if (!(error instanceof KubeError)) throw error;
          if (error.status !== 404) this.deps.log.warn('an Event could not be verified', { object: key, error: error.message });
        })
        .finally(() => this.checking.delete(key));
    };
    if (subject.kind === 'Pod') this.deps.timers.after(POD_AFTER_MS, check);
    else check();
  }

  /** @throws KubeError */
  private async check({ apiVersion, kind, served, namespace, name }: Subject): Promise<void> {
    const { client, namespaceOf, settings, limitsOf, record } = this.deps;
    const around = await namespaceOf(namespace);
    if (around === undefined) return;
    const object = await client.request<KubeObject>('GET', { kind: served, namespace, name }, { timeoutMs: TIMEOUT_MS });
    const pod = kind === 'Pod' ? (object as InjectablePod) : templateOf(object, name);
    if (podProblem(pod) !== '') return;
    const found = noticeOf(pod, around, settings(), limitsOf(namespace));
    if (found === undefined) return;
    const { uid } = object.metadata ?? {};
    record({ regarding: { apiVersion, kind, namespace, name, ...(typeof uid === 'string' && { uid }) }, ...found });
  }
}

/** The object that can say whether an Event is true; null: there is none that may be read. */
function subjectOf({ regarding, pod = '' }: InjectionEvent): Subject | null {
  const { apiVersion = '', kind, namespace = '', name } = regarding;
  if (!NAME.test(namespace)) return null;
  if (kind === 'Namespace') return NAME.test(pod) ? { apiVersion: 'v1', kind: 'Pod', served: podKind, namespace, name: pod } : null;
  const served = CONTROLLERS[`${apiVersion} ${kind}`];
  return served !== undefined && NAME.test(name) ? { apiVersion, kind, served, namespace, name } : null;
}

/** The pod that a controller makes of its template. */
function templateOf(controller: KubeObject, name: string): InjectablePod {
  const { template } = (controller as { spec?: { template?: unknown } }).spec ?? {};
  const { metadata, spec } = (isObject(template) ? template : {}) as { metadata?: unknown; spec?: unknown };
  return { metadata: { ...(isObject(metadata) ? metadata : {}), generateName: `${name}-` }, spec } as InjectablePod;
}
