// ReferenceGrant, gateway.networking.k8s.io: followed as v1beta1, which every release has; v1 is the same.
import type { KubeObject } from '#kube/object.ts';
import type { FollowedKind } from './kind.ts';
import { named, objectShape } from './metadata.ts';
import { GATEWAY_GROUP, namespaceOf } from './references.ts';
import { fields, list, text } from './shape.ts';
import { addAll } from './touched.ts';

export interface ReferenceGrant extends KubeObject {
  spec?: {
    from?: { group?: string; kind?: string; namespace?: string }[];
    to?: { group?: string; kind?: string; name?: string }[];
  };
}

const spec = fields(
  {
    from: list(fields({ group: text, kind: text, namespace: text }, ['group', 'kind', 'namespace'])),
    to: list(fields({ group: text, kind: text, name: text }, ['group', 'kind'])),
  },
  ['from', 'to'],
);

export const referenceGrantKind: FollowedKind<'ReferenceGrant', ReferenceGrant> = {
  kind: 'ReferenceGrant',
  group: GATEWAY_GROUP,
  version: 'v1beta1',
  plural: 'referencegrants',
  namespaced: true,
  optional: false,
  shape: objectShape({ spec }),
  keep: ({ spec }, metadata) => ({ metadata: named(metadata), spec }),
  matter: ({ spec }) => spec,
  names: (grant) => ({ namespaces: [namespaceOf(grant)] }),

  // Routes that send into its namespace, whether to a Service that is there or to one that is not.
  touch({ names, servicesIn, sendersTo }, touched) {
    for (const namespace of names('namespaces')) {
      for (const service of servicesIn(namespace)) addAll(touched.services, sendersTo(service));
    }
    touched.policyInputs = true;
  },
};
