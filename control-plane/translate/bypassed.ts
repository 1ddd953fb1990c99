// What injection wrote on a pod about its ports: those that its sidecar does not see, which are spoken to in plaintext,
// and those that carry octets, whatever they look like. Pure.
import { create } from '@bufbuild/protobuf';
import { type PortRange, PortRangeSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ANNOTATION_STATUS, SIDECAR_ADMIN_PORT, STATUS_OPAQUE_PORTS, STATUS_SKIP_INBOUND_PORTS } from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { Pod } from '#objects/pod.ts';

const ADMIN: PortRange = create(PortRangeSchema, { from: SIDECAR_ADMIN_PORT, to: SIDECAR_ADMIN_PORT });
const ONLY_ADMIN: readonly PortRange[] = [ADMIN];
const NONE: readonly PortRange[] = [];

/**
 * The sidecar's own admin port, and what `weft.dev/skip-inbound-ports` left out. A status annotation that was not
 * written by injection leaves out nothing.
 */
export function bypassedPorts(pod: Pod): readonly PortRange[] {
  const status = fieldsOf(fieldsOf(pod.metadata).annotations)[ANNOTATION_STATUS];
  // Few pods have any, and each change of endpoints comes by here.
  if (typeof status !== 'string' || !status.includes(STATUS_SKIP_INBOUND_PORTS)) return ONLY_ADMIN;
  return [ADMIN, ...rangesOf(status, STATUS_SKIP_INBOUND_PORTS)];
}

/** What `weft.dev/opaque-ports` says of the pod's own ports. */
export function opaquePorts(pod: Pod): readonly PortRange[] {
  const status = fieldsOf(fieldsOf(pod.metadata).annotations)[ANNOTATION_STATUS];
  return typeof status === 'string' && status.includes(STATUS_OPAQUE_PORTS) ? rangesOf(status, STATUS_OPAQUE_PORTS) : NONE;
}

function rangesOf(status: string, field: string): PortRange[] {
  return parsePortRanges(textOfStatus(status, field)).ranges.map((range) => create(PortRangeSchema, range));
}

function textOfStatus(status: string, field: string): string {
  try {
    const value: unknown = JSON.parse(status)?.[field];
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}
