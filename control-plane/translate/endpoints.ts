// The endpoints of a Service: the pods that are ready to take its calls, their addresses and identities.
import { create } from '@bufbuild/protobuf';
import {
  type Endpoint,
  EndpointPortSchema,
  EndpointSchema,
  type Endpoints,
  EndpointsSchema,
  type PodAddress,
  PodAddressSchema,
  type PortRange,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { isNamespace, isServiceAccount, workloadSpiffeId } from '#core/contract/identity.ts';
import { ANNOTATION_STATUS } from '#core/contract/names.ts';
import { includesPort } from '#core/contract/port-ranges.ts';
import type { EndpointSlice, SliceEndpoint } from '#objects/endpoint-slice.ts';
import { entriesOf, fieldsOf, isAbsent, portOf, textOf } from '#objects/fields.ts';
import type { Pod } from '#objects/pod.ts';
import { keyOf, namespaceOf, splitKey } from '#objects/references.ts';
import type { Service } from '#objects/service.ts';
import type { ObjectView } from '../store/object-store.ts';
import { bypassedPorts } from './bypassed.ts';
import { clusterIPsOf, type MeshPort } from './ports.ts';

/**
 * Union of a Service's EndpointSlices, by Service port, found by the port's name (the number is the target's and may
 * differ between slices). Ready and not terminating ones; an endpoint in two slices, as while it moves, counts once. Of
 * a dual-stack Service the primary family.
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
  const named = slices.map((slice) => new NamedSlice(slice, objects, trustDomain));
  return create(EndpointsSchema, {
    namespace,
    name,
    ports: ports.map((port) => {
      const byAddress = new Map<string, Endpoint>();
      for (const slice of named) slice.collect(port, byAddress);
      const endpoints = [...byAddress.values()].sort(compareEndpoints);
      return create(EndpointPortSchema, { port: port.port, protocol: port.protocol, endpoints });
    }),
  });
}

function compareEndpoints(a: Endpoint, b: Endpoint): number {
  return a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1;
}

/** One slice, its endpoints looked up once for all ports. */
class NamedSlice {
  private readonly slice: EndpointSlice;
  private readonly ready: readonly ReadyEndpoint[];

  constructor(slice: EndpointSlice, objects: ObjectView, trustDomain: string) {
    this.slice = slice;
    this.ready = entriesOf(slice.endpoints).flatMap((endpoint) => readyEndpoint(endpoint, namespaceOf(slice), objects, trustDomain) ?? []);
  }

  collect(port: MeshPort, byAddress: Map<string, Endpoint>): void {
    for (const entry of entriesOf(this.slice.ports)) {
      const { name, port: number, protocol } = fieldsOf(entry);
      if ((textOf(name) ?? '') !== port.name || (protocol ?? 'TCP') !== 'TCP') continue;
      // Absent: any port. Then it can only be the Service's own number.
      const target = isAbsent(number) ? port.port : portOf(number);
      if (target === undefined) continue;
      for (const ready of this.ready) {
        const place = `${ready.address} ${target}`;
        const known = byAddress.get(place);
        if (known !== undefined && (known.pod !== '' || ready.pod === '')) continue;
        const { bypassed, ...endpoint } = ready;
        const identity = includesPort(bypassed, target) ? '' : ready.identity;
        byAddress.set(place, create(EndpointSchema, { ...endpoint, identity, port: target }));
      }
    }
  }
}

type ReadyEndpoint = Pick<Endpoint, 'address' | 'identity' | 'pod' | 'zone'> & { readonly bypassed: readonly PortRange[] };

function readyEndpoint(
  endpoint: SliceEndpoint | null,
  namespace: string,
  objects: ObjectView,
  trustDomain: string,
): ReadyEndpoint | undefined {
  const { addresses, conditions, targetRef, zone } = fieldsOf(endpoint);
  // Only the first has a meaning (EndpointSlice API: Endpoint.addresses).
  const address = textOf(entriesOf(addresses)[0]);
  const { ready, terminating } = fieldsOf(conditions);
  // Unknown readiness counts as ready. A terminating pod leaves at once, even where publishNotReadyAddresses calls it
  // ready.
  if (!address || ready === false || terminating === true) return undefined;
  const { kind, namespace: podNamespace, name } = fieldsOf(targetRef);
  const podName = kind === 'Pod' ? textOf(name) : undefined;
  const podKey = podName ? keyOf(textOf(podNamespace) || namespace, podName) : undefined;
  const pod = podKey === undefined ? podAt(address, objects) : objects.pod(podKey);
  return {
    address,
    identity: pod === undefined ? '' : identityOf(pod, trustDomain),
    pod: podKey ?? (pod === undefined ? '' : podKeyOf(pod)),
    zone: textOf(zone) ?? '',
    bypassed: pod === undefined ? [] : bypassedPorts(pod),
  };
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
  return create(PodAddressSchema, { address, identity, pod: podKeyOf(pod), bypassed: identity === '' ? [] : [...bypassedPorts(pod)] });
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
