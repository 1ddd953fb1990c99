// All kinds of objects that Weft reads: the only list of them.

import { deploymentKind } from './deployment.ts';
import { endpointSliceKind } from './endpoint-slice.ts';
import { grpcRouteKind } from './grpc-route.ts';
import type { FollowedKind, Kind } from './kind.ts';
import { namespaceKind } from './namespace.ts';
import { podKind } from './pod.ts';
import { serviceKind } from './service.ts';
import { serviceAccountKind } from './service-account.ts';

/** The kinds that the control plane follows and holds, in the order of a report. */
export const FOLLOWED_KINDS = [serviceKind, endpointSliceKind, podKind, namespaceKind, grpcRouteKind] as const;

const BY_NAME: ReadonlyMap<string, FollowedKind> = new Map(FOLLOWED_KINDS.map((kind): [string, FollowedKind] => [kind.kind, kind]));

/** Undefined: the control plane does not hold objects of this kind. */
export function followedKind(name: string): FollowedKind | undefined {
  return BY_NAME.get(name);
}

/** The kinds that are read from files. */
export const FILE_KINDS: readonly Kind[] = [...FOLLOWED_KINDS, deploymentKind, serviceAccountKind].filter(
  ({ shape }) => shape !== undefined,
);
