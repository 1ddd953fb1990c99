// The Services that this workload may send to, as far as the control plane has sent them: their addresses, their
// compiled rules, their endpoints. A version that cannot be compiled leaves the one before in force.
import type { Endpoints, Service } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { endpointsFor, type Location } from '../balance/topology.ts';
import type { PortHandle } from '../forward/exchange-deps.ts';
import type { Upstreams } from '../forward/upstreams.ts';
import { compileService } from '../route/compile/compile.ts';
import type { ServicePortRef } from '../route/records.ts';
import { newServicePortRef } from '../route/service-port.ts';
import { AddressIndex } from './address-index.ts';

export class Services {
  /** Which address is which Service's. */
  readonly addresses: AddressIndex;
  private readonly handles = new Map<string, PortHandle>();
  /** These two by "<namespace>/<name>". */
  private readonly services = new Map<string, Service>();
  private readonly endpoints = new Map<string, Endpoints>();
  private readonly upstreams: Upstreams;
  private readonly seed: number;
  private location: Location = { node: '', zone: '' };

  /**
   * @param seed in [0, 1), different in each sidecar: where its weighted sequences start
   * @param ownAddresses see AddressIndex
   */
  constructor(upstreams: Upstreams, seed: number, ownAddresses: readonly string[]) {
    this.addresses = new AddressIndex(ownAddresses);
    this.upstreams = upstreams;
    this.seed = seed;
  }

  /** Where the configuration of a Service port stands; the handle is the same for ever. */
  port(ref: ServicePortRef): PortHandle {
    let handle = this.handles.get(ref.key);
    if (handle === undefined) this.handles.set(ref.key, (handle = { current: null }));
    return handle;
  }

  /** @throws Error with the reason when it cannot be compiled */
  takeService(service: Service): void {
    const compiled = compileService(service, this.seed);
    const key = keyOfService(service);
    const before = this.services.get(key);
    this.services.set(key, service);
    for (const [port, record] of compiled) this.port(newServicePortRef(service.namespace, service.name, port)).current = record;
    for (const { port } of before?.ports ?? []) {
      if (!compiled.has(port)) this.port(newServicePortRef(service.namespace, service.name, port)).current = null;
    }
  }

  /** @param key "<namespace>/<name>" of the Service, as with the other two */
  removeService(key: string): void {
    const service = this.services.get(key);
    if (service === undefined) return;
    this.services.delete(key);
    for (const { port } of service.ports) this.port(newServicePortRef(service.namespace, service.name, port)).current = null;
  }

  takeEndpoints(endpoints: Endpoints): void {
    const key = keyOfService(endpoints);
    const before = this.endpoints.get(key);
    this.endpoints.set(key, endpoints);
    this.useEndpoints(endpoints);
    for (const { port } of before?.ports ?? []) {
      if (!endpoints.ports.some((after) => after.port === port))
        this.upstreams.update(newServicePortRef(endpoints.namespace, endpoints.name, port), []);
    }
  }

  /** The workload runs here: endpoints are chosen by it. */
  setLocation(location: Location): void {
    const { node, zone } = this.location;
    if (location.node === node && location.zone === zone) return;
    this.location = location;
    for (const endpoints of this.endpoints.values()) this.useEndpoints(endpoints);
  }

  removeEndpoints(key: string): void {
    const endpoints = this.endpoints.get(key);
    if (endpoints === undefined) return;
    this.endpoints.delete(key);
    for (const { port } of endpoints.ports) this.upstreams.update(newServicePortRef(endpoints.namespace, endpoints.name, port), []);
  }

  private useEndpoints({ namespace, name, ports, local, affinitySeconds }: Endpoints): void {
    for (const { port, endpoints } of ports) {
      const used = endpointsFor(endpoints, local, this.location);
      this.upstreams.update(newServicePortRef(namespace, name, port), used, { affinityMs: affinitySeconds * 1000, local });
    }
  }

  /** All that is in force, for the admin server's configuration dump. */
  dump(): { services: Service[]; endpoints: Endpoints[]; addresses: object; places: object } {
    const { services, endpoints, addresses } = this;
    return {
      services: [...services.values()],
      endpoints: [...endpoints.values()],
      addresses: addresses.dump(),
      places: addresses.places.dump(),
    };
  }
}

function keyOfService({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}
