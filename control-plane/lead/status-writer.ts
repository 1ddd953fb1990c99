// Writes the statuses of routes. What is to be written is always computed from the newest state, so that nothing queues
// up but names.

import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { RateLimit } from '#core/program/rate-limit.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import type { StoredCondition } from '#objects/condition.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { apiVersionOf } from '#objects/kind.ts';
import { followedKind } from '#objects/kinds.ts';
import { keyOf, keyOfParent, namespaceOf } from '#objects/references.ts';
import type { Route, RouteParentEntry } from '#objects/route.ts';
import type { RouteState } from '../publish/standings.ts';
import type { MeshApplied } from '../replicas/mesh-counts.ts';
import { AppliedPace, appliedCondition, SETTLED_AFTER_MS } from './applied.ts';
import { type FailedWrite, LeaderTask, timeText, type Write } from './leader-task.ts';
import { APPLIED, nextParents, type WantedParent } from './next-parents.ts';
import { putStatus } from './put-status.ts';

/**
 * Writes under way at once, and how many there may be: so many at once after a rest, so many per minute. Verdicts go
 * first and have a budget of their own: counts change with each pod that comes or goes, and must not delay them.
 */
const VERDICTS: Budget = { atOnce: 4, burst: 40, perMinute: 3000 };
const COUNTS: Budget = { atOnce: 2, burst: 10, perMinute: 600 };
/** Between two looks at all routes: after a change, and when only sidecars answered. */
const LOOK_EVERY_MS = 100;
const COUNT_EVERY_MS = 1000;
const CONFLICT_RETRIES = 5;
/** What we wrote comes back on the watch; after this long without it the route is looked at again. */
const ECHO_WITHIN_MS = 10_000;
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 30_000;
/** A server may ask for more patience than we have. */
const MAX_RETRY_AFTER_MS = 60_000;

export interface StatusWriterDeps {
  readonly client: KubeClient;
  /** All routes as the watch has them. */
  readonly routes: () => Iterable<Route>;
  readonly states: () => readonly RouteState[];
  /** How many sidecars of the whole mesh run it. */
  readonly total: (state: RouteState) => MeshApplied;
  /** Asked before each write: a process that was frozen learns late that another leads */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** A person should know: an Event on the route. */
  readonly onTrouble?: (route: Route, reason: 'StatusFull' | 'StatusRefused', message: string) => void;
}

/** Writes by outcome, since the start; for metrics. */
export interface StatusCounts {
  written: number;
  conflict: number;
  failed: number;
}

interface Budget {
  /** Writes of any kind that are under way when one of this kind may begin: fewer than these. */
  readonly atOnce: number;
  readonly burst: number;
  readonly perMinute: number;
}

/** What a verdict is made of. */
interface Judged {
  readonly state: RouteState;
  readonly total: MeshApplied;
}

interface Plan {
  readonly key: string;
  readonly route: Route;
  readonly judged: readonly Judged[];
  readonly parents: readonly RouteParentEntry[];
  /** Parents whose Applied condition is a reason for this write. */
  readonly counted: readonly string[];
  /** Unix ms: when a count of this route was written last. */
  readonly countedMs: number;
  /** Nothing else is different. */
  readonly onlyCounts: boolean;
  /** Somebody has changed the route since its verdict was written. */
  readonly isChanged: boolean;
}

/** What a look at a route has brought: it holds while route and verdicts are the same. */
interface Looked {
  readonly route: Route;
  readonly judged: readonly Judged[];
  readonly parents: readonly string[];
  readonly plan: Plan | null;
  /** Unix ms: until then it holds; Infinity. */
  readonly againMs: number;
}

export class StatusWriter extends LeaderTask {
  readonly counts: StatusCounts = { written: 0, conflict: 0, failed: 0 };
  private readonly deps: StatusWriterDeps;
  private readonly pace = new AppliedPace();
  private readonly verdictLimit: RateLimit;
  private readonly countLimit: RateLimit;
  private readonly full = new Set<string>();
  /** By key of the route. */
  private readonly looked = new Map<string, Looked>();
  private lookedMs = 0;
  private failures = 0;

