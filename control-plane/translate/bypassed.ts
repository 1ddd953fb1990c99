// Ports of a meshed pod that its sidecar does not see, by what injection wrote on the pod. They are spoken to in
// plaintext. Pure.
import { create } from '@bufbuild/protobuf';
import { type PortRange, PortRangeSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ANNOTATION_STATUS, SIDECAR_ADMIN_PORT, STATUS_SKIP_INBOUND_PORTS } from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { Pod } from '#objects/pod.ts';

const ADMIN: PortRange = create(PortRangeSchema, { from: SIDECAR_ADMIN_PORT, to: SIDECAR_ADMIN_PORT });
const ONLY_ADMIN: readonly PortRange[] = [ADMIN];

/**
 * The sidecar's own admin port, and what `weft.dev/skip-inbound-ports` left out. A status annotation that was not
 * written by injection leaves out nothing.
 */
export function bypassedPorts(pod: Pod): readonly PortRange[] {
  const status = fieldsOf(fieldsOf(pod.metadata).annotations)[ANNOTATION_STATUS];
  // Few pods have any, and each change of endpoints comes by here.
  if (typeof status !== 'string' || !status.includes(STATUS_SKIP_INBOUND_PORTS)) return ONLY_ADMIN;
  return [ADMIN, ...parsePortRanges(textOfStatus(status)).ranges.map((range) => create(PortRangeSchema, range))];
}

function textOfStatus(status: string): string {
  try {
    const value: unknown = JSON.parse(status)?.[STATUS_SKIP_INBOUND_PORTS];
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}
