// What one sidecar wants: Services with the endpoints that their rules need, and places: IP addresses and node ports.
import { parseResourceName, podResourceName, serviceResourceName } from '#core/contract/resource-names.ts';
import type { Catalogue } from './catalogue.ts';
import { NeededEndpoints } from './needed-endpoints.ts';
import type { Work } from './turns.ts';

/**
 * Services and addresses that one sidecar may want. It never wants as many (sidecar/control/wants.ts,
 * sidecar/outbound/pod-addresses.ts): with a lower bound it could not come back.
 */
export const MOST_WANTED = 20_000;

/** In place of a Service's name: the endpoints that a sidecar brought along. */
const BROUGHT = '';

type Presence = 'there' | 'absent' | 'reported absent';

export class Wanted {
  private readonly catalogue: Catalogue;
  private readonly namespace: string;
  private readonly touched: (name: string) => void;
  private readonly services = new Map<string, Presence>();
  /** Those of `services` that are 'absent': the sidecar waits to hear it. */
  private readonly absent = new Set<string>();
  private readonly addresses = new Set<string>();
  /** Services at one of `addresses`. */
  private readonly found = new Set<string>();
  private readonly endpoints: NeededEndpoints;
  /** Held resources of Services whose version is not the newest: their needs are not known. */
  private readonly outdated = new Set<string>();

  /**
   * @param namespace the sidecar's
   * @param touched is called with the names of resources that may be others for this sidecar
   */
  constructor(catalogue: Catalogue, namespace: string, touched: (name: string) => void) {
    this.catalogue = catalogue;
    this.namespace = namespace;
    this.touched = touched;
    this.endpoints = new NeededEndpoints((key) => touched(serviceResourceName('endpoints', key)));
  }

  /** Services that it has asked for or was given because its siblings use them. */
  keys(): Iterable<string> {
    return this.services.keys();
  }

  get size(): number {
    return this.services.size + this.addresses.size;
  }

  has(key: string): boolean {
    return this.services.has(key);
  }

  hasAddress(address: string): boolean {
    return this.addresses.has(address);
  }

  /** Of these addresses those that it wants. Costs the shorter of the two. */
  wantedOf(addresses: ReadonlySet<string>): readonly string[] {
    const [few, many] = addresses.size < this.addresses.size ? [addresses, this.addresses] : [this.addresses, addresses];
    return [...few].filter((address) => many.has(address));
  }

  needsEndpoints(key: string): boolean {
    return this.endpoints.has(key);
  }

  /** It wants the Service, or has asked about a place of it. */
  needsAddress(key: string): boolean {
    return this.services.has(key) || this.found.has(key);
  }

  /** Of these Services those of which it has, or should have, anything. Costs the shorter of the two. */
  concernedBy(keys: ReadonlySet<string>): string[] {
    const { services, endpoints, found, addresses } = this;
    const { places } = this.catalogue;
    if (keys.size <= services.size + addresses.size)
      return [...keys].filter((key) => services.has(key) || endpoints.has(key) || found.has(key) || this.isFound(key));
    const own = new Set([
      ...services.keys(),
      ...endpoints.keys(),
      ...found,
      ...[...addresses].flatMap((address) => places.keysAt(address)),
    ]);
    return [...own].filter((key) => keys.has(key));
  }

  /** Whether there is room for these. */
  hasRoomFor(keys: readonly string[], addresses: readonly string[]): boolean {
    if (this.size + keys.length + addresses.length <= MOST_WANTED) return true;
    const fresh = new Set(keys.filter((key) => !this.services.has(key)));
    return this.size + fresh.size + addresses.length <= MOST_WANTED;
  }

  *add(keys: Iterable<string>): Work {
    for (const key of keys) {
      if (!this.services.has(key)) this.look(key);
      yield;
    }
  }

  *addAddresses(addresses: Iterable<string>): Work {
    for (const address of addresses) {
      this.addresses.add(address);
      for (const key of this.catalogue.places.keysAt(address)) this.find(key);
      this.touched(podResourceName(address));
      yield;
    }
  }

  dropAddress(address: string): void {
    this.addresses.delete(address);
    for (const key of this.catalogue.places.keysAt(address)) this.find(key);
  }

  /** A Service was translated anew (or came, or went). */
  noteService(key: string): void {
    this.find(key);
    if (this.services.has(key)) this.look(key);
    if (this.endpoints.has(key)) this.touched(serviceResourceName('endpoints', key));
  }

  /**
   * The sidecar runs a version of this resource that needs these endpoints; none: it no longer has it, or it needs
   * none.
   */
  runs(name: string, needs: readonly string[]): void {
    this.endpoints.set('running', name, needs);
    if (this.outdated.delete(name) && this.outdated.size === 0) this.endpoints.set('running', BROUGHT, []);
  }

  /**
   * What a sidecar brings along. A version that is not the newest may need any of the endpoints that it holds.
   * @param held in pieces; it may be left alone between two
   */
  *assumeRunning(held: Iterable<{ readonly name: string; readonly version: string }>): Work {
    const brought: string[] = [];
    for (const { name: resourceName, version } of held) {
      yield;
      const name = parseResourceName(resourceName);
      if (name?.kind === 'endpoints') brought.push(name.key);
      if (name?.kind !== 'service') continue;
      const newest = this.catalogue.service(name.key, this.namespace);
      if (newest?.resource.version === version) this.runs(resourceName, newest.needs);
      else this.outdated.add(resourceName);
    }
    // Once for all of them: a hello costs what it is long, not its square.
    if (this.outdated.size > 0) this.endpoints.set('running', BROUGHT, brought);
  }

  /** Services that do not exist and have not been reported yet; they count as reported. */
  takeAbsent(): string[] {
    const keys = [...this.absent];
    for (const key of keys) this.services.set(key, 'reported absent');
    this.absent.clear();
    return keys;
  }

  /** A Service is, or is no longer, at an address that it has asked about. */
  private find(key: string): void {
    if (this.isFound(key)) this.found.add(key);
    else this.found.delete(key);
    this.touched(serviceResourceName('address', key));
  }

  private isFound(key: string): boolean {
    for (const place of this.catalogue.places.of(key).keys()) if (this.addresses.has(place)) return true;
    return false;
  }

  /** Takes a wanted Service as it is now. */
  private look(key: string): void {
    const newest = this.catalogue.service(key, this.namespace);
    this.endpoints.set('newest', key, newest?.needs ?? []);
    if (newest !== null) {
      this.services.set(key, 'there');
      this.absent.delete(key);
    } else if (this.services.get(key) !== 'reported absent') {
      this.services.set(key, 'absent');
      this.absent.add(key);
    }
    this.touched(serviceResourceName('service', key));
    this.touched(serviceResourceName('address', key));
  }
}
