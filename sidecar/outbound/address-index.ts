// The small index of all Services that every sidecar has: from an address to the Service that it stands for.
// Compact, because it is the one thing in a sidecar that grows with the cluster.
import type { ServiceAddress } from '#core/contract/gen/weft/v1/mesh_pb.ts';

export interface IndexedService {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly number[];
  /** Its rules or its mTLS matter: without its configuration its calls must wait, not pass. */
  readonly concerns: boolean;
}

export class AddressIndex {
  private readonly byAddress = new Map<string, IndexedService>();
  /** By `<namespace>/<name>`; nearly always there is one. */
  private readonly addressesOf = new Map<string, string | readonly string[]>();
  /** The one taken last: the next one often has the same namespace and ports, and then shares them. */
  private newest: IndexedService = { namespace: '', name: '', ports: [], concerns: false };

  /** Takes the newest version of a Service's addresses. */
  take({ namespace, name, addresses, ports, routed, meshed }: ServiceAddress): void {
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
  }

  /** @param key `<namespace>/<name>` */
  remove(key: string): void {
    const addresses = this.addressesOf.get(key) ?? [];
    for (const address of typeof addresses === 'string' ? [addresses] : addresses) {
      const service = this.byAddress.get(address);
      // Another Service may have the address already.
      if (service !== undefined && `${service.namespace}/${service.name}` === key) this.byAddress.delete(address);
    }
    this.addressesOf.delete(key);
  }

  at(address: string): IndexedService | undefined {
    return this.byAddress.get(address);
  }

  get size(): number {
    return this.byAddress.size;
  }

  /** Address → Service, for /config_dump. */
  dump(): Record<string, IndexedService> {
    return Object.fromEntries(this.byAddress);
  }
}

function isSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, i) => each === b[i]);
}
