// The endpoints of a Service: the pods that are ready to take its calls, their addresses and identities.
import { create } from '@bufbuild/protobuf';
import { compareEndpoints, endpointPlace } from '#core/contract/endpoint-order.ts';
import {
  type Endpoint,
  EndpointPortSchema,
  EndpointSchema,
  type Endpoints,
  EndpointsSchema,
  type PodAddress,
  PodAddressSchema,
  type PortRange,
  PortRangeSchema,
  Protocol,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { isNamespace, isServiceAccount, workloadSpiffeId } from '#core/contract/identity.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import { includesPort } from '#core/contract/port-ranges.ts';
import { type EndpointSlice, podOfEndpoint, type SliceEndpoint, serviceOfSlice } from '#objects/endpoint-slice.ts';
import { entriesOf, fieldsOf, isAbsent, portOf, textOf } from '#objects/fields.ts';
import type { Pod } from '#objects/pod.ts';
import { keyOf, namespaceOf, splitKey } from '#objects/references.ts';
import type { Service } from '#objects/service.ts';
import type { ObjectView } from '../store/object-store.ts';
import { bypassedPorts, opaquePorts } from './bypassed.ts';
import { clusterIPsOf, type MeshPort, meshPorts } from './ports.ts';

/**
 * Union of a Service's EndpointSlices, by Service port, found by the port's name (the number is the target's and may
 * differ between slices). An endpoint in two slices, as while it moves, counts once. Of a dual-stack Service the
 * primary family. Those that terminate and still serve are there where a port has no ready one (KEP-1669), or may have
 * none on a node that internalTrafficPolicy Local binds its clients to.
 */
export function translateEndpoints(
  key: string,
  service: Service,
  ports: readonly MeshPort[],
  objects: ObjectView,
  trustDomain: string,
): Endpoints {
  const [namespace, name] = splitKey(key);
  const slices = ofOneFamily(objects.slicesOf(key), service);
  const local = fieldsOf(service.spec).internalTrafficPolicy === 'Local';
  const named = slices.map((slice) => new NamedSlice(slice, local, objects, trustDomain));
  return create(EndpointsSchema, {
    namespace,
    name,
    ports: ports.map((port) => {
      const byAddress = new Map<string, Endpoint>();
      for (const slice of named) slice.collect(port, byAddress);
      const all = [...byAddress.values()].sort(compareEndpoints);
      const ready = local ? [] : all.filter(({ terminating }) => !terminating);
      return create(EndpointPortSchema, { port: port.port, protocol: port.protocol, endpoints: ready.length > 0 ? ready : all });
    }),
    local,
  });
}

/** One slice, its endpoints looked up once for all ports. */
class NamedSlice {
  private readonly slice: EndpointSlice;
  private readonly serving: readonly ServingEndpoint[];

  /** @param local whether a client has to know on which node an endpoint is */
  constructor(slice: EndpointSlice, local: boolean, objects: ObjectView, trustDomain: string) {
    this.slice = slice;
    const namespace = namespaceOf(slice);
    this.serving = entriesOf(slice.endpoints).flatMap(
      (endpoint) => servingEndpoint(endpoint, namespace, local, objects, trustDomain) ?? [],
    );
  }

  collect(port: MeshPort, byAddress: Map<string, Endpoint>): void {
    for (const target of targetsOf(this.slice, port)) {
      for (const serving of this.serving) {
        const place = endpointPlace({ address: serving.address, port: target });
        const known = byAddress.get(place);
        if (known !== undefined && !isBetter(serving, known)) continue;
        const { bypassed, ...endpoint } = serving;
        const identity = includesPort(bypassed, target) ? '' : serving.identity;
        byAddress.set(place, create(EndpointSchema, { ...endpoint, identity, port: target }));
      }
    }
  }
}

type ServingEndpoint = Pick<Endpoint, 'address' | 'identity' | 'pod' | 'zone' | 'node' | 'hintZones' | 'hintNodes' | 'terminating'> & {
  readonly bypassed: readonly PortRange[];
};

/** Of two that say the same place: the one that is ready, then the one whose pod is known. */
function isBetter(one: ServingEndpoint, known: Endpoint): boolean {
  if (one.terminating !== known.terminating) return known.terminating;
  return known.pod === '' && one.pod !== '';
}

function servingEndpoint(
  endpoint: SliceEndpoint | null,
  namespace: string,
  local: boolean,
  objects: ObjectView,
  trustDomain: string,
): ServingEndpoint | undefined {
  const { addresses, conditions, targetRef, zone, nodeName, hints } = fieldsOf(endpoint);
  // Only the first has a meaning (EndpointSlice API: Endpoint.addresses).
  const address = textOf(entriesOf(addresses)[0]);
  const { ready, serving, terminating } = fieldsOf(conditions);
  // Unknown readiness counts as ready. A terminating pod is not, even where publishNotReadyAddresses calls it ready.
  const serves = terminating === true ? (serving ?? ready !== false) : ready !== false;
  if (!address || !serves) return undefined;
  const podKey = podOfEndpoint(endpoint, namespace);
  const pod = podKey === undefined ? podAt(address, objects) : objects.pod(podKey);
  // The watch has not told of the pod yet, or no longer: whether it has a sidecar is not known, so that it is not to be
  // spoken to in plaintext. One of that name with another uid is another pod, such as a StatefulSet's next one.
  const [uid, uidThere] = [fieldsOf(targetRef).uid, fieldsOf(pod?.metadata).uid].map(textOf);
  const isOther = uid !== undefined && uidThere !== undefined && uid !== uidThere;
  if (podKey !== undefined && (pod === undefined || isOther)) return undefined;
  const { forZones, forNodes } = fieldsOf(hints);
  return {
    address,
    identity: pod === undefined ? '' : identityOf(pod, trustDomain),
    pod: podKey ?? (pod === undefined ? '' : podKeyOf(pod)),
    zone: textOf(zone) ?? '',
    node: local ? (textOf(nodeName) ?? '') : '',
    hintZones: namesOf(forZones),
    hintNodes: namesOf(forNodes),
    terminating: terminating === true,
    bypassed: pod === undefined ? [] : bypassedPorts(pod),
  };
}

function namesOf(entries: readonly { readonly name?: string }[] | null | undefined): string[] {
  return entriesOf(entries).flatMap((entry) => textOf(fieldsOf(entry).name) || []);
}

/**
 * The pod behind an address that no targetRef explains. Finished pods keep an address that another may have by now;
 * those on the host's network share one.
 */
function podAt(address: string, objects: ObjectView): Pod | undefined {
  return objects
    .podsAt(address)
    .filter(({ spec, status }) => fieldsOf(spec).hostNetwork !== true && !['Succeeded', 'Failed'].includes(fieldsOf(status).phase ?? ''))
    .sort((a, b) => (podKeyOf(a) < podKeyOf(b) ? -1 : 1))[0];
}

/** The pod or node at an IP address. Without identity: as far as is known, no pod with a sidecar is there. */
export function podAddress(address: string, objects: ObjectView, trustDomain: string): PodAddress {
  const pod = podAt(address, objects);
  if (pod === undefined) return create(PodAddressSchema, { address, node: objects.isNode(address) });
  const identity = identityOf(pod, trustDomain);
  if (identity === '') return create(PodAddressSchema, { address, pod: podKeyOf(pod) });
  const opaque = [...opaquePorts(pod), ...declaredTcp(address, pod, objects)];
  return create(PodAddressSchema, { address, identity, pod: podKeyOf(pod), bypassed: [...bypassedPorts(pod)], opaque });
}

/** Ports of the pod that a Service declares to carry TCP. */
function declaredTcp(address: string, pod: Pod, objects: ObjectView): PortRange[] {
  const ports = new Set<number>();
  for (const slice of new Set([...objects.slicesWith(podKeyOf(pod)), ...objects.slicesWith(address)])) {
    const key = serviceOfSlice(slice);
    const service = key === undefined ? undefined : objects.service(key);
    if (service === undefined) continue;
    for (const port of meshPorts(service))
      if (port.protocol === Protocol.TCP) for (const target of targetsOf(slice, port)) ports.add(target);
  }
  return [...ports].sort((a, b) => a - b).map((port) => create(PortRangeSchema, { from: port, to: port }));
}

/**
 * The Service ports of which a pod says that they are opaque, with the pod that says so.
 * @returns by number of the port
 */
export function opaqueByPods(key: string, ports: readonly MeshPort[], objects: ObjectView): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (const slice of objects.slicesOf(key)) {
    for (const endpoint of entriesOf(slice.endpoints)) {
      const podKey = podOfEndpoint(endpoint, namespaceOf(slice));
      const pod = podKey === undefined ? undefined : objects.pod(podKey);
      const ranges = pod === undefined ? [] : opaquePorts(pod);
      if (ranges.length === 0) continue;
      for (const port of ports)
        if (!found.has(port.port) && targetsOf(slice, port).some((target) => includesPort(ranges, target))) found.set(port.port, podKey!);
    }
  }
  return found;
}

