// A directory of manifests as the cluster would look if all of it ran: cluster IPs, a Pod with a sidecar per replica,
// EndpointSlices. Pure.
import type { SourcedObject } from '#control-plane/source/files/manifests.ts';
import type { KubeObject } from '#kube/object.ts';
import { type Manifest, manifestKey } from '#local/plan/manifests.ts';
import { type PlannedPod, wantedPods } from '#local/plan/pods.ts';
import { endpointSlices, podObject } from '#local/plan/services.ts';
import { LABEL_SERVICE_NAME } from '#objects/endpoint-slice.ts';

export interface AsIfRunning {
  readonly objects: readonly KubeObject[];
  /** Keys ("ns/name") of the Services whose endpoints are assumed, not read. */
  readonly assumed: ReadonlySet<string>;
}

/**
 * Adds what is missing. What the directory itself holds stays: a Service's EndpointSlices, a Pod that has an address (a
 * dump of a cluster). All pods count as ready. The made-up addresses mean nothing.
 */
export function asIfRunning(sourced: readonly SourcedObject[]): AsIfRunning {
  const manifests = sourced.map(({ object, file }) => ({ object: object as Manifest, file }));
  const real = (object: Manifest) => typeof (object.status as { podIP?: unknown } | undefined)?.podIP === 'string';
  const { pods: wanted } = wantedPods(
    manifests.filter(({ object }) => !(object.kind === 'Pod' && real(object))),
    '.',
  );
  const pods = wanted.map((pod, i): PlannedPod => {
    const podAddress = loopback(64, i);
    return { ...pod, slot: i, podAddress, appAddress: podAddress, uid: `pod-${i}`, containers: [], inboundPorts: [] };
  });
  const ready = new Set(pods.map(({ key }) => key));
  const sliced = new Set(manifests.filter(({ object }) => object.kind === 'EndpointSlice').map(({ object }) => serviceOf(object)));
  const services = manifests.filter(({ object }) => object.kind === 'Service').map(({ object }, i) => withClusterIp(object, i));
  const assumed = services.filter((service) => !sliced.has(manifestKey(service)) && service.spec?.selector !== undefined);
  const kept = manifests
    .map(({ object }) => object)
    .filter((object) => object.kind !== 'Service' && !(object.kind === 'Pod' && !real(object)));
  return {
    objects: [
      ...kept,
      ...services,
      ...pods.map((pod) => podObject(pod, true)),
      ...assumed.flatMap((service) => endpointSlices(service, pods, ready)),
    ],
    assumed: new Set(assumed.map(manifestKey)),
  };
}

function withClusterIp(service: Manifest, index: number): Manifest {
  if (service.spec?.clusterIP || service.spec?.type === 'ExternalName') return service;
  const clusterIP = loopback(128, index);
  return { ...service, spec: { ...service.spec, clusterIP, clusterIPs: [clusterIP] } };
}

/** The index-th address of a block of loopback addresses, 65,536 of them. */
function loopback(block: number, index: number): string {
  return `127.${block}.${(index >> 8) & 255}.${index & 255}`;
}

function serviceOf(slice: Manifest): string {
  return `${slice.metadata?.namespace ?? 'default'}/${slice.metadata?.labels?.[LABEL_SERVICE_NAME] ?? ''}`;
}
