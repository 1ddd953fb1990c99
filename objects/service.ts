// Service, v1.
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf, isAbsent, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, objectShape, present } from './metadata.ts';
import { keyOf, namespaceOf, splitKey } from './references.ts';
import { fields, flag, integer, list, oneOf, portNumber, portOrName, text, textMap } from './shape.ts';
import { addAll } from './touched.ts';

export interface Service extends KubeObject {
  spec?: {
    /** ClusterIP (also when absent), NodePort, LoadBalancer, ExternalName. */
    type?: string;
    /** "None": headless. */
    clusterIP?: string;
    clusterIPs?: string[];
    /** IPv4 or IPv6, the primary first. */
    ipFamilies?: string[];
    externalName?: string;
    selector?: Record<string, string>;
    ports?: ServicePort[];
    /** None (also when absent), ClientIP. */
    sessionAffinity?: string;
    /** Absent: 10800 s. */
    sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
    /** Cluster (also when absent), Local: only endpoints on the client's own node. */
    internalTrafficPolicy?: string;
    /** PreferClose, PreferSameZone, PreferSameNode: the EndpointSlice controller makes hints of it. */
    trafficDistribution?: string;
    /** Addresses by which the cluster's network brings traffic to the nodes, as its administrator says. */
    externalIPs?: string[];
    /** CIDRs that alone may use the addresses of the load balancer; none: all. */
    loadBalancerSourceRanges?: string[];
  };
  status?: { loadBalancer?: { ingress?: LoadBalancerIngress[] } };
}

export interface LoadBalancerIngress {
  ip?: string;
  /** VIP (also when absent): nodes serve the address themselves. Proxy: only the load balancer does. */
  ipMode?: string;
}

export interface ServicePort {
  /** Empty or absent only where there is one port. */
  name?: string;
  port?: number;
  targetPort?: number | string;
  /** TCP (also when absent), UDP, SCTP. */
  protocol?: string;
  /** GEP-1911: kubernetes.io/h2c, kubernetes.io/ws, kubernetes.io/wss; or an IANA service name. */
  appProtocol?: string;
  /** Absent or 0: none. */
  nodePort?: number;
}

/** How long a client keeps its endpoint, in s: one day (ServiceSpec, sessionAffinityConfig). */
export const LONGEST_AFFINITY_SECONDS = 86_400;

const spec = fields({
  type: text,
  clusterIP: text,
  clusterIPs: list(text),
  externalName: text,
  selector: textMap,
  publishNotReadyAddresses: flag,
  ports: list(
    fields({ name: text, port: portNumber, targetPort: portOrName, protocol: text, appProtocol: text, nodePort: integer(0, 65535) }, [
      'port',
    ]),
  ),
  sessionAffinity: oneOf(['None', 'ClientIP']),
  sessionAffinityConfig: fields({ clientIP: fields({ timeoutSeconds: integer(1, LONGEST_AFFINITY_SECONDS) }) }),
  internalTrafficPolicy: oneOf(['Cluster', 'Local']),
  trafficDistribution: text,
  externalIPs: list(text),
  loadBalancerSourceRanges: list(text),
});
const status = fields({ loadBalancer: fields({ ingress: list(fields({ ip: text, hostname: text, ipMode: text })) }) });

export const serviceKind: FollowedKind<'Service', Service> = {
  kind: 'Service',
  group: '',
  version: 'v1',
  plural: 'services',
  namespaced: true,
  optional: false,
  shape: objectShape({ spec, status }),

  keep({ spec, status }, metadata) {
    const { type, clusterIP, clusterIPs, ipFamilies, externalName, ports } = fieldsOf(spec);
    const { sessionAffinity, sessionAffinityConfig, externalIPs, loadBalancerSourceRanges, internalTrafficPolicy } = fieldsOf(spec);
    // Nearly all Services have the default: it takes no room.
    const affinity = sessionAffinity === 'None' ? {} : { sessionAffinity, sessionAffinityConfig };
    const local = internalTrafficPolicy === 'Local' ? { internalTrafficPolicy } : {};
    const { ingress } = fieldsOf(fieldsOf(status).loadBalancer);
    return {
      metadata: named(metadata),
      spec: present({
        type,
        clusterIP,
        clusterIPs,
        ipFamilies,
        externalName,
        ports,
        ...affinity,
        ...local,
        externalIPs,
        loadBalancerSourceRanges,
      }),
      ...(isAbsent(ingress) ? {} : { status: { loadBalancer: { ingress } } }),
    };
  },

  matter: ({ spec, status }) => [spec, fieldsOf(fieldsOf(status).loadBalancer).ingress],

  names: (service) => ({ parts: partsOfService(keyOf(namespaceOf(service), textOf(service.metadata?.name) ?? '')) }),

  touch({ key, comesOrGoes, sendersTo, misledBy, endpointsOf }, touched) {
    // What its ports declare holds at the addresses of its endpoints, too.
    for (const endpoint of endpointsOf(key)) if (!endpoint.includes('/')) touched.addresses.add(endpoint);
    touched.services.add(key);
    addAll(touched.services, sendersTo(key));
    if (comesOrGoes) addAll(touched.services, misledBy(key));
    touched.policyInputs = true;
  },
};

/** By what "did you mean …?" finds a Service: its namespace as "ns/", and its name. */
export function partsOfService(key: string): string[] {
  const [namespace, name] = splitKey(key);
  return [`${namespace}/`, name];
}
