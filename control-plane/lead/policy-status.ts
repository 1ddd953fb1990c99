// Writes the statuses of XTelemetryPolicies, one after another, because there are few.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { keyOf, namespaceOf } from '#objects/references.ts';
import { type PolicyAncestorEntry, telemetryPolicyKind } from '#objects/telemetry-policy.ts';
import type { PolicyVerdict } from '../translate/policies/telemetry.ts';
import { LeaderTask, timeText } from './leader-task.ts';
import { nextParents } from './next-parents.ts';
import { putStatus } from './put-status.ts';

/** What the CRD allows: entries of all controllers together. */
export const MOST_ANCESTORS = 16;
/** Between a change and the look at all policies: changes come in bursts. */
const LOOK_AFTER_MS = 100;
const RETRY_MS = 5000;

export interface PolicyStatusDeps {
  readonly client: KubeClient;
  /** The verdicts on all policies, as they are when it is called. */
  readonly verdicts: () => readonly PolicyVerdict[];
  /** Asked before each write: a process that was frozen learns late that another leads. */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  readonly log: Logger;
}

/**
 * The list of entries as it should be, given what stands there: other controllers' stay as they are. Undefined: nothing
 * is to be written.
 * @param now RFC 3339, whole seconds
 */
export function nextAncestors({ policy, ancestors }: PolicyVerdict, now: string): readonly PolicyAncestorEntry[] | undefined {
  const stored = entriesOf(fieldsOf(policy.status).ancestors).map((entry) => {
    const { ancestorRef, ...others } = fieldsOf(entry);
    return { ...others, parentRef: ancestorRef };
  });
  const wanted = ancestors.map(({ ref, conditions }) => ({ parentRef: ref, conditions }));
  const { parents } = nextParents(stored, namespaceOf(policy), wanted, now, MOST_ANCESTORS);
  return parents?.map(({ parentRef, ...others }) => ({ ancestorRef: parentRef, ...others }));
}

export class PolicyStatusWriter extends LeaderTask {
  private readonly deps: PolicyStatusDeps;

  constructor(deps: PolicyStatusDeps) {
    super(deps.timers);
    this.deps = deps;
  }

  override lead(leading: boolean): void {
    this.writes.clear();
    super.lead(leading);
  }

  /** A policy or its verdict may be different. Cheap. */
  touch(): void {
    this.lookIn(LOOK_AFTER_MS);
  }

  protected async look(nowMs: number): Promise<void> {
    const { verdicts, stillLeading, log } = this.deps;
    let problem = '';
    for (const verdict of verdicts()) {
      if (!this.leading || !stillLeading()) return;
      const ancestors = nextAncestors(verdict, timeText(nowMs));
      if (ancestors !== undefined) problem = (await this.put(verdict, ancestors)) || problem;
    }
    if (this.note(problem)) log.warn(problem);
    if (problem === '') return;
    this.pauseUntil(this.timers.now() + RETRY_MS);
    this.lookIn(RETRY_MS);
  }

  /** @returns '' or why it was refused; the watch shows what another writer did meanwhile, and another look follows */
  private async put({ policy }: PolicyVerdict, ancestors: readonly PolicyAncestorEntry[]): Promise<string> {
    const { name = '', resourceVersion } = policy.metadata ?? {};
    const namespace = namespaceOf(policy);
    const key = keyOf(namespace, name);
    const last = this.writes.get(key);
    if (last?.is === 'written' && last.version === resourceVersion) return '';
    const { group, version } = telemetryPolicyKind;
    const head = { apiVersion: `${group}/${version}`, kind: 'XTelemetryPolicy', metadata: { namespace, name, resourceVersion } };
    try {
      await putStatus(this.deps.client, telemetryPolicyKind, head, { ancestors });
      this.writes.set(key, { is: 'written', version: resourceVersion, untilMs: Infinity });
      return '';
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      return error.status === 409 || error.status === 404
        ? ''
        : `the status of XTelemetryPolicy ${key} cannot be written: ${error.message}`;
    }
  }
}
