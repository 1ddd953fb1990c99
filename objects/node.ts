// Node, v1. Its addresses alone are read: there node ports are served.
import type { KubeObject } from '#kube/object.ts';
import { entriesOf, fieldsOf, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named } from './metadata.ts';
import { addAll } from './touched.ts';

export interface ClusterNode extends KubeObject {
  /** Types are InternalIP, ExternalIP, Hostname, InternalDNS, ExternalDNS. */
  status?: { addresses?: { type?: string; address?: string }[] };
}

export const nodeKind: FollowedKind<'Node', ClusterNode> = {
  kind: 'Node',
  group: '',
  version: 'v1',
  plural: 'nodes',
  namespaced: false,
  // Without the right to read it node ports alone are not known: nothing else waits for it.
  optional: true,

  keep: (node, metadata) => ({
    metadata: named(metadata),
    status: { addresses: addressesOf(node).map((address) => ({ address })) },
  }),

  matter: (node) => addressesOf(node),

  names: (node) => ({ addresses: addressesOf(node) }),

  touch: ({ names }, touched) => addAll(touched.addresses, names('addresses')),
};

/** IP addresses; names of hosts are left out. */
function addressesOf({ status }: ClusterNode): string[] {
  return entriesOf(fieldsOf(status).addresses).flatMap((entry) => {
    const address = textOf(fieldsOf(entry).address);
    return address && /^[0-9.]+$|:/.test(address) ? [address] : [];
  });
}
