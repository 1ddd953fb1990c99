// One of Weft's own programs: is its Deployment there, and do its pods run? Pure.
import { SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { deploymentTrouble, isLive, isReady, podsOf, podTrouble } from '../cluster/pods.ts';
import { type Category, type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

export const INSTALL = 'weft install | kubectl apply -f -';

/**
 * Whether a Deployment of the system namespace is available, and which of its pods are not ready.
 * @param loss what is missing without it
 */
export function programChecks(facts: Facts, category: Category, id: string, name: string, loss: string): Check[] {
  const checks = checksOf(category);
  if (!facts.deployments.ok) return [checks.skipped(id, `Deployment ${name} could not be read`, { details: [facts.deployments.error] })];
  const deployment = facts.deployments.value.find(({ metadata }) => metadata?.name === name);
  if (!deployment) {
    return [checks.failed(id, `there is no Deployment ${name} in ${SYSTEM_NAMESPACE}: ${loss}`, { hint: INSTALL })];
  }
  const wanted = deployment.spec?.replicas ?? 1;
  if (wanted === 0) {
    const hint = `kubectl -n ${SYSTEM_NAMESPACE} scale deployment ${name} --replicas=1`;
    return [checks.failed(id, `Deployment ${name} is scaled to 0: ${loss}`, { hint })];
  }
  const unready = podsOf(facts.pods.ok ? facts.pods.value : [], name).filter((pod) => isLive(pod) && !isReady(pod));
  const available = deployment.status?.availableReplicas ?? 0;
  const details = [
    ...unready.map((pod) => `${pod.metadata?.name}: ${podTrouble(pod)}`),
    ...(unready.length === 0 ? deploymentTrouble(deployment) : []),
  ];
  const text = `Deployment ${name}: ${available} of ${counted(wanted, 'replica')} available`;
  const hint = `kubectl -n ${SYSTEM_NAMESPACE} describe pods; kubectl -n ${SYSTEM_NAMESPACE} logs deployment/${name}`;
  if (available === 0) return [checks.failed(id, `${text}: ${loss}`, { details, hint })];
  if (available < wanted || unready.length > 0) return [checks.warning(id, text, { details, hint })];
  return [checks.ok(id, text)];
}
