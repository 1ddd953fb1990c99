// The small index of all Services that every sidecar has: from an address to the Service that it stands for.
// Compact, because it is the one thing in a sidecar that grows with the cluster.
import type { ServiceAddress } from '#core/gen/weft/v1/mesh_pb.ts';

export interface IndexedService {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly number[];
  /** Its rules or its mTLS matter: without its configuration its calls must wait, not pass. */
  readonly concerns: boolean;
}

export class AddressIndex {
  private readonly byAddress = new Map<string, IndexedService>();
  private readonly addressesOf = new Map<string, readonly string[]>();

  /** The newest of a Service. */
  take({ namespace, name, addresses, ports, routed, meshed }: ServiceAddress): void {
    const key = `${namespace}/${name}`;
    this.remove(key);
    // Headless: nobody can send to it.
    if (addresses.length === 0) return;
    const service: IndexedService = { namespace, name, ports, concerns: routed || meshed };
    this.addressesOf.set(key, addresses);
    for (const address of addresses) this.byAddress.set(address, service);
  }

  /** @param key `<namespace>/<name>` */
  remove(key: string): void {
    for (const address of this.addressesOf.get(key) ?? []) {
      const service = this.byAddress.get(address)!;
      // The address may have gone to another Service already.
      if (`${service.namespace}/${service.name}` === key) this.byAddress.delete(address);
    }
    this.addressesOf.delete(key);
  }

  at(address: string): IndexedService | undefined {
    return this.byAddress.get(address);
  }

  get size(): number {
    return this.byAddress.size;
  }

  /** For people: address → Service. */
  dump(): Record<string, IndexedService> {
    return Object.fromEntries(this.byAddress);
  }
}