/** Target ports of a Service port in a slice. */
function targetsOf(slice: EndpointSlice, port: MeshPort): number[] {
  return entriesOf(slice.ports).flatMap((entry) => {
    const { name, port: number, protocol } = fieldsOf(entry);
    if ((textOf(name) ?? '') !== port.name || (protocol ?? 'TCP') !== 'TCP') return [];
    // Absent: any port. Then it can only be the Service's own number.
    const target = isAbsent(number) ? port.port : portOf(number);
    return target ?? [];
  });
}

function podKeyOf(pod: Pod): string {
  return keyOf(namespaceOf(pod), textOf(fieldsOf(pod.metadata).name) ?? '');
}

/** The SPIFFE id that a pod's sidecar shows; empty: it has none, and is spoken to in plaintext. */
function identityOf(pod: Pod, trustDomain: string): string {
  if (isAbsent(fieldsOf(fieldsOf(pod.metadata).annotations)[ANNOTATION_STATUS])) return '';
  const namespace = namespaceOf(pod);
  const account = textOf(fieldsOf(pod.spec).serviceAccountName) || 'default';
  return isNamespace(namespace) && isServiceAccount(account) ? workloadSpiffeId(trustDomain, namespace, account) : '';
}

/**
 * A dual-stack Service has slices of both families with the same pods: they would count twice, and callers may have one
 * family only.
 */
function ofOneFamily(slices: readonly EndpointSlice[], service: Service): EndpointSlice[] {
  const usable = slices.filter(({ addressType }) => addressType === 'IPv4' || addressType === 'IPv6');
  const families = new Set(usable.map(({ addressType }) => addressType));
  if (families.size < 2) return usable;
  const declared = entriesOf(fieldsOf(service.spec).ipFamilies)[0];
  const primary = declared === 'IPv4' || declared === 'IPv6' ? declared : clusterIPsOf(service)[0]?.includes(':') ? 'IPv6' : 'IPv4';
  return usable.filter(({ addressType }) => addressType === primary);
}
