// Writes the statuses of XTelemetryPolicies: the leader's job, one after another, for there are few.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { keyOf, namespaceOf } from '#objects/references.ts';
import { type PolicyAncestorEntry, telemetryPolicyKind } from '#objects/telemetry-policy.ts';
import type { PolicyVerdict } from '../translate/policies/telemetry.ts';
import { nextParents } from './next-parents.ts';

/** What the CRD allows: entries of all controllers together. */
export const MOST_ANCESTORS = 16;
/** Between a change and the look at all policies: changes come in bursts. */
const LOOK_AFTER_MS = 100;
const RETRY_MS = 5000;

export interface PolicyStatusSettings {
  readonly client: KubeClient;
  /** The verdicts on all policies, as they are when it is called. */
  readonly verdicts: () => readonly PolicyVerdict[];
  /** Asked before each write: a process that was frozen learns late that another leads. */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  readonly log: Logger;
}

/**
 * The list of entries as it should be, given what stands there: other controllers' stay as they are. Undefined: nothing is to be written.
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

export class PolicyStatusWriter {
  /** Why a status could not be written when it was tried last; '' when all could. */
  problem = '';
  private readonly settings: PolicyStatusSettings;
  /** Policy → the version that we wrote over, until the watch tells of a newer one. */
  private readonly written = new Map<string, string | undefined>();
  private leading = false;
  private busy = false;
  private cancel: (() => void) | null = null;

  constructor(settings: PolicyStatusSettings) {
    this.settings = settings;
  }

  lead(leading: boolean): void {
    this.leading = leading;
    this.problem = '';
    this.written.clear();
    if (leading) this.touch();
  }

  /** A policy or its verdict may be different. Cheap. */
  touch(): void {
    if (this.leading) this.lookAfter(LOOK_AFTER_MS);
  }

  stop(): void {
    this.leading = false;
    this.cancel?.();
    this.cancel = null;
  }

  private lookAfter(ms: number): void {
    this.cancel ??= this.settings.timers.after(ms, () => {
      this.cancel = null;
      if (this.busy) this.touch();
      else void this.look();
    });
  }

  private async look(): Promise<void> {
    this.busy = true;
    const { verdicts, timers } = this.settings;
    let problem = '';
    try {
      const now = `${new Date(timers.now()).toISOString().slice(0, 19)}Z`;
      for (const verdict of verdicts()) {
        if (!this.leading || !this.settings.stillLeading()) return;
        const ancestors = nextAncestors(verdict, now);
        if (ancestors !== undefined) problem = (await this.write(verdict, ancestors)) || problem;
      }
    } finally {
      this.busy = false;
    }
    if (problem !== '' && problem !== this.problem) this.settings.log.warn(problem);
    this.problem = problem;
    if (problem !== '') this.lookAfter(RETRY_MS);
  }

  /** @returns '' or why it was refused; what somebody else did meanwhile comes by the watch, with another look */
  private async write({ policy }: PolicyVerdict, ancestors: readonly PolicyAncestorEntry[]): Promise<string> {
    const { name = '', resourceVersion } = policy.metadata ?? {};
    const namespace = namespaceOf(policy);
    const key = keyOf(namespace, name);
    if (this.written.has(key) && this.written.get(key) === resourceVersion) return '';
    const { group, version } = telemetryPolicyKind;
    const body = {
      apiVersion: `${group}/${version}`,
      kind: 'XTelemetryPolicy',
      metadata: { namespace, name, resourceVersion },
      status: { ancestors },
    };
    try {
      await this.settings.client.request('PUT', { kind: telemetryPolicyKind, namespace, name, subresource: 'status' }, { body });
      this.written.set(key, resourceVersion);
      return '';
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      return error.status === 409 || error.status === 404
        ? ''
        : `the status of XTelemetryPolicy ${key} cannot be written: ${error.message}`;
    }
  }
}
