// Where all Services of the mesh are, as far as the control plane has sent it: enough to tell a Service that this
// workload has not used yet from other addresses while the control plane cannot be asked.
import type { ServicePlaces } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { isNodePortPlace, PLACE_FLAGS, PlaceSet } from '#core/contract/places.ts';

export class KnownPlaces {
  private set = PlaceSet.NONE;
  private version = '';

  /** @throws Error when it changes another version, or cannot be read: the places stay as they are */
  take(places: ServicePlaces, version: string): void {
    if (places.base !== '' && places.base !== this.version)
      throw new Error(`it changes version ${places.base}, here is ${this.version || 'none'}`);
    const taken = PlaceSet.of(places);
    this.set = places.base === '' ? taken : this.set.with(taken);
    this.version = version;
  }

  /** The control plane sends the addresses of all Services instead, as older ones do. */
  clear(): void {
    this.set = PlaceSet.NONE;
    this.version = '';
  }

  isClusterIp(address: string): boolean {
    return (this.set.flagsAt(address) & PLACE_FLAGS.clusterIp) !== 0;
  }

  /** @param place an address, or nodePortPlace() */
  isElsewhere(place: string): boolean {
    return (this.set.flagsAt(place) & PLACE_FLAGS.elsewhere) !== 0;
  }

  /** Only a Service can be there, no pod. */
  isServiceOnly(place: string): boolean {
    return isNodePortPlace(place) || this.isClusterIp(place);
  }

  /** Routes or sidecars of a Service there matter. */
  concerns(place: string): boolean {
    return (this.set.flagsAt(place) & PLACE_FLAGS.concerns) !== 0;
  }

  /** For /config_dump. */
  dump(): { version: string; octets: number } {
    return { version: this.version, octets: this.set.size };
  }
}
