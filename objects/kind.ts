// What Weft knows of a kind of object. Each kind has a file that says all of it; kinds.ts lists them.
import type { ServedKind } from '#kube/api.ts';
import type { KubeObject, ObjectMeta } from '#kube/object.ts';
import type { Shape } from './shape.ts';
import type { Change, Names, StatusSort, Touched } from './touched.ts';

/** A kind, and where the API server serves it. */
export interface Kind<N extends string = string> extends ServedKind {
  /** As it stands in an object's `kind`. */
  readonly kind: N;
  /** Its form in files; absent: it is not read from files. */
  readonly shape?: Shape;
}

/** A kind that the control plane follows on a cluster and holds in its store. */
export interface FollowedKind<N extends string = string, T extends KubeObject = KubeObject> extends Kind<N> {
  /**
   * Most clusters do not have this kind: where it is not served, nothing is missing; where it cannot be read, nothing
   * waits for it.
   */
  readonly optional: boolean;
  /**
   * The parts of an object from the API server that are kept. Memory grows with pods and endpoints, so this is where it
   * is saved. Fields of wrong types are kept as they are: translate/ judges them.
   */
  keep(object: T, metadata: Partial<ObjectMeta>): T;
  /** All that Weft reads of an object, but for its status: two versions of which this is equal touch nothing. */
  matter(object: T): unknown;
  /** What an object names; absent: nothing. */
  names?(object: T): Names;
  /**
   * Adds what a change of an object touches. Called twice, because what the old version named is touched as well as
   * what the new one names.
   */
  touch?(change: Change, touched: Touched): void;
  /** The leader writes the status of such objects, and so looks at every new version; absent: it does not. */
  readonly statuses?: StatusSort;
}

/** `v1`, or `group/version`. */
export function apiVersionOf({ group, version }: Pick<ServedKind, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The part of an apiVersion before the slash; empty for the core group. */
export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}