  constructor(deps: StatusWriterDeps) {
    super(deps.timers);
    this.deps = deps;
    const limit = ({ perMinute, burst }: Budget): RateLimit => new RateLimit(perMinute, burst, () => deps.timers.now());
    this.verdictLimit = limit(VERDICTS);
    this.countLimit = limit(COUNTS);
  }

  /**
   * A route or its verdict may be different (`counts`: only how many sidecars run it). Cheap: looks happen some time
   * apart.
   */
  touch(what: 'routes' | 'counts' = 'routes'): void {
    this.lookAt(this.lookedMs + (what === 'routes' ? LOOK_EVERY_MS : COUNT_EVERY_MS));
  }

  protected look(nowMs: number): void {
    this.lookedMs = nowMs;
    const states = this.statesByRoute();
    const routes = new Set<string>();
    const known = new Set<string>();
    const verdicts: Plan[] = [];
    const counts: Plan[] = [];
    for (const route of this.deps.routes()) {
      const key = routeKey(route);
      routes.add(key);
      const { plan, againMs, parents } = this.lookOnce(key, route, states.get(key) ?? [], nowMs);
      for (const parent of parents) known.add(parent);
      this.lookAt(againMs);
      if (plan === null || this.writes.get(key)?.is === 'writing') continue;
      if (plan.onlyCounts) counts.push(plan);
      else verdicts.push(plan);
    }
    // Its author waits for the verdict; the others are of a start, or of a change elsewhere.
    verdicts.sort((a, b) => Number(b.isChanged) - Number(a.isChanged));
    const left = this.writing + verdicts.length + counts.length;
    this.beginWrites(verdicts, VERDICTS, this.verdictLimit, LOOK_EVERY_MS, nowMs);
    // Whose count is oldest: a route whose count changes all the time takes no other's turn.
    counts.sort((a, b) => a.countedMs - b.countedMs);
    this.beginWrites(counts, COUNTS, this.countLimit, COUNT_EVERY_MS, nowMs);
    // Such as when the only route that could not be written was deleted.
    if (left === 0) this.note('');
    this.pace.retain(known);
    this.retain((key) => routes.has(key));
    for (const key of this.full) if (!routes.has(key)) this.full.delete(key);
    for (const key of this.looked.keys()) if (!routes.has(key)) this.looked.delete(key);
  }

  /** Begins as many of these writes as the budget has; the others wait for a later look. */
  private beginWrites(plans: readonly Plan[], { atOnce }: Budget, limit: RateLimit, againMs: number, nowMs: number): void {
    for (const plan of plans) {
      if (this.writing >= atOnce) return;
      const { key, route, judged } = plan;
      // What has waited for its turn is of now.
      const first = this.plan(key, route, judged, nowMs).plan;
      if (first === null) {
        this.looked.delete(key);
        continue;
      }
      if (!limit.take('')) return this.lookAt(nowMs + againMs);
      this.write(
        key,
        (before) => this.put(key, first, before),
        (error, before) => this.failed(key, route, error, before),
      );
    }
  }

  private statesByRoute(): Map<string, RouteState[]> {
    const states = new Map<string, RouteState[]>();
    for (const state of this.deps.states()) {
      const { kind, namespace, name } = state.route;
      const key = `${kind} ${keyOf(namespace, name)}`;
      const list = states.get(key);
      if (list === undefined) states.set(key, [state]);
      else list.push(state);
    }
    return states;
  }

  /**
   * As plan(), of what is different: 2,000 routes of which the counts of 700 change each second take 6 % of a core, all
   * planned at each look 23 %.
   */
  private lookOnce(key: string, route: Route, states: readonly RouteState[], nowMs: number): Looked {
    const judged = this.judge(states);
    const last = this.looked.get(key);
    const holds = last !== undefined && last.route === route && nowMs < last.againMs && isSame(last.judged, judged);
    if (holds && !this.writes.has(key)) return last;
    const looked: Looked = { route, judged, ...this.plan(key, route, judged, nowMs) };
    this.looked.set(key, looked);
    return looked;
  }

