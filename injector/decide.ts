// Whether a pod gets a sidecar, and if not, why. Pure; shared by the webhook and `weft inject`.
import { meantLabelValue } from '#core/contract/labels.ts';
import { LABEL_INJECT, SIDECAR_CONTAINER, SIDECAR_USER_ID, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { type Container, type InjectablePod, isObject } from './pod.ts';

/** The volume that injection adds. */
export const IDENTITY_VOLUME = 'weft-identity';
/** The container that injection adds to pods in which every container is root. */
export const TOKEN_CONTAINER = 'weft-token';

/**
 * Namespaces whose pods never get a sidecar, whatever their labels: the cluster must be able to start without Weft, and
 * Weft without itself.
 */
export const EXCLUDED_NAMESPACES: readonly string[] = [SYSTEM_NAMESPACE, 'kube-system', 'kube-public', 'kube-node-lease'];

const OWN: readonly string[] = [SIDECAR_CONTAINER, TOKEN_CONTAINER];
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** The fields of a namespace that decide. */
export interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export type SkipReason =
  | 'NamespaceExcluded'
  | 'NamespaceNotLabelled'
  | 'OptedOut'
  | 'WrongLabelValue'
  | 'AlreadyInjected'
  | 'MirrorPod'
  | 'HostNetwork'
  | 'NotLinux';

export type InjectionDecision =
  | { readonly inject: true }
  | {
      readonly inject: false;
      readonly reason: SkipReason;
      /** For people; it says what to do where something can be done. */
      readonly message: string;
      /** Whether a sidecar was asked for, so that an Event must say that there is none. */
      readonly event: boolean;
    }
  | { readonly deny: string };

/** Decides about one pod that is being created. */
export function decide(pod: InjectablePod, namespace: NamespaceFacts): InjectionDecision {
  if (EXCLUDED_NAMESPACES.includes(namespace.name))
    return skip('NamespaceExcluded', `pods of namespace ${namespace.name} never get a sidecar`, false);
  const asked = askedFor(pod, namespace);
  if (asked !== 'injection') return asked;

  if (pod.metadata?.annotations?.[MIRROR_ANNOTATION] !== undefined)
    return skip('MirrorPod', 'a static pod is made by its node from a file and cannot be changed', true);
  if (hasSidecar(pod)) {
    const problem = userProblem(pod);
    return problem === '' ? skip('AlreadyInjected', `the pod has a container ${SIDECAR_CONTAINER} already`, false) : { deny: problem };
  }
  if (pod.spec?.hostNetwork === true)
    return skip('HostNetwork', "hostNetwork: true: capturing the node's own traffic would break the node; no sidecar was added", true);
  const elsewhere = otherSystem(pod);
  if (elsewhere !== '') return skip('NotLinux', `${elsewhere}: there is a sidecar for linux only`, true);
  const refusal = userProblem(pod) || collision(pod);
  return refusal === '' ? { inject: true } : { deny: refusal };
}

/** Whether injection has been here: a restartable init container of our name. The annotation alone may be a copy. */
export function hasSidecar(pod: InjectablePod): boolean {
  return (pod.spec?.initContainers ?? []).some(({ name, restartPolicy }) => name === SIDECAR_CONTAINER && restartPolicy === 'Always');
}

/** Node labels that name the operating system; the second is the one of before Kubernetes 1.14, which nodes still have. */
const OS_LABELS: readonly string[] = ['kubernetes.io/os', 'beta.kubernetes.io/os'];

/** What of a pod says that it runs on another system than Linux; '': nothing does. */
function otherSystem({ spec }: InjectablePod): string {
  const os = spec?.os?.name;
  if (os !== undefined && os !== 'linux') return `spec.os.name is ${JSON.stringify(os)}`;
  for (const label of OS_LABELS) {
    const wanted = spec?.nodeSelector?.[label];
    if (wanted !== undefined && wanted !== 'linux') return `spec.nodeSelector asks for ${label}: ${JSON.stringify(wanted)}`;
  }
  const affinity = within(spec?.affinity, 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms');
  return Array.isArray(affinity) && affinity.length > 0 && affinity.every(neverOnLinux)
    ? 'spec.affinity.nodeAffinity requires nodes that are not linux'
    : '';
}

/** Whether no Linux node fulfils a term of node affinity (NodeSelectorTerm; all of its expressions must hold). */
function neverOnLinux(term: unknown): boolean {
  const expressions = within(term, 'matchExpressions');
  return (
    Array.isArray(expressions) &&
    expressions.some((each) => {
      if (!isObject(each) || !OS_LABELS.includes(String(each.key)) || !Array.isArray(each.values)) return false;
      return each.operator === 'In' ? !each.values.includes('linux') : each.operator === 'NotIn' && each.values.includes('linux');
    })
  );
}

function within(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
}

/** What the labels ask for; an InjectionDecision: no sidecar. */
function askedFor(pod: InjectablePod, namespace: NamespaceFacts): 'injection' | InjectionDecision {
  const own = pod.metadata?.labels?.[LABEL_INJECT];
  const value = own ?? namespace.labels[LABEL_INJECT];
  const owner = own === undefined ? `namespace ${namespace.name}` : 'pod';
  if (value === 'enabled') return 'injection';
  if (value === undefined)
    return skip('NamespaceNotLabelled', `neither the pod nor namespace ${namespace.name} has the label ${LABEL_INJECT}: enabled`, false);
  if (value === 'disabled') return skip('OptedOut', `the ${owner} has the label ${LABEL_INJECT}: disabled`, false);
  const meant = meantLabelValue(LABEL_INJECT, value);
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  return skip(
    'WrongLabelValue',
    `label ${LABEL_INJECT}: ${JSON.stringify(value)} of the ${owner} must be enabled or disabled${hint}`,
    meant !== 'disabled',
  );
}

/**
 * Capture exempts the sidecar's user id: a container that runs as it escapes the mesh and could reach the sidecar's
 * files.
 */
function userProblem(pod: InjectablePod): string {
  const injected = hasSidecar(pod);
  const why = `${SIDECAR_USER_ID} is the sidecar's own user id, its traffic is not captured; use another`;
  if (pod.spec?.securityContext?.runAsUser === SIDECAR_USER_ID) return `spec.securityContext.runAsUser: ${why}`;
  for (const [list, containers] of containerLists(pod)) {
    for (const { name, securityContext } of containers)
      if (securityContext?.runAsUser === SIDECAR_USER_ID && !(injected && OWN.includes(name ?? '')))
        return `container ${name} (${list}): securityContext.runAsUser: ${why}`;
  }
  return '';
}

function collision(pod: InjectablePod): string {
  for (const [list, containers] of containerLists(pod)) {
    for (const { name } of containers)
      if (OWN.includes(name ?? '')) return `spec.${list} has a container named ${name}, a name that injection uses; rename it`;
  }
  return (pod.spec?.volumes ?? []).some(({ name }) => name === IDENTITY_VOLUME)
    ? `spec.volumes has a volume named ${IDENTITY_VOLUME}, a name that injection uses; rename it`
    : '';
}

function containerLists(pod: InjectablePod): [string, Container[]][] {
  return [
    ['initContainers', pod.spec?.initContainers ?? []],
    ['containers', pod.spec?.containers ?? []],
  ];
}

function skip(reason: SkipReason, message: string, event: boolean): InjectionDecision {
  return { inject: false, reason, message, event };
}
