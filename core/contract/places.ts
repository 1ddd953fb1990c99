// Where the Services of a mesh are, packed: what the control plane sends of all of them, and each sidecar keeps. A place
// is an IP address as connections show it, or ":<node port>". Pure.
import { create } from '@bufbuild/protobuf';
import { addressOctets } from './address-octets.ts';
import { type ServicePlaces, ServicePlacesSchema } from './gen/weft/v1/mesh_pb.ts';

/** What is known of a place; several may hold. 0: it is no Service's. */
export const PLACE_FLAGS = {
  /** It is the ClusterIP of a Service. */
  clusterIp: 1,
  /** A Service is there as well: the address of its load balancer, one of its externalIPs, its node port. */
  elsewhere: 2,
  /** Routes or sidecars of a Service there matter: without its configuration its calls wait, and do not pass. */
  concerns: 4,
} as const;

/** Records of a key and an octet of flags, sorted by key. */
class PackedRecords {
  readonly octets: Uint8Array;
  private readonly keyLength: number;

  /** @throws Error: these are no such records */
  constructor(keyLength: number, octets: Uint8Array) {
    this.keyLength = keyLength;
    this.octets = octets;
    if (octets.length % this.length !== 0) throw new Error(`${octets.length} octets are no records of ${this.length}`);
    for (let at = this.length; at < octets.length; at += this.length)
      if (this.compare(octets, at - this.length, at) >= 0) throw new Error('the records are not sorted');
  }

  flagsOf(key: Uint8Array): number {
    const at = this.find(key, 0);
    return at < this.octets.length && this.compare(key, 0, at) === 0 ? this.octets[at + this.keyLength] : 0;
  }

  /** These with the others in place of those of the same key. Flags of 0 take a record out. */
  with(changes: PackedRecords): PackedRecords {
    if (changes.octets.length === 0) return this;
    const { octets, keyLength, length } = this;
    const merged = new Uint8Array(octets.length + changes.octets.length);
    let [taken, size] = [0, 0];
    const append = (part: Uint8Array): void => {
      merged.set(part, size);
      size += part.length;
    };
    for (let change = 0; change < changes.octets.length; change += length) {
      const at = this.find(changes.octets, change);
      append(octets.subarray(taken, at));
      taken = at < octets.length && this.compare(changes.octets, change, at) === 0 ? at + length : at;
      if (changes.octets[change + keyLength] !== 0) append(changes.octets.subarray(change, change + length));
    }
    append(octets.subarray(taken));
    return new PackedRecords(keyLength, merged.slice(0, size));
  }

  private get length(): number {
    return this.keyLength + 1;
  }

  /** Where the first record begins whose key is not less. */
  private find(key: Uint8Array, offset: number): number {
    let [low, high] = [0, this.octets.length / this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(key, offset, middle * this.length) > 0) low = middle + 1;
      else high = middle;
    }
    return low * this.length;
  }

  /** A key in other octets, by where it begins there, against that of the record that begins at `at`. */
  private compare(other: Uint8Array, offset: number, at: number): number {
    for (let i = 0; i < this.keyLength; i++) {
      const difference = other[offset + i] - this.octets[at + i];
      if (difference !== 0) return difference;
    }
    return 0;
  }
}

const KEY_LENGTHS = { ipv4: 4, ipv6: 16, nodePorts: 2 } as const;
type Family = keyof typeof KEY_LENGTHS;

/** It never changes: with() makes another. */
export class PlaceSet {
  static readonly NONE = PlaceSet.of(create(ServicePlacesSchema));
  private readonly records: Readonly<Record<Family, PackedRecords>>;

  private constructor(records: Readonly<Record<Family, PackedRecords>>) {
    this.records = records;
  }

  /** The records of a message. @throws Error: they are none */
  static of(message: ServicePlaces): PlaceSet {
    // Copies: the octets of a decoded message are a view of all that came with it.
    const records = (family: Family) => new PackedRecords(KEY_LENGTHS[family], message[family].slice());
    return new PlaceSet({ ipv4: records('ipv4'), ipv6: records('ipv6'), nodePorts: records('nodePorts') });
  }

  /** @param flags by place; what is no place is left out */
  static from(flags: ReadonlyMap<string, number>): PlaceSet {
    const found: Record<Family, Uint8Array[]> = { ipv4: [], ipv6: [], nodePorts: [] };
    for (const [place, its] of flags) {
      const key = keyOf(place);
      if (key !== null) found[familyOf(key)].push(Uint8Array.of(...key, its));
    }
    const records = (family: Family) =>
      new PackedRecords(KEY_LENGTHS[family], Buffer.concat(found[family].sort((a, b) => Buffer.compare(a, b))));
    return new PlaceSet({ ipv4: records('ipv4'), ipv6: records('ipv6'), nodePorts: records('nodePorts') });
  }

  /** PLACE_FLAGS of a place; 0: it is no Service's. */
  flagsAt(place: string): number {
    const key = keyOf(place);
    return key === null ? 0 : this.records[familyOf(key)].flagsOf(key);
  }

  /** This with the places of another, where flags of 0 take one out. */
  with(changes: PlaceSet): PlaceSet {
    const records = (family: Family) => this.records[family].with(changes.records[family]);
    return new PlaceSet({ ipv4: records('ipv4'), ipv6: records('ipv6'), nodePorts: records('nodePorts') });
  }

  /** @param base the version that these places change; '': they are all */
  message(base = ''): ServicePlaces {
    const { ipv4, ipv6, nodePorts } = this.records;
    return create(ServicePlacesSchema, { base, ipv4: ipv4.octets, ipv6: ipv6.octets, nodePorts: nodePorts.octets });
  }

  /** Octets that it takes. */
  get size(): number {
    const { ipv4, ipv6, nodePorts } = this.records;
    return ipv4.octets.length + ipv6.octets.length + nodePorts.octets.length;
  }
}

/** The place of a node port, which is the same at all nodes. */
export function nodePortPlace(port: number): string {
  return `:${port}`;
}

/** Whether a place is such a one. */
export function isNodePortPlace(place: string): boolean {
  return /^:\d{1,5}$/.test(place);
}

function familyOf(key: Uint8Array): Family {
  return key.length === 2 ? 'nodePorts' : key.length === 4 ? 'ipv4' : 'ipv6';
}

/** null: it is no place. */
function keyOf(place: string): Uint8Array | null {
  if (!isNodePortPlace(place)) return addressOctets(place);
  const port = Number(place.slice(1));
  return port <= 0xffff ? Uint8Array.of(port >> 8, port & 0xff) : null;
}
