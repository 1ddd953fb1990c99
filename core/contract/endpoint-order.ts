// Where an endpoint is, and the order of endpoints in a message: both planes hold to it, so that a delta that the sidecar
// applies gives what the control plane would send whole (mesh.proto, EndpointPort).
import type { Endpoint } from './gen/weft/v1/mesh_pb.ts';

type Place = Pick<Endpoint, 'address' | 'port'>;

/** "<address> <port>": one endpoint of a port stands at each. */
export function endpointPlace({ address, port }: Place): string {
  return `${address} ${port}`;
}

/** By address, then port. */
export function compareEndpoints(a: Place, b: Place): number {
  return a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1;
}