  private judge(states: readonly RouteState[]): Judged[] {
    return states.map((state) => ({ state, total: this.deps.total(state) }));
  }

  /** What there is to write for a route now, and when to look at it again though nothing changes. */
  private plan(key: string, route: Route, judged: readonly Judged[], nowMs: number) {
    const nothing = { plan: null, againMs: Infinity, parents: judged.map(({ state }) => parentKey(key, state)) };
    const last = this.writes.get(key);
    if (last?.is === 'written') {
      if (last.version === route.metadata?.resourceVersion && nowMs < last.untilMs) return { ...nothing, againMs: last.untilMs };
      this.writes.delete(key);
    } else if (last?.is === 'failed' && nowMs < last.untilMs) return { ...nothing, againMs: last.untilMs };
    // The route is newer than its translation, which is on its way.
    if (judged.some(({ state }) => state.generation < (route.metadata?.generation ?? 0))) return nothing;
    const { wanted, counted, againMs } = this.wantedOf(key, route, judged, nowMs);
    const next = (parents: readonly WantedParent[]) => nextParents(route.status?.parents, namespaceOf(route), parents, timeText(nowMs));
    const { parents, left } = next(wanted);
    this.noteFull(key, route, left);
    if (parents === undefined) return { ...nothing, againMs };
    const onlyCounts = counted.length > 0 && next(wanted.map(withoutCount)).parents === undefined;
    const countedMs = Math.min(...counted.map((parent) => this.pace.writtenMs(parent)));
    const isChanged = judged.some(({ state }) => isJudgedBefore(route, state));
    return { ...nothing, plan: { key, route, judged, parents, counted, countedMs, onlyCounts, isChanged }, againMs };
  }

  private wantedOf(key: string, route: Route, judged: readonly Judged[], nowMs: number) {
    const counted: string[] = [];
    let againMs = Infinity;
    const wanted = judged.map(({ state, total }): WantedParent => {
      const parent = parentKey(key, state);
      const condition = appliedCondition(total, state.generation);
      const verdict = JSON.stringify(state.conditions);
      const stored = storedConditions(route, state).find(({ type }) => type === APPLIED);
      const decision = this.pace.decide(parent, verdict, stored, condition, nowMs);
      if (!decision.write) {
        againMs = Math.min(againMs, decision.lookAgainMs);
        return { parentRef: state.parentRef, conditions: state.conditions, keep: [APPLIED] };
      }
      if (decision.paced) counted.push(parent);
      else againMs = Math.min(againMs, nowMs + SETTLED_AFTER_MS);
      return {
        parentRef: state.parentRef,
        conditions: [...state.conditions, ...(decision.condition === null ? [] : [decision.condition])],
      };
    });
    return { wanted, counted, againMs };
  }

