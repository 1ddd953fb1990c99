// EndpointSlice, discovery.k8s.io/v1.
import type { KubeObject } from '#kube/object.ts';
import { entriesOf, fieldsOf, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, objectShape, present, some } from './metadata.ts';
import { keyOf, namespaceOf } from './references.ts';
import { fields, flag, list, portNumber, text } from './shape.ts';
import { addAll } from './touched.ts';

export interface EndpointSlice extends KubeObject {
  /** IPv4, IPv6, FQDN. */
  addressType?: string;
  endpoints?: SliceEndpoint[];
  ports?: SlicePort[];
}

export interface SliceEndpoint {
  addresses?: string[];
  conditions?: {
    /** Absent: ready. */
    ready?: boolean;
    serving?: boolean;
    terminating?: boolean;
  };
  targetRef?: { kind?: string; namespace?: string; name?: string; uid?: string };
  nodeName?: string;
  zone?: string;
  /** Who should use it, as the EndpointSlice controller has worked out of trafficDistribution. */
  hints?: { forZones?: { name?: string }[]; forNodes?: { name?: string }[] };
}

export interface SlicePort {
  name?: string;
  /** The target port; absent: any. */
  port?: number;
  protocol?: string;
  appProtocol?: string;
}

/** The label that says whose EndpointSlice it is. */
export const LABEL_SERVICE_NAME = 'kubernetes.io/service-name';

const endpoint = fields(
  {
    addresses: list(text),
    conditions: fields({ ready: flag, serving: flag, terminating: flag }),
    targetRef: fields({ kind: text, name: text, namespace: text, uid: text }),
    nodeName: text,
    zone: text,
    hints: fields({ forZones: list(fields({ name: text }, ['name'])), forNodes: list(fields({ name: text }, ['name'])) }),
  },
  ['addresses'],
);
const slicePort = fields({ name: text, port: portNumber, protocol: text, appProtocol: text });

export const endpointSliceKind: FollowedKind<'EndpointSlice', EndpointSlice> = {
  kind: 'EndpointSlice',
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
  namespaced: true,
  optional: false,
  shape: objectShape({ addressType: text, endpoints: list(endpoint), ports: list(slicePort) }),

  keep({ addressType, endpoints, ports }, metadata) {
    return {
      metadata: { ...named(metadata), labels: some(metadata.labels, [LABEL_SERVICE_NAME]) },
      addressType,
      endpoints: entriesOf(endpoints).map((endpoint) => {
        const { addresses, conditions, targetRef, nodeName, zone, hints } = fieldsOf(endpoint);
        const { kind, namespace, name, uid } = fieldsOf(targetRef);
        return present({
          addresses,
          conditions,
          targetRef: targetRef ? present({ kind, namespace, name, uid }) : undefined,
          nodeName,
          zone,
          hints,
        });
      }),
      ports,
    };
  },

  matter: ({ metadata, addressType, endpoints, ports }) => [
    fieldsOf(fieldsOf(metadata).labels)[LABEL_SERVICE_NAME],
    addressType,
    endpoints,
    ports,
  ],

  names(slice) {
    const service = serviceOfSlice(slice);
    return { services: service === undefined ? [] : [service], endpoints: endpointsOf(slice) };
  },

  touch({ names }, touched) {
    for (const endpoint of names('endpoints')) if (!endpoint.includes('/')) touched.addresses.add(endpoint);
    addAll(touched.services, names('services'));
    addAll(touched.endpoints, names('services'));
  },
};

/** Key of the Service that a slice is a part of. */
export function serviceOfSlice({ metadata = {} }: EndpointSlice): string | undefined {
  const name = textOf(fieldsOf(fieldsOf(metadata).labels)[LABEL_SERVICE_NAME]);
  return name ? keyOf(namespaceOf({ metadata }), name) : undefined;
}

/**
 * Key of the pod that an endpoint names; undefined: it names none.
 * @param namespace of its slice
 */
export function podOfEndpoint(endpoint: SliceEndpoint | null, namespace: string): string | undefined {
  const { kind, namespace: own, name } = fieldsOf(fieldsOf(endpoint).targetRef);
  const pod = kind === 'Pod' ? textOf(name) : undefined;
  return pod ? keyOf(textOf(own) || namespace, pod) : undefined;
}

function endpointsOf(slice: EndpointSlice): string[] {
  const namespace = namespaceOf(slice);
  return entriesOf(slice.endpoints).flatMap((endpoint) => {
    const pod = podOfEndpoint(endpoint, namespace);
    return [...(pod === undefined ? [] : [pod]), ...entriesOf(fieldsOf(endpoint).addresses).flatMap((address) => textOf(address) ?? [])];
  });
}
