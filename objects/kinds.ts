// All kinds of objects that Weft reads: the only list of them.

import { deploymentKind } from './deployment.ts';
import { endpointSliceKind } from './endpoint-slice.ts';
import { grpcRouteKind } from './grpc-route.ts';
import { type FollowedKind, groupOf, type Kind } from './kind.ts';
import { namespaceKind } from './namespace.ts';
import { podKind } from './pod.ts';
import { referenceGrantKind } from './reference-grant.ts';
import { serviceKind } from './service.ts';
import { serviceAccountKind } from './service-account.ts';

/** The kinds that the control plane follows and holds, in the order of a report. */
export const FOLLOWED_KINDS = [serviceKind, endpointSliceKind, podKind, namespaceKind, grpcRouteKind, referenceGrantKind] as const;

const BY_NAME: ReadonlyMap<string, FollowedKind> = new Map(FOLLOWED_KINDS.map((kind): [string, FollowedKind] => [kind.kind, kind]));

/** Undefined: the control plane does not hold objects of this kind. */
export function followedKind(name: string): FollowedKind | undefined {
  return BY_NAME.get(name);
}

/** The kinds that are read from files, of any version of their group. */
export const FILE_KINDS: readonly FileKind[] = ([...FOLLOWED_KINDS, deploymentKind, serviceAccountKind] as readonly Kind[]).filter(
  isFileKind,
);

/** Undefined: objects of this kind are not read from files. */
export function fileKind(apiVersion: string, name: string): FileKind | undefined {
  const group = groupOf(apiVersion);
  return FILE_KINDS.find((known) => known.kind === name && known.group === group);
}

export type FileKind = Kind & Required<Pick<Kind, 'shape'>>;

function isFileKind(kind: Kind): kind is FileKind {
  return kind.shape !== undefined;
}
