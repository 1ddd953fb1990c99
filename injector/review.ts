// One AdmissionReview: octets in, status and octets out. It has no socket, so that tests can send every malformed one.

import { LABEL_INJECT } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import type { InjectionSettings } from './containers.ts';
import { needsAddress } from './control-plane-address.ts';
import { decide, EXCLUDED_NAMESPACES, type NamespaceFacts, type SkipReason } from './decide.ts';
import { type Injected, type InjectionFacts, inject } from './inject.ts';
import type { NamespaceLimits } from './limits.ts';
import type { InjectorMetrics } from './metrics.ts';
import { type Notice, nameOf, notice } from './notice.ts';
import { type Operation, patchOf } from './patch.ts';
import { type InjectablePod, isObject, podProblem } from './pod.ts';
import { keepRewritten, reinject } from './reinject.ts';

const API_VERSION = 'admission.k8s.io/v1';
/** The API server cuts a warning at 256 characters, and all of them at 4096. */
const LONGEST_WARNING = 250;
const MOST_WARNINGS = 15;
/** When to send a pod again that is refused for now. */
const RETRY_AFTER_SECONDS = 1;
const LONGEST_UID = 256;
const UNKNOWN: ReviewSender = { address: '', authenticated: false };
/** Why a namespace's label, or its absence, leaves a pod without a sidecar. */
const LABEL_REASONS: readonly SkipReason[] = ['NamespaceNotLabelled', 'OptedOut', 'WrongLabelValue'];

