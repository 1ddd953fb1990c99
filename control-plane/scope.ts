// scope(): the second of the three pure functions. From what is known of a Service, only what one workload needs.
import { create } from '@bufbuild/protobuf';
import {
  type BackendRef,
  type Endpoints,
  type Filter,
  type Service,
  type ServiceAddress,
  ServiceAddressSchema,
  type ServicePort,
  ServicePortSchema,
  ServiceSchema,
} from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { nodePortPlace, PLACE_FLAGS } from '#core/contract/places.ts';
import { keyOf } from '#objects/references.ts';

/** Whose view it is. The namespace comes from the sidecar's identity, because a header or an address can be made up. */
export interface Scope {
  readonly namespace: string;
}

/**
 * A Service as a workload sees it: where its namespace has consumer routes for a port, these alone hold there,
 * otherwise the producer's (GEP-1294: the groups never merge). Per port, because a route with a port is associated with
 * that port only. `consumers` is empty afterwards. The argument is left alone; where nothing differs it is returned
 * itself. The tables are shared with it.
 */
export function scopeService(service: Service, workload: Scope): Service {
  if (service.ports.every(({ consumers }) => consumers.length === 0)) return service;
  const { $typeName: _, $unknown: __, ports, ...rest } = service;
  return create(ServiceSchema, { ...rest, ports: ports.map((port) => scopePort(port, workload)) });
}

function scopePort(port: ServicePort, workload: Scope): ServicePort {
  if (port.consumers.length === 0) return port;
  const own = port.consumers.find(({ namespace }) => namespace === workload.namespace);
  const { name, protocol, nodePort } = port;
  return create(ServicePortSchema, { port: port.port, name, protocol, nodePort, routes: own?.routes ?? port.routes });
}

/**
 * Keys ("ns/name") of the Services whose endpoints a sidecar needs to serve a scoped Service: its own, the backends
 * that get a share, and mirrors. Sorted.
 */
export function neededBy(scoped: Service): string[] {
  const keys = new Set([keyOf(scoped.namespace, scoped.name)]);
  const add = (ref: BackendRef | undefined) => {
    if (ref !== undefined) keys.add(keyOf(ref.namespace, ref.name));
  };
  const addMirrors = (filters: readonly Filter[]) => {
    for (const { kind } of filters) {
      if (kind.case === 'mirror' && kind.value.invalid === '' && kind.value.numerator > 0) add(kind.value.backend);
    }
  };
  for (const { routes } of scoped.ports) {
    for (const rule of routes?.rules ?? []) {
      if (rule.invalid !== '') continue;
      addMirrors(rule.filters);
      for (const backend of rule.backends) {
        if (backend.invalid !== '' || backend.weight === 0) continue;
        add(backend.ref);
        addMirrors(backend.filters);
      }
    }
  }
  return [...keys].sort();
}

/** Where a Service is, for a workload that wants it or has asked about a place of it. */
export function serviceAddress(service: Service, endpoints: Endpoints | undefined, workload: Scope): ServiceAddress {
  return create(ServiceAddressSchema, {
    namespace: service.namespace,
    name: service.name,
    addresses: service.addresses,
    ports: service.ports.map(({ port }) => port),
    loadBalancerAddresses: service.loadBalancerAddresses,
    externalAddresses: service.externalAddresses,
    loadBalancerRanges: service.loadBalancerRanges,
    nodePorts: service.ports.some(({ nodePort }) => nodePort !== 0) ? service.ports.map(({ nodePort }) => nodePort) : [],
    routed: service.ports.some((port) => scopePort(port, workload).routes !== undefined),
    meshed: isMeshed(endpoints),
  });
}

/**
 * The places of a Service with PLACE_FLAGS, the same for all workloads: routes count whichever namespace they are for.
 */
export function placesOf(service: Service, endpoints: Endpoints | undefined): Map<string, number> {
  const places = new Map<string, number>();
  const isRouted = service.ports.some(({ routes, consumers }) => routes !== undefined || consumers.length > 0);
  const concerns = isRouted || isMeshed(endpoints) ? PLACE_FLAGS.concerns : 0;
  const add = (place: string, flag: number): void => void places.set(place, (places.get(place) ?? 0) | flag | concerns);
  for (const address of service.addresses) add(address, PLACE_FLAGS.clusterIp);
  // A headless Service has no place of its own.
  if (service.addresses.length === 0) return places;
  for (const address of [...service.loadBalancerAddresses, ...service.externalAddresses]) add(address, PLACE_FLAGS.elsewhere);
  for (const { nodePort } of service.ports) if (nodePort !== 0) add(nodePortPlace(nodePort), PLACE_FLAGS.elsewhere);
  return places;
}

function isMeshed(endpoints: Endpoints | undefined): boolean {
  return endpoints?.ports.some((port) => port.endpoints.some(({ identity }) => identity !== '')) ?? false;
}
