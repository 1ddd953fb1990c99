// Pods with a sidecar that are not Ready because of a probe that goes past it: added after injection, it meets a
// listener that asks the kubelet for a certificate which it has not. Pure.
import { bypassedPorts } from '#control-plane/translate/bypassed.ts';
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import { includesPort, type PortRange } from '#core/contract/port-ranges.ts';
import { PROBE_KINDS } from '#core/contract/probes.ts';
import { hasSidecar } from '#injector/decide.ts';
import type { Container, Probe } from '#injector/pod.ts';
import { portOfTarget, probeTarget } from '#injector/probes.ts';
import type { ClusterPod } from '../cluster/objects.ts';
import { fullNameOf, initContainer, isLive } from '../cluster/pods.ts';
import { type Check, checksOf, counted } from './check.ts';
import type { Facts } from './facts.ts';

const checks = checksOf('Sidecars');

/** Of pods whose sidecar is ready: containers that are not, and have a network probe that was not rewritten. */
export function probeChecks({ pods }: Facts): Check[] {
  if (!pods.ok) return [];
  const found = pods.value.filter((pod) => isLive(pod) && hasSidecar(pod)).flatMap((pod) => probesPast(pod));
  if (found.length === 0) return [];
  return [
    checks.warning(
      'probes',
      `${counted(found.length, 'probe')} of containers that are not ready ${found.length === 1 ? 'was' : 'were'} not rewritten`,
      {
        details: found,
        hint: 'another webhook has added or changed it after injection: make the pod anew, or write the probe into the template of its workload',
      },
    ),
  ];
}

function probesPast(pod: ClusterPod): string[] {
  if (initContainer(pod, SIDECAR_CONTAINER)?.ready !== true) return [];
  const states = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  const unready = new Set(states.filter(({ ready }) => ready === false).map(({ name }) => name));
  const staying = (pod.spec?.initContainers ?? []).filter(
    ({ name, restartPolicy }) => restartPolicy === 'Always' && name !== SIDECAR_CONTAINER,
  );
  const bypassed = bypassedPorts(pod);
  return [...(pod.spec?.containers ?? []), ...staying]
    .filter(({ name }) => unready.has(name))
    .flatMap((container) => fieldsPast(container, bypassed).map((field) => `${fullNameOf(pod)}: container ${container.name}: ${field}`));
}

function fieldsPast(container: Container, bypassed: readonly PortRange[]): string[] {
  return PROBE_KINDS.map((kind) => `${kind}Probe` as const).filter((field) => {
    const probe = container[field];
    return probe !== undefined && meetsTheSidecar(probe, container, bypassed);
  });
}

/** What injection would have rewritten: it leaves alone what asks another place, no port, or one past the sidecar. */
function meetsTheSidecar(probe: Probe, container: Container, bypassed: readonly PortRange[]): boolean {
  if (probe.httpGet?.host || probe.tcpSocket?.host) return false;
  const target = probeTarget(probe, container);
  return target !== null && typeof target !== 'string' && !includesPort(bypassed, portOfTarget(target));
}
