// Writes the statuses of routes: the leader's job, one writer at a time. What is to be written is always computed from the newest state, so nothing
// queues up but names.

import { CONTROLLER_NAME } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import { entriesOf, fieldsOf } from '#objects/fields.ts';
import { type GRPCRoute, grpcRouteKind } from '#objects/grpc-route.ts';
import { keyOf, splitKey } from '#objects/references.ts';
import type { RouteParentEntry } from '#objects/route.ts';
import { RateLimit } from '../issue/rate-limit.ts';
import type { RouteState } from '../program/assemble.ts';
import { AppliedPace, appliedCondition, SETTLED_AFTER_MS } from './applied.ts';
import { APPLIED, keyOfParent, nextParents, type WantedParent } from './next-parents.ts';

/** Writes under way at once, and how many there may be: so many at once after a rest, so many per minute. */
const MOST_WRITES = 4;
const WRITES_BURST = 40;
const WRITES_PER_MINUTE = 1200;
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

export interface StatusWriterSettings {
  readonly client: KubeClient;
  /** All routes as the watch has them. */
  readonly routes: () => Iterable<GRPCRoute>;
  readonly states: () => readonly RouteState[];
  /** The name of this replica, for people. */
  readonly replica: string;
  /** Asked before each write: a process that was frozen learns late that another leads (T88). */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** A person should know: an Event on the route. */
  readonly onTrouble?: (route: GRPCRoute, reason: 'StatusFull' | 'StatusRefused', message: string) => void;
}

/** Writes by outcome, since the start; for metrics. */
export interface StatusCounts {
  written: number;
  conflict: number;
  failed: number;
}

interface Plan {
  readonly route: GRPCRoute;
  readonly parents: readonly RouteParentEntry[];
  /** Parents whose Applied condition this write changes for its own sake. */
  readonly counted: readonly string[];
}

export class StatusWriter {
  /** Why statuses could not be written when it was tried last; '' when they could, or others are to write them. */
  problem = '';
  readonly counts: StatusCounts = { written: 0, conflict: 0, failed: 0 };
  private readonly settings: StatusWriterSettings;
  private readonly pace = new AppliedPace();
  private readonly limit: RateLimit;
  private readonly writing = new Set<string>();
  /** Route → version that we wrote over, until the watch tells of a newer one. */
  private readonly written = new Map<string, { readonly version: string | undefined; readonly untilMs: number }>();
  /** Route → when to try again what was refused. */
  private readonly refused = new Map<string, { readonly failures: number; readonly untilMs: number }>();
  private readonly full = new Set<string>();
  private leading = false;
  private stopped = false;
  private looking: { readonly atMs: number; readonly cancel: () => void } | null = null;
  private lookedMs = 0;
  private pausedUntilMs = 0;
  private failures = 0;

  constructor(settings: StatusWriterSettings) {
    this.settings = settings;
    this.limit = new RateLimit(WRITES_PER_MINUTE, WRITES_BURST, () => settings.timers.now());
  }

  lead(leading: boolean): void {
    this.leading = leading;
    this.problem = '';
    if (leading) this.touch();
  }

  /** A route or its verdict may be different (`counts`: only how many sidecars run it). Cheap: looks happen some time apart. */
  touch(what: 'routes' | 'counts' = 'routes'): void {
    if (this.leading) this.lookAt(this.lookedMs + (what === 'routes' ? LOOK_EVERY_MS : COUNT_EVERY_MS));
  }

  stop(): void {
    this.stopped = true;
    this.leading = false;
    this.looking?.cancel();
    this.looking = null;
  }

  private lookAt(atMs: number): void {
    if (this.stopped || atMs === Infinity) return;
    const { timers } = this.settings;
    const when = Math.max(atMs, this.pausedUntilMs);
    if (this.looking !== null && this.looking.atMs <= when) return;
    this.looking?.cancel();
    const cancel = timers.after(Math.max(0, when - timers.now()), () => {
      this.looking = null;
      this.look();
    });
    this.looking = { atMs: when, cancel };
  }

  private look(): void {
    if (!this.leading || this.stopped) return;
    const nowMs = this.settings.timers.now();
    this.lookedMs = nowMs;
    const states = this.statesByRoute();
    const routes = new Set<string>();
    const known = new Set<string>();
    let nextMs = Infinity;
    let left = this.writing.size;
    for (const route of this.settings.routes()) {
      const key = routeKey(route);
      routes.add(key);
      const { plan, againMs, parents } = this.plan(key, route, states.get(key) ?? [], nowMs);
      for (const parent of parents) known.add(parent);
      nextMs = Math.min(nextMs, againMs);
      if (plan === null || this.writing.has(key)) continue;
      left++;
      if (this.writing.size >= MOST_WRITES) continue;
      if (!this.limit.take('')) {
        nextMs = Math.min(nextMs, nowMs + LOOK_EVERY_MS);
        continue;
      }
      this.writing.add(key);
      void this.write(key, plan);
    }
    // Such as when the only route that could not be written was deleted.
    if (left === 0) this.problem = '';
    this.pace.retain(known);
    for (const memory of [this.written, this.refused, this.full]) for (const key of memory.keys()) if (!routes.has(key)) memory.delete(key);
    this.lookAt(nextMs);
  }

  private statesByRoute(): Map<string, RouteState[]> {
    const states = new Map<string, RouteState[]>();
    for (const state of this.settings.states()) {
      const key = keyOf(state.route.namespace, state.route.name);
      const list = states.get(key);
      if (list === undefined) states.set(key, [state]);
      else list.push(state);
    }
    return states;
  }

