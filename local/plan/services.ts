// The cluster's own part of Services: cluster IPs, and EndpointSlices for those with a selector.
import { ANNOTATION_STATUS, STATUS_OPAQUE_PORTS, STATUS_SKIP_INBOUND_PORTS } from '#core/contract/names.ts';
import { DEFAULT_OPAQUE_PORTS, includesPort, parsePortRanges } from '#core/contract/port-ranges.ts';
import { clusterAddress, type Slots } from './addresses.ts';
import { isTcp, type Manifest, manifestKey, type ServiceSpec, selects } from './manifests.ts';
import { shortHash } from './names.ts';
import { type PlannedPod, resolvePort, type WantedPod } from './pods.ts';

/** A Service as the API server would store it: with a cluster IP unless it is headless or an ExternalName. */
export function withClusterIp(service: Manifest, prefix: string, slots: Slots): Manifest {
  const spec: ServiceSpec = service.spec ?? {};
  const slot = slots.get(manifestKey(service));
  if (spec.clusterIP || spec.type === 'ExternalName' || slot === undefined) return service;
  const address = clusterAddress(prefix, slot);
  return { ...service, spec: { ...spec, clusterIP: address, clusterIPs: [address] } };
}

/** The port of this pod that a Service port leads to; undefined if the pod has no port of that name. */
export function targetPortOf(port: { port?: number; targetPort?: number | string }, pod: Pick<WantedPod, 'spec'>): number | undefined {
  return resolvePort(port.targetPort ?? port.port, pod.spec);
}

/** Does this Service send to this pod? */
export function servesPod(service: Manifest, pod: WantedPod): boolean {
  return manifestKey(service).startsWith(`${pod.namespace}/`) && selects(service.spec?.selector, pod.labels as Record<string, string>);
}

/** The ports of a pod that its sidecar serves: those that inbound capture would not leave alone. */
export function capturedPorts({ inboundPorts, options }: PlannedPod): number[] {
  const { ranges } = parsePortRanges(options.skipInboundPorts);
  return inboundPorts.filter((port) => !includesPort(ranges, port));
}

/**
 * discovery.k8s.io/v1 EndpointSlices of one Service with a selector, as the endpoint slice controller writes them: one
 * per set of port numbers, because a named targetPort may mean another number in another pod. Ports that the sidecar
 * does not see are in slices of their own, because here the application has another address than its sidecar. A Service
 * without a
 * selector has none: it keeps the user's own.
 * @param ready keys of the pods that take traffic
 */
export function endpointSlices(service: Manifest, pods: readonly PlannedPod[], ready: ReadonlySet<string>): Manifest[] {
  const spec: ServiceSpec = service.spec ?? {};
  const bySet = new Map<string, { ports: object[]; endpoints: object[] }>();
  const tcpPorts = (spec.ports ?? []).filter((port) => isTcp(port));
  for (const pod of pods) {
    if (!servesPod(service, pod)) continue;
    const ports = tcpPorts
      .map((port) => ({
        name: port.name ?? '',
        port: targetPortOf(port, pod),
        protocol: 'TCP',
        ...(port.appProtocol && { appProtocol: port.appProtocol }),
      }))
      .filter((port) => port.port !== undefined);
    const { ranges } = parsePortRanges(pod.options.skipInboundPorts);
    const skipped = ports.filter(({ port }) => includesPort(ranges, port!));
    const served = ports.filter((port) => !skipped.includes(port));
    const isReady = ready.has(pod.key);
    for (const [address, those] of [[pod.podAddress, served] as const, [pod.appAddress, skipped] as const]) {
      if (those.length === 0 && (those === skipped || skipped.length > 0)) continue;
      const set = JSON.stringify(those);
      let slice = bySet.get(set);
      if (!slice) bySet.set(set, (slice = { ports: those, endpoints: [] }));
      slice.endpoints.push({
        addresses: [address],
        conditions: { ready: isReady || spec.publishNotReadyAddresses === true, serving: isReady, terminating: false },
        nodeName: 'localhost',
        targetRef: { kind: 'Pod', namespace: pod.namespace, name: pod.name, uid: pod.uid },
      });
    }
  }
  const [namespace, name] = manifestKey(service).split('/');
  return [...bySet].map(([set, { ports, endpoints }]) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${name}-${shortHash(`${name}/${set}`, 5)}`,
      namespace,
      labels: { 'kubernetes.io/service-name': name, 'endpointslice.kubernetes.io/managed-by': 'weft-run' },
    },
    addressType: 'IPv4',
    endpoints,
    ports,
  }));
}

/** The Pod object that a cluster would hold for a running pod; the annotation says that it has a sidecar. */
export function podObject(pod: PlannedPod, ready: boolean): Manifest {
  const { skipInboundPorts, opaquePorts } = pod.options;
  const skipped = skipInboundPorts === '' ? {} : { [STATUS_SKIP_INBOUND_PORTS]: skipInboundPorts };
  const opaque = opaquePorts === '' || opaquePorts === DEFAULT_OPAQUE_PORTS ? {} : { [STATUS_OPAQUE_PORTS]: opaquePorts };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name,
      namespace: pod.namespace,
      uid: pod.uid,
      labels: pod.labels as Record<string, string>,
      annotations: { ...pod.annotations, [ANNOTATION_STATUS]: JSON.stringify({ injected: true, ...skipped, ...opaque }) },
    },
    spec: { ...pod.spec, serviceAccountName: pod.serviceAccount, nodeName: 'localhost' },
    status: {
      phase: 'Running',
      podIP: pod.podAddress,
      podIPs: [{ ip: pod.podAddress }],
      hostIP: '127.0.0.1',
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}
