// Port conflicts that the manifests alone show.
import type { PlannedPod, PlanProblem } from './pods.ts';

// Ports of the sidecar itself on the pod's address.
const RESERVED = new Map([[15020, "the sidecar's admin port"]]);

/**
 * Two containers of a pod on one port, a container on a port of the sidecar's, a port that needs root, and two pods
 * that want the same port of the machine (hostPort).
 */
export function portConflicts(pods: readonly PlannedPod[], lowestPort: number): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const hostPorts = new Map<number, PlannedPod>();
  for (const pod of pods) {
    const owners = new Map<number, string>();
    const problem = (text: string) => problems.push({ text, file: pod.file, pod: pod.key });
    for (const container of pod.containers) {
      for (const { port } of container.ports) {
        const other = owners.get(port);
        if (other !== undefined && other !== container.name)
          problem(`${pod.owner}: containers ${other} and ${container.name} are both on port ${port}`);
        owners.set(port, container.name);
      }
    }
    for (const port of pod.inboundPorts) {
      if (RESERVED.has(port)) problem(`${pod.owner}: port ${port} is ${RESERVED.get(port)}`);
      if (port < lowestPort) problem(`${pod.owner}: port ${port} needs root; without it ports start at ${lowestPort}`);
    }
    for (const container of pod.spec.containers ?? []) {
      for (const { hostPort } of container.ports ?? []) {
        if (!hostPort) continue;
        const other = hostPorts.get(hostPort);
        if (other)
          problem(
            `pods ${other.name} and ${pod.name} are both on port ${hostPort} of this machine (hostPort): listen on status.podIP instead, each pod has its own`,
          );
        else hostPorts.set(hostPort, pod);
      }
    }
  }
  return [...new Map(problems.map((item) => [item.text, item])).values()];
}
