// What the replicas say of a rotation to each other: how far the roots have come on each, in one ConfigMap with a key
// for each replica. Written while the authority is replaced, and at no other time.
import { AUTHORITY_REPORTS } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { TrustProgress } from '../publish/standings.ts';

/** Between two looks at what is to be reported. */
const LOOK_EVERY_MS = 1000;
/** Between two reports that differ in their numbers alone: pods come and go for all the hours that an old root stays. */
const NUMBERS_EVERY_MS = 10_000;
const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 30_000;

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export interface RotationReportsDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Name of this replica. */
  readonly replica: string;
  /** What there is to say now; null: the authority is not being replaced. */
  readonly report: () => TrustProgress | null;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class RotationReports {
  /** Why they cannot be written; '' when they can. */
  problem = '';
  private readonly deps: RotationReportsDeps;
  private readonly reflector: Reflector;
  private found: Readonly<Record<string, string | undefined>> = {};
  private said = '';
  /** Unix ms. */
  private saidMs = 0;
  private failures = 0;
  private cancel: () => void = () => {};
  private stopped = false;

  constructor(deps: RotationReportsDeps) {
    this.deps = deps;
    const { client, namespace, timers, random, log } = deps;
    const take = (object: KubeObject | undefined): void => {
      this.found = fieldsOf((object as ConfigMap | undefined)?.data);
    };
    this.reflector = new Reflector({
      client,
      kind: KINDS.ConfigMap,
      namespace,
      name: AUTHORITY_REPORTS,
      project: (raw) => raw as ConfigMap,
      handler: { synced: ([object]) => take(object), applied: take, removed: () => take(undefined) },
      timers,
      random,
      log: log.child('reflector', { kind: 'ConfigMap' }),
    });
  }

  start(): void {
    this.reflector.start();
    this.look();
  }

  stop(): void {
    this.stopped = true;
    this.cancel();
    this.reflector.stop();
  }

  /** What the others have said, by replica, and what this one has to say. */
  all(): Map<string, TrustProgress> {
    const { replica, report } = this.deps;
    const reports = new Map<string, TrustProgress>();
    for (const [name, text] of Object.entries(this.found)) {
      const read = reportIn(text);
      if (read !== undefined) reports.set(name, read);
    }
    const own = report();
    if (own !== null) reports.set(replica, own);
    return reports;
  }

  /** Removes what was said of a rotation that is over; the leader's. @throws KubeError */
  async clear(): Promise<void> {
    if (Object.keys(this.found).length === 0) return;
    const { client, namespace } = this.deps;
    const path = { kind: KINDS.ConfigMap, namespace, name: AUTHORITY_REPORTS };
    await client.request('PATCH', path, { body: { data: null }, patch: 'merge' });
    this.found = {};
  }

  private look(): void {
    if (this.stopped) return;
    const report = this.deps.report();
    const text = report === null ? '' : JSON.stringify(report);
    const kept = this.found[this.deps.replica];
    const isSaid = text === this.said && kept === text;
    if (report === null || isSaid || (isLike(report, reportIn(kept)) && this.deps.timers.now() < this.saidMs + NUMBERS_EVERY_MS))
      return this.lookIn(LOOK_EVERY_MS);
    this.say(text).then(
      () => {
        this.said = text;
        this.saidMs = this.deps.timers.now();
        this.failures = 0;
        this.problem = '';
        this.lookIn(LOOK_EVERY_MS);
      },
      (error: unknown) => {
        if (!(error instanceof KubeError)) throw error;
        const problem = `this replica cannot say how far the roots have come (ConfigMap ${AUTHORITY_REPORTS}): ${error.message}`;
        if (problem !== this.problem) this.deps.log.warn(problem);
        this.problem = problem;
        this.lookIn(backoffMs(this.failures++, RETRY_BASE_MS, RETRY_CAP_MS, this.deps.random()));
      },
    );
  }

  private lookIn(ms: number): void {
    if (!this.stopped) this.cancel = this.deps.timers.after(ms, () => this.look());
  }

  /** One key, so that replicas do not meet. */
  private async say(text: string): Promise<void> {
    const { client, namespace, replica } = this.deps;
    const path = { kind: KINDS.ConfigMap, namespace };
    const data = { [replica]: text };
    const patch = () => client.request('PATCH', { ...path, name: AUTHORITY_REPORTS }, { body: { data }, patch: 'merge' });
    try {
      await patch();
    } catch (error) {
      if (!(error instanceof KubeError && error.status === 404)) throw error;
      const metadata = { name: AUTHORITY_REPORTS, namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } };
      try {
        await client.request('POST', path, { body: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data } });
      } catch (raced) {
        if (!(raced instanceof KubeError && raced.status === 409)) throw raced;
        await patch(); // another replica has made it meanwhile
      }
    }
  }
}

/** Whether the same is waited for. */
function isLike(a: TrustProgress, b: TrustProgress | undefined): boolean {
  return b !== undefined && a.version === b.version && (a.behind === 0) === (b.behind === 0) && (a.old === 0) === (b.old === 0);
}

function reportIn(text = ''): TrustProgress | undefined {
  try {
    const read = JSON.parse(text) as TrustProgress;
    const numbers = [read.connected, read.behind, read.old];
    const lists = [read.behindPods, read.oldPods];
    const isOne = typeof read.version === 'string' && numbers.every(Number.isSafeInteger) && lists.every(Array.isArray);
    return isOne ? read : undefined;
  } catch {
    return undefined;
  }
}
