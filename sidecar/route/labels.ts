// How Services, routes and rules are called in metrics, spans, the access log and reports.
import type { RuleRecord, ServicePortRef } from './records.ts';

/** "namespace/name:port": by name, never by address; of a pod's own port that is its workload. */
export function portLabel({ namespace, name, port }: ServicePortRef): string {
  return `${namespace}/${name}:${port}`;
}

/** "Kind/namespace/name"; '' without a route. */
export function routeLabel(rule: RuleRecord | null | undefined): string {
  const route = rule?.route ?? null;
  return route === null ? '' : `${route.kind}/${route.namespace}/${route.name}`;
}

/** The rule's name, or its number in the route; '' without a route. */
export function ruleLabel(rule: RuleRecord | null | undefined): string {
  return !rule?.route ? '' : rule.name || `${rule.index}`;
}
