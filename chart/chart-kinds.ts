// The kinds that the chart has: where they are served, and in which order they are applied.
import { KINDS, type ServedKind } from '#kube/api.ts';
import { deploymentKind } from '#objects/deployment.ts';
import { namespaceKind } from '#objects/namespace.ts';
import { serviceKind } from '#objects/service.ts';

const rbac = (plural: string, namespaced: boolean): ServedKind => ({
  group: 'rbac.authorization.k8s.io',
  version: 'v1',
  plural,
  namespaced,
});

/**
 * In the order of installation: what others need first, the webhook last, so that it is asked about no pod before the
 * injector can answer. Removal goes the other way round.
 */
export const CHART_KINDS: ReadonlyMap<string, ServedKind> = new Map<string, ServedKind>([
  ['Namespace', namespaceKind],
  ['ServiceAccount', { group: '', version: 'v1', plural: 'serviceaccounts', namespaced: true }],
  ['ClusterRole', rbac('clusterroles', false)],
  ['ClusterRoleBinding', rbac('clusterrolebindings', false)],
  ['Role', rbac('roles', true)],
  ['RoleBinding', rbac('rolebindings', true)],
  ['PodDisruptionBudget', { group: 'policy', version: 'v1', plural: 'poddisruptionbudgets', namespaced: true }],
  ['NetworkPolicy', { group: 'networking.k8s.io', version: 'v1', plural: 'networkpolicies', namespaced: true }],
  ['PodMonitor', { group: 'monitoring.coreos.com', version: 'v1', plural: 'podmonitors', namespaced: true }],
  ['Service', serviceKind],
  ['Deployment', deploymentKind],
  ['DaemonSet', { group: 'apps', version: 'v1', plural: 'daemonsets', namespaced: true }],
  ['MutatingWebhookConfiguration', KINDS.MutatingWebhookConfiguration],
]);