  private async put(key: string, first: Plan, before: FailedWrite | null): Promise<Write | null> {
    const { client, stillLeading } = this.deps;
    const kind = followedKind(first.route.kind)!;
    const namespace = namespaceOf(first.route);
    const name = first.route.metadata?.name ?? '';
    const { timers } = this;
    let plan: Plan | null = first;
    for (let attempt = 0; plan !== null && this.leading && stillLeading(); attempt++) {
      const { resourceVersion } = plan.route.metadata ?? {};
      try {
        const head = { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { namespace, name, resourceVersion } };
        await putStatus(client, kind, head, { parents: plan.parents });
        this.counts.written++;
        this.failures = 0;
        this.note('');
        for (const parent of plan.counted) this.pace.wrote(parent, timers.now());
        return { is: 'written', version: resourceVersion, untilMs: timers.now() + ECHO_WITHIN_MS };
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 409 || attempt >= CONFLICT_RETRIES) throw error;
        this.counts.conflict++;
      }
      // Another writer was faster: begin with what stands there now.
      const route: Route = await client.request<Route>('GET', { kind, namespace, name });
      plan = this.plan(key, route, this.judge(this.statesByRoute().get(key) ?? []), timers.now()).plan;
    }
    return before;
  }

  private failed(key: string, route: Route, error: KubeError, before: FailedWrite | null): FailedWrite | null {
    if (error.status === 404) return before;
    const { log, random, onTrouble } = this.deps;
    const nowMs = this.timers.now();
    this.counts.failed++;
    if (error.status === 400 || error.status === 413 || error.status === 422) {
      const failures = (before?.failures ?? 0) + 1;
      const waitMs = backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random());
      if (failures === 1) {
        log.error('the API server does not take the status of a route', { route: key, error });
        onTrouble?.(route, 'StatusRefused', `the status cannot be written: ${error.message}`);
      }
      return { is: 'failed', failures, untilMs: nowMs + waitMs, error };
    }
    const waitMs = Math.max(
      Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS),
      backoffMs(this.failures++, RETRY_BASE_MS, RETRY_CAP_MS, random()),
    );
    this.pauseUntil(nowMs + waitMs);
    this.note(`statuses of routes cannot be written: ${error.message}`);
    log.warn('statuses cannot be written now', { route: key, error, waitMs: Math.round(waitMs) });
    return before;
  }

  private noteFull(key: string, route: Route, left: number): void {
    if (left === 0) this.full.delete(key);
    else if (!this.full.has(key)) {
      this.full.add(key);
      const message = `status.parents is full of other controllers' entries: there is no room for ${left} of Weft's`;
      this.deps.log.warn(message, { route: key });
      this.deps.onTrouble?.(route, 'StatusFull', message);
    }
  }
}

/** "GRPCRoute shop/payment": routes of two kinds may have one name. */
function routeKey(route: Route): string {
  return `${route.kind} ${keyOf(namespaceOf(route), route.metadata?.name ?? '')}`;
}

/** The same, but the count stays as it stands. */
function withoutCount({ parentRef, conditions }: WantedParent): WantedParent {
  return { parentRef, conditions: conditions.filter(({ type }) => type !== APPLIED), keep: [APPLIED] };
}

function parentKey(route: string, { parent, parentRef }: RouteState): string {
  return `${route} ${parent} ${parentRef.sectionName ?? ''} ${parentRef.port ?? ''}`;
}

/** Of our entry for this parent. */
function storedConditions(route: Route, { parentRef }: RouteState): readonly StoredCondition[] {
  const { status } = route;
  const namespace = namespaceOf(route);
  const entry = entriesOf(fieldsOf(status).parents).find((one) => {
    const { controllerName, parentRef: ref } = fieldsOf(one);
    return controllerName === CONTROLLER_NAME && keyOfParent(fieldsOf(ref), namespace) === keyOfParent(parentRef, namespace);
  });
  return entriesOf(fieldsOf(entry).conditions);
}

/** Its verdict stands there, and is of an older generation. */
function isJudgedBefore(route: Route, state: RouteState): boolean {
  const stored = storedConditions(route, state);
  return stored.some(({ type, observedGeneration = 0 }) => type === 'Accepted' && observedGeneration < state.generation);
}

/** Nothing is different that a status is made of; conditions are made anew where they are others. */
function isSame(before: readonly Judged[], now: readonly Judged[]): boolean {
  return before.length === now.length && before.every((one, i) => isSameVerdict(one, now[i]!));
}

function isSameVerdict(a: Judged, b: Judged): boolean {
  return (
    a.state.conditions === b.state.conditions &&
    a.state.generation === b.state.generation &&
    a.state.parent === b.state.parent &&
    a.state.parentRef === b.state.parentRef &&
    a.total.want === b.total.want &&
    a.total.applied === b.total.applied &&
    a.total.rejected === b.total.rejected &&
    a.total.unknown === b.total.unknown &&
    a.total.refusals.length === b.total.refusals.length &&
    a.total.refusals.every(({ pod, reason }, i) => pod === b.total.refusals[i]!.pod && reason === b.total.refusals[i]!.reason)
  );
}
