// What would fail for certain is reported before anything is started: programs that do not exist, ports that another
// process holds.
import { relative } from 'node:path';
import { SIDECAR_ADMIN_PORT } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import { collides, type HeldPort, heldPorts } from '../network/held-ports.ts';
import { holderText } from '../network/prefix.ts';
import { manifestKey, type SourcedManifest } from '../plan/manifests.ts';
import { type MeshPlan, type PlanSettings, planMesh } from '../plan/plan.ts';
import type { PlannedContainer, PlannedPod, PlanProblem } from '../plan/pods.ts';
import { containerVariables } from '../process/launch.ts';
import { findProgram, missingScript } from '../process/program.ts';

export interface Preflight {
  /** As the user named it. */
  readonly directory: string;
  readonly manifests: readonly SourcedManifest[];
  /** What could not be read of the directory. */
  readonly fileErrors: readonly string[];
  readonly planSettings: PlanSettings;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Plans once without starting anything. @throws Failure with all that is wrong */
export function checkRunnable({ directory, manifests, fileErrors, planSettings, env }: Preflight): void {
  const notes = (texts: readonly string[]) => texts.map((text) => `\n  ${text}`).join('');
  if (manifests.length === 0) throw new Failure(`there are no manifests in ${directory} (*.yaml, *.yml, *.json)${notes(fileErrors)}`);
  const plan = planMesh(manifests, planSettings);
  const texts = problemTexts(plan.problems, process.cwd());
  if (plan.pods.length === 0)
    throw new Failure(`there are no pods to run in ${directory}: it needs a Deployment or a Pod${notes([...fileErrors, ...texts])}`);
  const everywhere = heldPorts().filter(({ address }) => address === '0.0.0.0' || address === '::');
  const fatal = [
    ...plan.problems.filter(({ pod }) => pod !== undefined),
    ...missingPrograms(plan.pods, env),
    ...takenPorts(plan, everywhere, holderText),
  ];
  if (fatal.length > 0) throw new Failure(`${directory} cannot run:${notes(problemTexts(fatal, process.cwd()))}`);
}

/** Containers whose command does not exist; once per Deployment. */
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

/**
 * Ports that a listener on all addresses of this machine (or on the run's own) holds.
 * @param holder names the process behind a listener
 */
export function takenPorts(
  plan: Pick<MeshPlan, 'pods' | 'services'>,
  held: readonly HeldPort[],
  holder: (listener: HeldPort) => string,
): PlanProblem[] {
  const problems = new Map<number, PlanProblem>();
  const everywhere = (listener: HeldPort) => listener.address === '0.0.0.0' || listener.address === '::';
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
      problems.set(port, {
        text: `Service ${manifestKey(service)} needs port ${port}, which is taken on all addresses by ${holder(listener)}`,
      });
    }
  }
  return [...problems.values()];
}

/** "text (examples/shop/payment.yaml)"; equal ones once. */
export function problemTexts(problems: readonly PlanProblem[], from: string): string[] {
  return [...new Set(problems.map(({ text, file }) => (file === undefined ? text : `${text} (${relative(from, file) || file})`)))];
}
