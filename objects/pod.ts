// Pod, v1.
import { liveAnnotationKeys } from '#core/contract/annotations.ts';
import { ANNOTATION_STATUS, LABEL_MTLS, SIDECAR_CONTAINER } from '#core/contract/names.ts';
import type { KubeObject, ObjectMeta } from '#kube/object.ts';
import { entriesOf, fieldsOf, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, objectShape, present, some } from './metadata.ts';
import { fields, INT32, integer, list, name, portNumber, portOrName, text } from './shape.ts';
import { addAll } from './touched.ts';

export interface Pod extends KubeObject {
  spec?: { serviceAccountName?: string; hostNetwork?: boolean; nodeName?: string; initContainers?: { name?: string }[] };
  status?: {
    /** Pending, Running, Succeeded, Failed, Unknown. */
    phase?: string;
    podIP?: string;
    podIPs?: { ip?: string }[];
  };
}

const LABELS = [LABEL_MTLS, 'pod-template-hash', 'statefulset.kubernetes.io/pod-name'];
const ANNOTATIONS = [LABEL_MTLS, ...liveAnnotationKeys('Pod')];

const probe = fields({
  tcpSocket: fields({ port: portOrName, host: text }, ['port']),
  httpGet: fields({ port: portOrName, path: text, host: text, scheme: text, httpHeaders: list(fields({ name, value: text }, ['name'])) }, [
    'port',
  ]),
  grpc: fields({ port: portNumber, service: text }, ['port']),
  exec: fields({ command: list(text) }),
  initialDelaySeconds: integer(0, INT32),
  periodSeconds: integer(0, INT32),
  timeoutSeconds: integer(0, INT32),
  successThreshold: integer(0, INT32),
  failureThreshold: integer(0, INT32),
});
const variable = fields({ name, value: text, valueFrom: fields({ fieldRef: fields({ fieldPath: text }, ['fieldPath']) }) }, ['name']);
const container = fields(
  {
    name,
    image: text,
    command: list(text),
    args: list(text),
    workingDir: text,
    env: list(variable),
    ports: list(fields({ name: text, containerPort: portNumber, protocol: text }, ['containerPort'])),
    readinessProbe: probe,
    livenessProbe: probe,
    startupProbe: probe,
  },
  ['name'],
);
/** What `weft run` reads of a pod to start it; a pod template has it too. */
export const podSpecShape = fields(
  {
    serviceAccountName: text,
    restartPolicy: text,
    terminationGracePeriodSeconds: integer(0, INT32),
    containers: list(container),
    initContainers: list(container),
  },
  ['containers'],
);

export const podKind: FollowedKind<'Pod', Pod> = {
  kind: 'Pod',
  group: '',
  version: 'v1',
  plural: 'pods',
  namespaced: true,
  optional: false,
  shape: objectShape({ spec: podSpecShape }),

  keep(pod, metadata) {
    const { serviceAccountName, hostNetwork, nodeName } = fieldsOf(pod.spec);
    const { phase, podIP, podIPs } = fieldsOf(pod.status);
    const annotations = some(metadata.annotations, ANNOTATIONS);
    const status = sidecarStatus(pod, metadata);
    return {
      metadata: present({
        ...named(metadata),
        uid: metadata.uid,
        labels: some(metadata.labels, LABELS),
        annotations: status === undefined ? annotations : { ...annotations, ...status },
      }),
      spec: present({ serviceAccountName, hostNetwork, nodeName }),
      status: present({ phase, podIP, podIPs }),
    };
  },

  matter({ metadata, spec, status }) {
    const { serviceAccountName, hostNetwork, nodeName } = fieldsOf(spec);
    const { phase, podIP, podIPs } = fieldsOf(status);
    const { uid, labels, annotations } = fieldsOf(metadata);
    return [uid, labels, annotations, serviceAccountName, hostNetwork, nodeName, phase, podIP, podIPs];
  },

  names({ spec, status }) {
    const { podIP, podIPs } = fieldsOf(status);
    return {
      addresses: [podIP, ...entriesOf(podIPs).map((entry) => fieldsOf(entry).ip)].flatMap((address) => textOf(address) || []),
      nodes: [fieldsOf(spec).nodeName].flatMap((node) => textOf(node) || []),
    };
  },

  touch({ key, names, servicesWith }, touched) {
    touched.pods.add(key);
    addAll(touched.addresses, names('addresses'));
    for (const endpoint of [key, ...names('addresses')]) addAll(touched.services, servicesWith(endpoint));
  },
};

/**
 * The status annotation of a pod that has a sidecar: the store's pods are known by it. The container decides: the
 * annotation alone may be a copy, and calls to a pod without a sidecar must not be mTLS; one that was taken away makes
 * no difference.
 */
function sidecarStatus({ spec }: Pod, { annotations }: Partial<ObjectMeta>): Record<string, string> | undefined {
  const containers = entriesOf(fieldsOf(spec).initContainers);
  if (!containers.some((container) => fieldsOf(container).name === SIDECAR_CONTAINER)) return undefined;
  return { [ANNOTATION_STATUS]: fieldsOf(annotations)[ANNOTATION_STATUS] ?? '{}' };
}