/** An Event about the object that owns the pod. */
export interface InjectionEvent {
  readonly regarding: { apiVersion?: string; kind: string; namespace?: string; name: string; uid?: string };
  /** The name of the pod, where it has one already. */
  readonly pod?: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Where a review comes from. */
export interface ReviewSender {
  readonly address: string;
  /** It is the API server: it has shown its client certificate. */
  readonly authenticated: boolean;
}

export interface ReviewDeps {
  /**
   * The namespace's labels and annotations; `fresh`: asked of the API server now; `sender`: the address that pays for
   * the question. undefined: there is none. Rejects when they cannot be read.
   */
  readonly namespaceOf: (name: string, fresh?: boolean, sender?: string) => Promise<NamespaceFacts | undefined>;
  /** What pods get; a text: why they can get nothing yet. */
  readonly settings: () => InjectionSettings | string;
  /** What limits the pods of a namespace. */
  readonly limitsOf: (namespace: string) => NamespaceLimits;
  /** address:port of the control plane, for pods that cannot resolve its name. Rejects while it is not known. */
  readonly controlPlaneAddress: () => Promise<string>;
  /** What no client can guess, another at each call. */
  readonly hookToken: () => string;
  readonly record: (event: InjectionEvent, sender: ReviewSender) => void;
  readonly metrics: InjectorMetrics;
  readonly log: Logger;
}

export interface Answer {
  /** HTTP's. */
  readonly status: number;
  readonly body: string;
}

interface Request {
  readonly uid: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  /** null: it is about something else than a pod that is created or updated. */
  readonly pod: InjectablePod | null;
  /** Of an update: the pod as it is. */
  readonly before?: InjectablePod;
}

/**
 * Answers a review. Never rejects; a request that is none gets 400, with its uid where it has one, a defect of ours
 * 500.
 */
export async function answerReview(body: string, deps: ReviewDeps, sender: ReviewSender = UNKNOWN): Promise<Answer> {
  const { metrics, log } = deps;
  const request = readRequest(body);
  if ('problem' in request) {
    metrics.count('failed', 'BadRequest');
    return { status: 400, body: responseBody(request.uid ?? '', { allowed: false, status: { code: 400, message: request.problem } }) };
  }
  try {
    return { status: 200, body: responseBody(request.uid, await respond(request, deps, sender)) };
  } catch (error) {
    // The API server takes it for a call that failed: the failurePolicy decides about the pod.
    metrics.count('failed', 'Defect');
    log.error('a review failed', { namespace: request.namespace, error: (error as Error).stack });
    const message = 'weft: the injector failed; its log says where';
    return { status: 500, body: responseBody(request.uid, { allowed: false, status: { code: 500, message } }) };
  }
}

interface Response {
  readonly allowed: boolean;
  readonly status?: {
    readonly code: number;
    readonly reason?: string;
    readonly message: string;
    readonly details?: { readonly retryAfterSeconds: number };
  };
  readonly warnings?: readonly string[];
  readonly patch?: string;
  readonly patchType?: 'JSONPatch';
}

async function respond({ namespace: name, dryRun, pod, before }: Request, deps: ReviewDeps, sender: ReviewSender): Promise<Response> {
  const { metrics, log } = deps;
  // A webhook configured for more than new pods must not stand in the way.
  if (pod === null) {
    metrics.count('skipped', 'NotAPod');
    return { allowed: true };
  }
  if (before !== undefined) return respondToUpdate(before, pod, metrics);
  if (EXCLUDED_NAMESPACES.includes(name)) {
    metrics.count('skipped', 'NamespaceExcluded');
    return { allowed: true };
  }
  const report = (reason: Notice['reason'], about: InjectablePod, text: string): void => {
    if (dryRun) return;
    const named = about.metadata?.name;
    deps.record({ regarding: ownerOf(about, name), ...notice(reason, about, text), ...(named !== undefined && { pod: named }) }, sender);
  };
  let namespace: NamespaceFacts | undefined;
  let decision: ReturnType<typeof decide>;
  try {
    namespace = await deps.namespaceOf(name, false, sender.address);
    decision = decide(pod, namespace ?? nothingOf(name));
    // The API server asks about labelled pods and namespaces only: a namespace that seems not to be was labelled a
    // moment ago.
    if (
      'inject' in decision &&
      !decision.inject &&
      pod.metadata?.labels?.[LABEL_INJECT] === undefined &&
      LABEL_REASONS.includes(decision.reason)
    ) {
      namespace = await deps.namespaceOf(name, true, sender.address);
      decision = decide(pod, namespace ?? nothingOf(name));
    }
  } catch (error) {
    log.warn('cannot read a namespace; a pod was refused for now', { namespace: name, error });
    return refuseForNow(metrics, 'NamespaceUnknown', `the labels of namespace ${name} cannot be read: ${(error as Error).message}`);
  }

  if ('deny' in decision) {
    metrics.count('denied', 'PodNotInjectable');
    log.info('refused a pod', { namespace: name, pod: nameOf(pod), message: decision.deny });
    report('InjectionRefused', pod, decision.deny);
    return { allowed: false, status: { code: 400, reason: 'Invalid', message: `weft: ${decision.deny}` } };
  }
  const again = !decision.inject && decision.reason === 'AlreadyInjected';
  if (!decision.inject && !again) {
    const { reason, message, event } = decision;
    metrics.count('skipped', reason);
    log.debug('left a pod as it is', { namespace: name, pod: nameOf(pod), reason });
    if (!event) return { allowed: true };
    report('InjectionSkipped', pod, message);
    return { allowed: true, warnings: warningsOf([`no sidecar: ${message}`]) };
  }

  const settings = deps.settings();
  if (typeof settings === 'string') return refuseForNow(metrics, 'NotReady', settings);
  const facts: InjectionFacts = { hookToken: deps.hookToken(), limits: deps.limitsOf(name) };
  let injected: Injected;
  if (again) {
    injected = reinject(pod, settings, facts);
    if (injected.pod === pod) {
      metrics.count('skipped', 'AlreadyInjected');
      return { allowed: true };
    }
    metrics.count('injected', 'Reinvoked');
  } else {
    let { controlPlane } = settings;
    try {
      if (needsAddress(pod)) controlPlane = await deps.controlPlaneAddress();
    } catch (error) {
      log.warn("cannot resolve the control plane's name; a pod was refused for now", { namespace: name, error });
      return refuseForNow(metrics, 'AddressUnknown', `the control plane's address cannot be resolved: ${(error as Error).message}`);
    }
    injected = inject(pod, namespace ?? nothingOf(name), { ...settings, controlPlane }, facts);
    metrics.count('injected', '');
  }
  const patch = patchOf(pod, injected.pod);
  log.debug(again ? 'completed a pod that others have changed' : 'injected a pod', { namespace: name, pod: nameOf(pod) });
  if (injected.warnings.length > 0) report('InjectionWarning', pod, injected.warnings.join('; '));
  return {
    allowed: true,
    ...patchFields(patch),
    ...(injected.warnings.length > 0 && { warnings: warningsOf(injected.warnings) }),
  };
}

/** Updates are never refused: what cannot change the API server itself refuses. */
function respondToUpdate(before: InjectablePod, pod: InjectablePod, metrics: InjectorMetrics): Response {
  const next = keepRewritten(before, pod);
  metrics.count('skipped', next === pod ? 'Update' : 'UpdateKept');
  return next === pod ? { allowed: true } : { allowed: true, ...patchFields(patchOf(pod, next)) };
}

function patchFields(patch: readonly Operation[]): Pick<Response, 'patch' | 'patchType'> {
  return { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}

/**
 * Refused and not failed: with failurePolicy Ignore a failure would let the pod in without its sidecar. The API server
 * makes a Retry-After of the details (decision 16), on which Kubernetes' clients, kubectl too, send the pod again by themselves.
 */
function refuseForNow(metrics: InjectorMetrics, reason: string, message: string): Response {
  metrics.count('failed', reason);
  const details = { retryAfterSeconds: RETRY_AFTER_SECONDS };
  return { allowed: false, status: { code: 503, reason: 'ServiceUnavailable', message: `weft: not now, try again: ${message}`, details } };
}

function readRequest(body: string): Request | { problem: string; uid?: string } {
  if (body === '') return { problem: 'the body is empty; it must be an AdmissionReview' };
  let review: unknown;
  try {
    review = JSON.parse(body);
  } catch (error) {
    return { problem: `the body is not JSON: ${(error as Error).message.slice(0, 100)}` };
  }
  if (!isObject(review)) return { problem: 'the body must be an AdmissionReview' };
  const { request } = review;
  const uid = isObject(request) && typeof request.uid === 'string' && request.uid.length <= LONGEST_UID ? request.uid : '';
  const bad = (problem: string) => (uid === '' ? { problem } : { problem, uid });
  if (review.kind !== 'AdmissionReview') return bad('kind must be AdmissionReview');
  if (review.apiVersion !== API_VERSION) return bad(`apiVersion must be ${API_VERSION}`);
  if (!isObject(request)) return bad('request must be an object');
  if (uid === '') return bad(`request.uid must be a text of 1 to ${LONGEST_UID} characters`);
  const { object, oldObject, operation, kind, dryRun } = request;
  if (!isObject(kind) || typeof kind.kind !== 'string') return bad('request.kind.kind must be a string');
  const namespace = request.namespace ?? '';
  if (typeof namespace !== 'string') return bad('request.namespace must be a string');
  const other =
    kind.kind !== 'Pod' || (kind.group ?? '') !== '' || !['CREATE', 'UPDATE'].includes(String(operation)) || !!request.subResource;
  if (other) return { uid, namespace, dryRun: dryRun === true, pod: null };
  if (operation === 'UPDATE') {
    const readable = podProblem(object) === '' && podProblem(oldObject) === '';
    const both = readable ? { pod: object as InjectablePod, before: oldObject as InjectablePod } : { pod: null };
    return { uid, namespace, dryRun: dryRun === true, ...both };
  }
  if (namespace === '') return bad('request.namespace must be set for a pod');
  if (object === null || object === undefined) return bad('request.object must be the pod');
  const problem = podProblem(object);
  return problem === '' ? { uid, namespace, dryRun: dryRun === true, pod: object as InjectablePod } : bad(`request.object: ${problem}`);
}

function responseBody(uid: string, response: Response): string {
  return JSON.stringify({ apiVersion: API_VERSION, kind: 'AdmissionReview', response: { uid, ...response } });
}

/** A pod that is being created has no uid, often no name: Events go to its controller, else to its namespace. */
function ownerOf(pod: InjectablePod, namespace: string): InjectionEvent['regarding'] {
  const owner = pod.metadata?.ownerReferences?.find(({ controller }) => controller === true);
  if (typeof owner?.kind !== 'string' || typeof owner.name !== 'string')
    return { apiVersion: 'v1', kind: 'Namespace', namespace, name: namespace };
  const { apiVersion, kind, name, uid } = owner;
  return { apiVersion, kind, namespace, name, uid };
}

function nothingOf(name: string): NamespaceFacts {
  return { name, labels: {}, annotations: {} };
}

function warningsOf(warnings: readonly string[]): string[] {
  return warnings.slice(0, MOST_WARNINGS).map((text) => `weft: ${text}`.slice(0, LONGEST_WARNING));
}
