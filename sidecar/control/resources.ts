// Where resources of the control plane go into force: each kind has one taker, and each resource is taken or refused
// alone.
import { create } from '@bufbuild/protobuf';
import { type Rejection, RejectionSchema, type Resource } from '#core/contract/gen/weft/v1/config_pb.ts';
import { parseResourceName, resourceRank, type ServiceResourceKind, type StreamResourceKind } from '#core/contract/resource-names.ts';

/** The message that a kind of resource carries. */
export type ResourceValue<Kind extends StreamResourceKind> = Extract<Resource['body'], { case: Kind }>['value'];

/** Puts resources of one kind into force. */
export interface ResourceTaker<Kind extends StreamResourceKind> {
  /** @throws Error with the reason when this version cannot be used; the last good one stays in force */
  take(value: ResourceValue<Kind>, version: string): void;
}

/** Kinds that the control plane takes away again. */
type LeavingKind = ServiceResourceKind | 'places';

/** The same for one of these. */
export interface LeavingResourceTaker<Kind extends LeavingKind> extends ResourceTaker<Kind> {
  /** @param key of a kind of which each Service has one: the Service's "<namespace>/<name>" */
  remove(key: string): void;
}

/** One taker for each kind. */
export type ResourceTakers = { readonly [Kind in Exclude<StreamResourceKind, LeavingKind>]: ResourceTaker<Kind> } & {
  readonly [Kind in LeavingKind]: LeavingResourceTaker<Kind>;
};

/**
 * Puts new versions into force in the contract's order of kinds, then takes out what was removed.
 * A kind that is unknown here is of a newer control plane, and passed over.
 * @returns the resources that cannot be used, for the Ack
 */
export function applyResources(takers: ResourceTakers, resources: readonly Resource[], removed: readonly string[]): Rejection[] {
  const rejections: Rejection[] = [];
  for (const { name, version, body } of [...resources].sort((a, b) => resourceRank(a.body.case) - resourceRank(b.body.case))) {
    try {
      take(takers, body, version);
    } catch (error) {
      rejections.push(create(RejectionSchema, { name, version, reason: (error as Error).message }));
    }
  }
  for (const name of removed) {
    const parsed = parseResourceName(name);
    if (parsed?.kind === 'places') takers.places.remove('');
    else if (parsed !== null && 'key' in parsed) takers[parsed.kind].remove(parsed.key);
  }
  return rejections;
}

function take(takers: ResourceTakers, body: Resource['body'], version: string): void {
  // Deltas have been put together before they come here (endpoint-versions.ts).
  if (body.case === undefined || body.case === 'endpointsDelta') return;
  // The type of the value follows from the kind, which TypeScript cannot see through an index.
  (takers[body.case] as ResourceTaker<StreamResourceKind>).take(body.value, version);
}
