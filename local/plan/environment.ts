// The environment of a container as the kubelet makes it: Service variables, the downward API, and $(NAME) references.
import type { EnvVar, ManifestContainer } from './manifests.ts';

/** A Service as one pod's containers reach it: the address of the pod's own sidecar that stands for it. */
export interface ReachableService {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly ports: readonly { readonly name: string; readonly port: number }[];
}

/** What the downward API can tell a container. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Where containers of this pod are to listen: `status.podIP`. */
  readonly address: string;
}

const variable = (text: string): string => text.toUpperCase().replace(/[^A-Z0-9]/g, '_');

/**
 * NAME_SERVICE_HOST, NAME_SERVICE_PORT and NAME_SERVICE_PORT_<PORTNAME> for the Services of the pod's own namespace, as
 * in a cluster (kubernetes.io/docs/concepts/services-networking/service/#environment-variables). There is no DNS
 * without a cluster, so Services of other namespaces are published too, as NAME_NAMESPACE_SERVICE_HOST and so on, and
 * headless ones like any other.
 */
export function serviceVariables(services: readonly ReachableService[], namespace: string): Record<string, string> {
  const out: Record<string, string> = {};
  const publish = (service: ReachableService, prefix: string) => {
    if (service.ports.length === 0) return;
    out[`${prefix}_SERVICE_HOST`] = service.address;
    out[`${prefix}_SERVICE_PORT`] = String(service.ports[0].port);
    for (const port of service.ports) if (port.name) out[`${prefix}_SERVICE_PORT_${variable(port.name)}`] = String(port.port);
  };
  // Own namespace last: where two names fall together ("a-b" here, "a" in "b"), the cluster's meaning wins.
  for (const service of services) if (service.namespace !== namespace) publish(service, variable(`${service.name}_${service.namespace}`));
  for (const service of services) if (service.namespace === namespace) publish(service, variable(service.name));
  return out;
}

/** Kubernetes' $(NAME): known names are replaced, unknown ones stay as they are, $$ is a dollar sign. */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (all, name) => (all === '$$' ? '$' : Object.hasOwn(variables, name) ? variables[name] : all));
}

/**
 * The variables of one container: those of Services, then its own `env` in order; a later value may refer to an earlier
 * one.
 * @returns problems for sources that only a cluster has (Secrets, ConfigMaps, resource fields)
 */
export function containerEnvironment(
  container: ManifestContainer,
  services: Readonly<Record<string, string>>,
  facts: PodFacts,
): { env: Record<string, string>; problems: string[] } {
  const env: Record<string, string> = { ...services, POD_IP: facts.address };
  const problems: string[] = [];
  for (const item of container.env ?? []) {
    if (!item?.name) continue;
    if (item.valueFrom === undefined) env[item.name] = expand(String(item.value ?? ''), env);
    else {
      const value = fieldValue(item, facts);
      if (value !== undefined) env[item.name] = value;
      else
        problems.push(
          `env ${item.name}: ${Object.keys(item.valueFrom ?? {}).join(', ')} ${describe(item)}is not available without a cluster`,
        );
    }
  }
  if (container.envFrom?.length) problems.push('envFrom is not available without a cluster');
  return { env, problems };
}

function describe(item: EnvVar): string {
  const path = item.valueFrom?.fieldRef?.fieldPath;
  return path === undefined ? '' : `${path} `;
}

function fieldValue(item: EnvVar, facts: PodFacts): string | undefined {
  const path = item.valueFrom?.fieldRef?.fieldPath ?? '';
  const keyed = /^metadata\.(labels|annotations)\['([^']*)'\]$/.exec(path);
  if (keyed) return (keyed[1] === 'labels' ? facts.labels : facts.annotations)[keyed[2]] ?? '';
  switch (path) {
    case 'metadata.name':
      return facts.name;
    case 'metadata.namespace':
      return facts.namespace;
    case 'metadata.uid':
      return facts.uid;
    case 'spec.serviceAccountName':
      return facts.serviceAccount;
    case 'spec.nodeName':
      return 'localhost';
    case 'status.podIP':
    case 'status.podIPs':
      return facts.address;
    case 'status.hostIP':
    case 'status.hostIPs':
      return '127.0.0.1';
    default:
      return undefined;
  }
}
