// Service, v1.
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, objectShape, present } from './metadata.ts';
import { keyOf, namespaceOf, splitKey } from './references.ts';
import { fields, flag, list, portNumber, portOrName, text, textMap } from './shape.ts';
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
  };
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
}

const spec = fields({
  type: text,
  clusterIP: text,
  clusterIPs: list(text),
  externalName: text,
  selector: textMap,
  publishNotReadyAddresses: flag,
  ports: list(fields({ name: text, port: portNumber, targetPort: portOrName, protocol: text, appProtocol: text }, ['port'])),
});

export const serviceKind: FollowedKind<'Service', Service> = {
  kind: 'Service',
  group: '',
  version: 'v1',
  plural: 'services',
  namespaced: true,
  optional: false,
  shape: objectShape({ spec }),

  keep({ spec }, metadata) {
    const { type, clusterIP, clusterIPs, ipFamilies, externalName, ports } = fieldsOf(spec);
    return { metadata: named(metadata), spec: present({ type, clusterIP, clusterIPs, ipFamilies, externalName, ports }) };
  },

  matter: ({ spec }) => spec,

  names: (service) => ({ parts: partsOfService(keyOf(namespaceOf(service), textOf(service.metadata?.name) ?? '')) }),

  touch({ key, comesOrGoes, sendersTo, misledBy }, touched) {
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
