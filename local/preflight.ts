// What would fail for certain is said before anything is started: programs that do not exist, ports that somebody holds.
import { relative } from 'node:path';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { containerVariables } from './launch.ts';
import { keyOf } from './plan/manifests.ts';
import type { Plan } from './plan/plan.ts';
import type { PlannedContainer, PlannedPod, PlanProblem } from './plan/pods.ts';
import { collides, type Listener } from './process/port-holder.ts';
import { findProgram, missingScript } from './process/program.ts';

/** Containers whose command does not exist; said once per Deployment. */
export function missingPrograms(pods: readonly PlannedPod[], base: Readonly<Record<string, string | undefined>>): PlanProblem[] {
  const problems: PlanProblem[] = [];
  for (const pod of pods) {
    for (const container of pod.containers) {
      const error = missingProgramOf(container, base);
      if (error !== null) problems.push({ text: `${pod.owner}, container ${container.name}: ${error}`, file: pod.file, pod: pod.key });
    }
  }
  return problems;
}

function missingProgramOf(container: PlannedContainer, base: Readonly<Record<string, string | undefined>>): string | null {
  const found = findProgram(container.argv[0], container.directory, containerVariables(container, base).PATH);
  return 'error' in found ? found.error : missingScript(container.argv, container.directory);
}

/** Ports that a listener on all addresses of this machine (or on the run's own) holds. @param holder says who a listener is */
export function takenPorts(
  plan: Pick<Plan, 'pods' | 'services'>,
  held: readonly Listener[],
  holder: (listener: Listener) => string,
): PlanProblem[] {
  const problems = new Map<number, PlanProblem>();
  const everywhere = (listener: Listener) => listener.address === '0.0.0.0' || listener.address === '::';
  for (const pod of plan.pods) {
    for (const port of new Set([SIDECAR_ADMIN_PORT, ...pod.inboundPorts])) {
      const listener = held.find((one) => collides(one, pod.podAddress, port) || collides(one, pod.appAddress, port));
      if (!listener || problems.has(port)) continue;
      const where = everywhere(listener) ? 'on all addresses' : `on ${listener.address}`;
      problems.set(port, {
        text: `${pod.owner} needs port ${port}, which is taken ${where} by ${holder(listener)}`,
        file: pod.file,
        pod: pod.key,
      });
    }
  }
  // Every sidecar listens for every Service, on addresses of its pod.
  for (const service of plan.services) {
    for (const { port } of (service.spec?.ports ?? []) as { port?: number }[]) {
      const listener = held.find((one) => one.port === port && everywhere(one));
      if (!listener || port === undefined || problems.has(port)) continue;
      problems.set(port, { text: `Service ${keyOf(service)} needs port ${port}, which is taken on all addresses by ${holder(listener)}` });
    }
  }
  return [...problems.values()];
}

/** "text (examples/shop/payment.yaml)"; equal ones once. */
export function problemTexts(problems: readonly PlanProblem[], from: string): string[] {
  return [...new Set(problems.map(({ text, file }) => (file === undefined ? text : `${text} (${relative(from, file) || file})`)))];
}
