// Which of a Service port's endpoints a workload uses, by where it runs: what kube-proxy does with
// internalTrafficPolicy, EndpointSlice hints and endpoints that terminate (KEP-2086, KEP-2433, KEP-3015, KEP-1669). Pure.
import type { Endpoint } from '#core/contract/gen/weft/v1/mesh_pb.ts';

/** Where a workload runs; '': not known, or no zone. */
export interface Location {
  readonly node: string;
  readonly zone: string;
}

/**
 * @param local whether only endpoints on the workload's node may be used: where there is none, there is none at all
 * @returns the same array where all are used
 */
export function endpointsFor(endpoints: readonly Endpoint[], local: boolean, location: Location): readonly Endpoint[] {
  const here = local ? endpoints.filter(({ node }) => node === location.node && node !== '') : endpoints;
  const ready = here.some(({ terminating }) => terminating) ? here.filter(({ terminating }) => !terminating) : here;
  // All of them terminate: they serve as long as there is no other.
  if (ready.length === 0) return here;
  return local ? ready : hinted(ready, location);
}

/**
 * Hints count only if every endpoint has them, and one is meant for here: else some would get no traffic, or no traffic
 * would get through.
 */
function hinted(ready: readonly Endpoint[], { node, zone }: Location): readonly Endpoint[] {
  if (ready.every(({ hintNodes }) => hintNodes.length > 0)) {
    const near = ready.filter(({ hintNodes }) => hintNodes.includes(node));
    if (near.length > 0) return near;
  }
  if (ready.every(({ hintZones }) => hintZones.length > 0)) {
    const near = ready.filter(({ hintZones }) => hintZones.includes(zone));
    if (near.length > 0) return near;
  }
  return ready;
}
