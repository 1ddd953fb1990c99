// Node, v1. Its addresses are read, because node ports are served there, and the zone that it is in.
import type { KubeObject } from '#kube/object.ts';
import { entriesOf, fieldsOf, textOf } from './fields.ts';
import type { FollowedKind } from './kind.ts';
import { named, some } from './metadata.ts';
import { addAll } from './touched.ts';

/** kubernetes.io/docs/reference/labels-annotations-taints: the failure domain that a node is in. */
const LABEL_ZONE = 'topology.kubernetes.io/zone';

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
  // Without the right to read it node ports and zones are not known: nothing else waits for it.
  optional: true,

  keep: (node, metadata) => ({
    metadata: { ...named(metadata), labels: some(metadata.labels, [LABEL_ZONE]) },
    status: { addresses: addressesOf(node).map((address) => ({ address })) },
  }),

  matter: (node) => [addressesOf(node), zoneOf(node)],

  names: (node) => ({ addresses: addressesOf(node) }),

  touch({ key, names, podsOn }, touched) {
    addAll(touched.addresses, names('addresses'));
    // Their sidecars know its zone.
    addAll(touched.pods, podsOn(key));
  },
};

/** '': it is in none. */
export function zoneOf({ metadata }: ClusterNode): string {
  return textOf(fieldsOf(fieldsOf(metadata).labels)[LABEL_ZONE]) ?? '';
}

/** IP addresses; names of hosts are left out. */
function addressesOf({ status }: ClusterNode): string[] {
  return entriesOf(fieldsOf(status).addresses).flatMap((entry) => {
    const address = textOf(fieldsOf(entry).address);
    return address && /^[0-9.]+$|:/.test(address) ? [address] : [];
  });
}