  /** What there is to write for a route now, and when to look at it again though nothing changes. */
  private plan(key: string, route: GRPCRoute, states: readonly RouteState[], nowMs: number) {
    const nothing = { plan: null, againMs: Infinity, parents: [] as string[] };
    const echo = this.written.get(key);
    const refusal = this.refused.get(key);
    const parents = states.map((state) => parentKey(key, state));
    if (echo !== undefined && echo.version === route.metadata?.resourceVersion && nowMs < echo.untilMs)
      return { ...nothing, againMs: echo.untilMs, parents };
    if (refusal !== undefined && nowMs < refusal.untilMs) return { ...nothing, againMs: refusal.untilMs, parents };
    this.written.delete(key);
    // The route is newer than its translation, which is on its way.
    if (states.some(({ generation }) => generation < (route.metadata?.generation ?? 0))) return { ...nothing, parents };
    const { wanted, counted, againMs } = this.wantedOf(key, route, states, nowMs);
    const { parents: next, left } = nextParents(route.status?.parents, splitKey(key)[0], wanted, timeText(nowMs));
    this.noteFull(key, route, left);
    return { plan: next === undefined ? null : { route, parents: next, counted }, againMs, parents };
  }

  private wantedOf(key: string, route: GRPCRoute, states: readonly RouteState[], nowMs: number) {
    const counted: string[] = [];
    let againMs = Infinity;
    const wanted = states.map((state): WantedParent => {
      const parent = parentKey(key, state);
      const condition = appliedCondition(state.applied, state.generation, this.settings.replica);
      const verdict = JSON.stringify(state.conditions);
      const decision = this.pace.decide(parent, verdict, storedApplied(route, splitKey(key)[0], state), condition, nowMs);
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

  private async write(key: string, first: Plan): Promise<void> {
    const [namespace, name] = splitKey(key);
    const path = { kind: grpcRouteKind, namespace, name };
    const { timers } = this.settings;
    try {
      let plan: Plan | null = first;
      for (let attempt = 0; plan !== null && this.leading && this.settings.stillLeading(); attempt++) {
        const { apiVersion, metadata } = plan.route;
        const { resourceVersion } = metadata ?? {};
        // Of a status subresource the API server takes the status alone.
        const body = { apiVersion, kind: 'GRPCRoute', metadata: { namespace, name, resourceVersion }, status: { parents: plan.parents } };
        try {
          await this.settings.client.request('PUT', { ...path, subresource: 'status' }, { body });
          this.counts.written++;
          this.failures = 0;
          this.problem = '';
          this.refused.delete(key);
          this.written.set(key, { version: resourceVersion, untilMs: timers.now() + ECHO_WITHIN_MS });
          for (const parent of plan.counted) this.pace.wrote(parent, timers.now());
          return;
        } catch (error) {
          if (!(error instanceof KubeError) || error.status !== 409 || attempt >= CONFLICT_RETRIES) throw error;
          this.counts.conflict++;
        }
        // Somebody else wrote: begin with what stands there now.
        const route: GRPCRoute = await this.settings.client.request<GRPCRoute>('GET', path);
        plan = this.plan(key, route, this.statesByRoute().get(key) ?? [], timers.now()).plan;
      }
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      this.failed(key, first.route, error);
    } finally {
      this.writing.delete(key);
      this.touch();
    }
  }

  private failed(key: string, route: GRPCRoute, error: KubeError): void {
    if (error.status === 404) return;
    const { log, timers, random, onTrouble } = this.settings;
    this.counts.failed++;
    if (error.status === 400 || error.status === 413 || error.status === 422) {
      const failures = (this.refused.get(key)?.failures ?? 0) + 1;
      this.refused.set(key, { failures, untilMs: timers.now() + backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random()) });
      if (failures > 1) return;
      log.error('the API server does not take the status of a route', { route: key, error });
      onTrouble?.(route, 'StatusRefused', `the status cannot be written: ${error.message}`);
      return;
    }
    const waitMs = Math.max(
      Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS),
      backoffMs(this.failures++, RETRY_BASE_MS, RETRY_CAP_MS, random()),
    );
    this.pausedUntilMs = timers.now() + waitMs;
    if (this.leading) this.problem = `statuses of routes cannot be written: ${error.message}`;
    log.warn('statuses cannot be written now', { route: key, error, waitMs: Math.round(waitMs) });
  }

  private noteFull(key: string, route: GRPCRoute, left: number): void {
    if (left === 0) this.full.delete(key);
    else if (!this.full.has(key)) {
      this.full.add(key);
      const message = `status.parents is full of other controllers' entries: there is no room for ${left} of Weft's`;
      this.settings.log.warn(message, { route: key });
      this.settings.onTrouble?.(route, 'StatusFull', message);
    }
  }
}

function routeKey({ metadata }: GRPCRoute): string {
  return keyOf(metadata?.namespace ?? 'default', metadata?.name ?? '');
}

function parentKey(route: string, { parent, parentRef }: RouteState): string {
  return `${route} ${parent} ${parentRef.sectionName ?? ''} ${parentRef.port ?? ''}`;
}

function storedApplied({ status }: GRPCRoute, namespace: string, { parentRef }: RouteState) {
  const entry = entriesOf(fieldsOf(status).parents).find((one) => {
    const { controllerName, parentRef: ref } = fieldsOf(one);
    return controllerName === CONTROLLER_NAME && keyOfParent(fieldsOf(ref), namespace) === keyOfParent(parentRef, namespace);
  });
  return entriesOf(fieldsOf(entry).conditions).find(({ type }) => type === APPLIED);
}

/** RFC 3339 with whole seconds, as the API server writes times. */
function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
