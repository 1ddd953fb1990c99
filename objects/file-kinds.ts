// Which kinds of manifests are read, and the types of the fields that Weft reads in each.
// Values of enums (a match type, a filter type) are not checked here: a wrong one is a condition on the route.
import { apiVersionOf, groupOf } from './kind.ts';
import { FILE_KINDS } from './kinds.ts';
import { objectShape } from './metadata.ts';
import { GATEWAY_GROUP } from './references.ts';
import { fields, list, type Shape, text } from './shape.ts';

export interface Kind {
  readonly kind: string;
  /** API group; any version of it is read. Empty: the core group. */
  readonly group: string;
  readonly apiVersion: string;
  readonly namespaced: boolean;
  readonly shape: Shape;
}

function kind(kind: string, group: string, version: string, namespaced: boolean, rest: Readonly<Record<string, Shape>>): Kind {
  return {
    kind,
    group,
    apiVersion: group === '' ? version : `${group}/${version}`,
    namespaced,
    shape: objectShape(rest),
  };
}

const grant = fields(
  {
    from: list(fields({ group: text, kind: text, namespace: text }, ['group', 'kind', 'namespace'])),
    to: list(fields({ group: text, kind: text, name: text }, ['group', 'kind'])),
  },
  ['from', 'to'],
);

/** All kinds that Weft reads from files. */
export const KINDS: readonly Kind[] = [
  ...FILE_KINDS.map((known) => ({ ...known, apiVersion: apiVersionOf(known), shape: known.shape! })),
  kind('ReferenceGrant', GATEWAY_GROUP, 'v1beta1', true, { spec: grant }),
];

export function findKind(apiVersion: string, kind: string): Kind | undefined {
  const group = groupOf(apiVersion);
  return KINDS.find((known) => known.kind === kind && known.group === group);
}
