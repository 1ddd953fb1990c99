// From an address to the Service that it stands for: of the Services that this workload uses or has asked about (of all
// Services, from a control plane of an older version). Of the others it is known where they are.
import type { ServiceAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { KnownPlaces } from './known-places.ts';
import { mayUse } from './source-ranges.ts';

export interface IndexedService {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly number[];
  /** Its rules or its mTLS matter: without its configuration its calls must wait, not pass. */
  readonly concerns: boolean;
}

/** A port of a Service, found by a place that is none of its ClusterIPs. */
export interface FoundPort {
  readonly service: IndexedService;
  /** The Service's own. */
  readonly port: number;
}

/** Places of a Service beside its ClusterIPs; few Services have any. */
interface OtherPlaces {
  readonly loadBalancer: readonly string[];
  readonly external: readonly string[];
  readonly nodePorts: readonly number[];
}

export class AddressIndex {
  readonly places = new KnownPlaces();
  private readonly byAddress = new Map<string, IndexedService>();
  /** Services may share these, each with ports of its own. */
  private readonly byLoadBalancer = new Map<string, IndexedService[]>();
  private readonly byExternal = new Map<string, IndexedService[]>();
  private readonly byNodePort = new Map<number, FoundPort>();
  private readonly othersOf = new Map<string, OtherPlaces>();
  private readonly ownAddresses: readonly string[];
  /** By `<namespace>/<name>`; nearly always there is one. */
  private readonly addressesOf = new Map<string, string | readonly string[]>();
  /** The one taken last: the next one often has the same namespace and ports, and then shares them. */
  private newest: IndexedService = { namespace: '', name: '', ports: [], concerns: false };

  /** @param ownAddresses of this pod, by which a load balancer may take or leave it */
  constructor(ownAddresses: readonly string[] = []) {
    this.ownAddresses = ownAddresses;
  }

  /** Takes the newest version of a Service's addresses. */
  take(taken: ServiceAddress): void {
    const { namespace, name, addresses, ports, routed, meshed, externalAddresses, nodePorts } = taken;
    const key = `${namespace}/${name}`;
    this.remove(key);
    // A headless Service has no address of its own.
    if (addresses.length === 0) return;
    const { newest } = this;
    const service: IndexedService = {
      namespace: namespace === newest.namespace ? newest.namespace : namespace,
      name,
      // A copy is as long as it has to be; a list that was filled by decoding has room for more.
      ports: isSame(ports, newest.ports) ? newest.ports : ports.slice(),
      concerns: routed || meshed,
    };
    this.newest = service;
    this.addressesOf.set(key, addresses.length === 1 ? addresses[0] : addresses.slice());
    for (const address of addresses) this.byAddress.set(address, service);
    const loadBalancer = taken.loadBalancerAddresses.filter((to) => mayUse(to, this.ownAddresses, taken.loadBalancerRanges));
    if (loadBalancer.length + externalAddresses.length + nodePorts.length > 0)
      this.takeOthers(key, service, { loadBalancer, external: externalAddresses.slice(), nodePorts: nodePorts.slice() });
  }

  /** @param key `<namespace>/<name>` */
  remove(key: string): void {
    const addresses = this.addressesOf.get(key) ?? [];
    for (const address of typeof addresses === 'string' ? [addresses] : addresses) {
      const service = this.byAddress.get(address);
      // Another Service may have the address already.
      if (service !== undefined && keyOf(service) === key) this.byAddress.delete(address);
    }
    this.addressesOf.delete(key);
    const others = this.othersOf.get(key);
    if (others !== undefined) this.removeOthers(key, others);
  }

  /** By ClusterIP. */
  at(address: string): IndexedService | undefined {
    return this.byAddress.get(address);
  }

  /**
   * By the address of a load balancer, or one of externalIPs. The former, which a controller writes, come before the
   * latter, which any author of a Service may. Where two Services claim the same place, the first by name has it.
   */
  outsideAt(address: string, port: number): FoundPort | undefined {
    const service = firstWith(this.byLoadBalancer.get(address), port) ?? firstWith(this.byExternal.get(address), port);
    return service && { service, port };
  }

  /** By a node port, which is the same at all nodes. */
  ofNodePort(port: number): FoundPort | undefined {
    return this.byNodePort.get(port);
  }

  get size(): number {
    return this.byAddress.size + this.othersOf.size;
  }

  /** Place → Service, for /config_dump. */
  dump(): Record<string, IndexedService> {
    const shared = [...this.byExternal, ...this.byLoadBalancer].flatMap(([address, services]) =>
      services
        .toReversed()
        .flatMap((service) => service.ports.map((port): [string, IndexedService] => [`${address} port ${port}`, service])),
    );
    const nodePorts = [...this.byNodePort].map(([port, { service }]): [string, IndexedService] => [`node port ${port}`, service]);
    return Object.fromEntries<IndexedService>([...this.byAddress, ...shared, ...nodePorts]);
  }

  private takeOthers(key: string, service: IndexedService, others: OtherPlaces): void {
    this.othersOf.set(key, others);
    for (const [map, addresses] of [
      [this.byLoadBalancer, others.loadBalancer],
      [this.byExternal, others.external],
    ] as const)
      for (const address of addresses) map.set(address, [...(map.get(address) ?? []), service].sort(byKey));
    others.nodePorts.forEach((nodePort, i) => {
      if (nodePort !== 0 && service.ports[i] !== undefined) this.byNodePort.set(nodePort, { service, port: service.ports[i] });
    });
  }

  private removeOthers(key: string, others: OtherPlaces): void {
    this.othersOf.delete(key);
    for (const [map, addresses] of [
      [this.byLoadBalancer, others.loadBalancer],
      [this.byExternal, others.external],
    ] as const)
      for (const address of addresses) {
        const left = (map.get(address) ?? []).filter((service) => keyOf(service) !== key);
        if (left.length === 0) map.delete(address);
        else map.set(address, left);
      }
    for (const nodePort of others.nodePorts) {
      const found = this.byNodePort.get(nodePort);
      // Another Service may have the port already.
      if (found !== undefined && keyOf(found.service) === key) this.byNodePort.delete(nodePort);
    }
  }
}

function firstWith(services: readonly IndexedService[] | undefined, port: number): IndexedService | undefined {
  return services?.find(({ ports }) => ports.includes(port));
}

function keyOf({ namespace, name }: IndexedService): string {
  return `${namespace}/${name}`;
}

function byKey(a: IndexedService, b: IndexedService): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
