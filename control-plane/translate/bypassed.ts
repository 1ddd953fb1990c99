// What injection wrote on a pod about its ports: those that its sidecar does not see, which are spoken to in plaintext,
// and those that carry octets, whatever they look like. Pure.
import { create } from '@bufbuild/protobuf';
import { type PortRange, PortRangeSchema } from '#core/contract/gen/weft/v1/mesh_pb.ts';
import { ANNOTATION_STATUS, SIDECAR_ADMIN_PORT, STATUS_OPAQUE_PORTS, STATUS_SKIP_INBOUND_PORTS } from '#core/contract/names.ts';
import { parsePortRanges } from '#core/contract/port-ranges.ts';
import type { KubeObject } from '#kube/object.ts';
import { fieldsOf } from '#objects/fields.ts';

const ADMIN: PortRange = create(PortRangeSchema, { from: SIDECAR_ADMIN_PORT, to: SIDECAR_ADMIN_PORT });
const ONLY_ADMIN: readonly PortRange[] = [ADMIN];
const NONE: readonly PortRange[] = [];

/**
 * The sidecar's own admin port, and what `weft.dev/skip-inbound-ports` left out. A status annotation that was not
 * written by injection leaves out nothing.
 */
export function bypassedPorts(pod: KubeObject): readonly PortRange[] {
  const skipped = statedPorts(pod, STATUS_SKIP_INBOUND_PORTS);
  return skipped.length === 0 ? ONLY_ADMIN : [ADMIN, ...skipped];
}

/** What `weft.dev/opaque-ports` says of the pod's own ports. */
export function opaquePorts(pod: KubeObject): readonly PortRange[] {
  return statedPorts(pod, STATUS_OPAQUE_PORTS);
}

/** The ports in a field of the status annotation. */
function statedPorts(pod: KubeObject, field: string): readonly PortRange[] {
  const status = fieldsOf(fieldsOf(pod.metadata).annotations)[ANNOTATION_STATUS];
  // Few pods have any, and each change of endpoints comes by here.
  if (typeof status !== 'string' || !status.includes(field)) return NONE;
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
