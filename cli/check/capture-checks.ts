// How pods are captured, by their own containers or by the node agent: namespaces that forbid the first, nodes without
// the second. Pure.
import { INJECTOR_NAME, NODE_AGENT_NAME, SIDECAR_CONTAINER, SIDECAR_USER_ID, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { hasSidecar } from '#injector/decide.ts';
import type { Namespace } from '#objects/namespace.ts';
import type { ClusterPod } from '../cluster/objects.ts';
import { fullNameOf, initContainer, isLive, isReady, podTrouble } from '../cluster/pods.ts';
import { environmentOf } from '../installation/environment.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

/** The label by which the API server's PodSecurity admission goes. */
const POD_SECURITY = 'pod-security.kubernetes.io/enforce';
const INSTALL_AGENT = 'weft install --set nodeAgent.enabled=true | kubectl apply -f -';
const LOOK = `kubectl -n ${SYSTEM_NAMESPACE} describe daemonset ${NODE_AGENT_NAME}; kubectl -n ${SYSTEM_NAMESPACE} get pods -o wide`;
const checks = checksOf('Namespaces');

/** @param meshed the namespaces whose pods get sidecars */
export function captureChecks(facts: Facts, meshed: readonly Namespace[]): Check[] {
  return hasNodeAgent(facts) ? agentChecks(facts) : podSecurityChecks(meshed);
}

/** In words, how the pods of these namespaces are captured; details where not all are in the same way. */
export function capturedBy(facts: Facts, meshed: readonly string[]): { way: string; details: readonly string[] } {
  const ways = hasNodeAgent(facts) ? [AGENT, OWN] : [OWN, AGENT];
  const pods = (facts.pods.ok ? facts.pods.value : []).filter((pod) => isLive(pod) && hasSidecar(pod));
  const details = meshed.map((namespace) => {
    const counts = ways.map((way) => pods.filter((pod) => pod.metadata?.namespace === namespace && wayOf(pod) === way).length);
    const words = ways.flatMap((way, i) => (counts[i] > 0 ? [`${counted(counts[i], 'pod')} by ${way}`] : []));
    return { text: `${namespace}: ${words.join(', ') || `no pod yet; new ones by ${ways[0]}`}`, isMixed: counts[1] > 0 };
  });
  return { way: ways[0], details: details.some(({ isMixed }) => isMixed) ? details.map(({ text }) => text) : [] };
}

const OWN = "the pods' own containers";
const AGENT = 'the node agent';

function wayOf(pod: ClusterPod): string {
  const sidecar = pod.spec?.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
  return sidecar?.securityContext?.runAsUser === SIDECAR_USER_ID ? AGENT : OWN;
}

/** Whether pods that are made now need the agent. */
function hasNodeAgent({ deployments }: Facts): boolean {
  const injector = deployments.ok ? deployments.value.find(({ metadata }) => metadata?.name === INJECTOR_NAME) : undefined;
  return injector !== undefined && environmentOf(injector).WEFT_NODE_AGENT === 'true';
}

/**
 * The sidecar needs NET_ADMIN, which only the level privileged allows: elsewhere the API server refuses the pods, after
 * injection.
 */
function podSecurityChecks(meshed: readonly Namespace[]): Check[] {
  const strict = meshed.flatMap((namespace) => {
    const level = strictLevelOf(namespace);
    return level === undefined ? [] : [{ name: namespace.metadata?.name, level }];
  });
  if (strict.length === 0) return [];
  const text = `Pod Security refuses the new pods of ${counted(strict.length, 'meshed namespace')}: their sidecars need NET_ADMIN`;
  return [
    checks.failed('pod-security', text, {
      details: strict.map(({ name, level }) => `${name}: enforces ${level}`),
      hint: `the node agent captures such pods: ${INSTALL_AGENT}; or kubectl label --overwrite namespace ${strict[0].name} ${POD_SECURITY}=privileged`,
    }),
  ];
}

function strictLevelOf({ metadata }: Namespace): string | undefined {
  const level = metadata?.labels?.[POD_SECURITY];
  return level === 'baseline' || level === 'restricted' ? level : undefined;
}

function agentChecks({ pods: read, namespaces, sidecarWords }: Facts): Check[] {
  if (!read.ok) return [checks.skipped('node-agent', 'the pods could not be read', { details: [read.error] })];
  const live = read.value.filter(isLive);
  const agents = live.filter(isAgent);
  if (agents.length === 0) {
    const system = namespaces.ok ? namespaces.value.find(({ metadata }) => metadata?.name === SYSTEM_NAMESPACE) : undefined;
    const level = system && strictLevelOf(system);
    return [
      checks.failed('node-agent', `there is no pod of DaemonSet ${NODE_AGENT_NAME}: new pods of meshed namespaces wait for it`, {
        details: level === undefined ? [] : [`namespace ${SYSTEM_NAMESPACE} enforces Pod Security ${level}, which refuses its pods`],
        hint: level === undefined ? INSTALL_AGENT : `kubectl label --overwrite namespace ${SYSTEM_NAMESPACE} ${POD_SECURITY}=privileged`,
      }),
    ];
  }
  const ready = new Set(agents.filter(isReady).map(nodeOf));
  const nodes = [...new Set(live.map(nodeOf))].filter((node) => node !== '').sort();
  const without = nodes.filter((node) => !ready.has(node));
  const made: Check[] = [];
  if (without.length === 0) made.push(checks.ok('node-agent', `the node agent is ready on ${counted(nodes.length, 'node')}`));
  else {
    const details = without.map((node) => {
      const agent = agents.find((pod) => nodeOf(pod) === node);
      return `${node}: ${agent === undefined ? 'it has no pod there' : `${agent.metadata?.name}: ${podTrouble(agent)}`}`;
    });
    made.push(
      checks.warning('node-agent', `${counted(without.length, 'node')} without a ready node agent: new meshed pods wait there`, {
        details,
        hint: LOOK,
      }),
    );
  }
  const waiting = live.filter(
    (pod) =>
      hasSidecar(pod) &&
      wayOf(pod) === AGENT &&
      nodeOf(pod) !== '' &&
      initContainer(pod, SIDECAR_CONTAINER)?.started !== true &&
      (!ready.has(nodeOf(pod)) || sidecarWords.get(fullNameOf(pod))?.includes(NODE_AGENT_NAME)),
  );
  if (waiting.length > 0) {
    const details = waiting.map((pod) => `${fullNameOf(pod)} on ${nodeOf(pod)}`);
    made.push(checks.failed('waiting', `${counted(waiting.length, 'pod')} waiting for the node agent`, { details, hint: LOOK }));
  }
  return made;
}

function isAgent({ metadata }: ClusterPod): boolean {
  const owners = metadata?.ownerReferences ?? [];
  return metadata?.namespace === SYSTEM_NAMESPACE && owners.some(({ kind, name }) => kind === 'DaemonSet' && name === NODE_AGENT_NAME);
}

/** '': it has none yet. */
function nodeOf({ spec }: ClusterPod): string {
  return spec?.nodeName ?? '';
}
