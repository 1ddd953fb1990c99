// Which other replicas of the control plane there are: the endpoints of its own Service, ready or not. Pure.
import { entriesOf, fieldsOf, textOf } from '#objects/fields.ts';
import { splitKey } from '#objects/references.ts';
import type { ObjectView } from '../store/object-store.ts';

/** More than an installation has. Of the others nothing is known. */
export const MOST_REPLICAS = 16;
/** Name of the port in the chart's Service. */
const PORT_NAME = 'grpc';

export interface OtherReplica {
  /** Of the pod. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Connections of sidecars may be sent there. */
  readonly serving: boolean;
}

/**
 * @param service key of the control plane's own Service
 * @param self name of this pod
 * @returns by name; one for each pod
 */
export function otherReplicas(objects: Pick<ObjectView, 'slicesOf'>, service: string, self: string): OtherReplica[] {
  const [namespace] = splitKey(service);
  const found = new Map<string, OtherReplica>();
  for (const slice of objects.slicesOf(service)) {
    const port = entriesOf(slice.ports).find(({ name }) => name === PORT_NAME)?.port;
    if (slice.addressType === 'FQDN' || port === undefined) continue;
    for (const endpoint of entriesOf(slice.endpoints)) {
      const { addresses, conditions, targetRef } = fieldsOf(endpoint);
      const { kind, name: pod, namespace: own } = fieldsOf(targetRef);
      const [address] = entriesOf(addresses);
      const name = kind === 'Pod' && (own ?? namespace) === namespace ? textOf(pod) : undefined;
      if (!name || name === self || typeof address !== 'string') continue;
      const { ready, serving } = fieldsOf(conditions);
      const known = found.get(name);
      // A pod with addresses of both families stands in two slices.
      if (known !== undefined) found.set(name, { ...known, serving: known.serving || ready !== false || serving === true });
      else found.set(name, { name, address, port, serving: ready !== false || serving === true });
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
