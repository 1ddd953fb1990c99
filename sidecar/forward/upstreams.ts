// All backends that this sidecar sends to, by Service port: their endpoints, balance and connections. The records stay
// while configurations change.

import type { EjectionReason } from '../balance/ejections.ts';
import { EndpointSet } from '../balance/endpoint-set.ts';
import type { EndpointState, UsedEndpoint } from '../balance/endpoint-state.ts';
import type { ServicePortRef } from '../route/records.ts';
import { EndpointPool, type PoolDeps } from './pool.ts';
import { RetryBudget } from './retry-budget.ts';

export interface Upstream {
  readonly ref: ServicePortRef;
  readonly set: EndpointSet;
  /** The control plane has sent its endpoints, possibly none. */
  known: boolean;
  /** What it has none of, where its set is empty. */
  lacks: string;
  /** Of the further attempts that routes ask for. */
  readonly budget: RetryBudget;
}

/** How a Service wants its endpoints to be used. */
export interface UpstreamPolicy {
  /** See EndpointSet.setAffinity(). */
  readonly affinityMs: number;
  /** The endpoints are those on this node alone. */
  readonly local: boolean;
}

const NO_POLICY: UpstreamPolicy = { affinityMs: 0, local: false };
/** What a Service port without endpoints lacks. */
const LACKS_ANY = 'ready endpoints';
const LACKS_LOCAL = 'ready endpoints on this node (internalTrafficPolicy: Local)';

export class Upstreams {
  private readonly byKey = new Map<string, Upstream>();
  private readonly pools = new Set<EndpointPool>();
  /** Pools of endpoints that left, until their last call ended. */
  private readonly retired = new Set<EndpointPool>();
  private readonly deps: PoolDeps;
  private readonly onEject: (ref: ServicePortRef, reason: EjectionReason) => void;

  /** @param onEject an endpoint of that Service port gets no calls for a while */
  constructor(deps: PoolDeps, onEject: (ref: ServicePortRef, reason: EjectionReason) => void = () => {}) {
    this.deps = deps;
    this.onEject = onEject;
  }

  /** The record of a Service port; it is made at first use and stays the same. */
  get(ref: ServicePortRef): Upstream {
    let upstream = this.byKey.get(ref.key);
    if (upstream === undefined) {
      const set = new EndpointSet((reason) => this.onEject(ref, reason));
      this.byKey.set(ref.key, (upstream = { ref, set, known: false, lacks: LACKS_ANY, budget: new RetryBudget() }));
    }
    return upstream;
  }

  /** New endpoints of a Service port are in force at once; calls on those that left may end. */
  update(ref: ServicePortRef, endpoints: readonly UsedEndpoint[], { affinityMs, local } = NO_POLICY): void {
    const upstream = this.get(ref);
    upstream.known = true;
    upstream.lacks = local ? LACKS_LOCAL : LACKS_ANY;
    upstream.set.setAffinity(affinityMs);
    for (const left of upstream.set.update(endpoints)) this.retire(left);
  }

  /** Nothing is sent to this Service port any more: its record goes. */
  forget(ref: ServicePortRef): void {
    this.update(ref, []);
    this.byKey.delete(ref.key);
  }

  /**
   * The connections to an endpoint.
   * @param fromHttp1 the call began as HTTP/1.1: to an application it goes so, to a sidecar as HTTP/2 (decision 24)
   */
  poolOf(endpoint: EndpointState, fromHttp1: boolean): EndpointPool {
    if (fromHttp1 && endpoint.identity === '') return (endpoint.http1Connections ??= this.newPool(endpoint, true)) as EndpointPool;
    return (endpoint.connections ??= this.newPool(endpoint, false)) as EndpointPool;
  }

  private newPool(endpoint: EndpointState, isHttp1: boolean): EndpointPool {
    const pool = new EndpointPool(endpoint, this.deps, isHttp1);
    this.pools.add(pool);
    return pool;
  }

  /** About once a second. */
  tick(nowMs: number): void {
    for (const pool of this.pools) pool.tick(nowMs);
    for (const pool of this.retired) {
      pool.tick(nowMs);
      if (pool.empty) this.retired.delete(pool);
    }
  }

  /** This sidecar's certificate was renewed, or its roots. @param ownNotAfterMs end of the old one, Unix ms */
  renewed(ownNotAfterMs: number): void {
    for (const pool of this.pools) pool.renewed(ownNotAfterMs);
    for (const pool of this.retired) pool.renewed(ownNotAfterMs);
  }

  /** Ends all connections gracefully. */
  drain(deadlineMs: number): void {
    for (const pool of this.pools) pool.drain(deadlineMs);
  }

  /** Each Service port with its endpoints, for the admin's configuration dump. */
  dump(): { backend: string; endpoints: readonly EndpointState[] }[] {
    return [...this.byKey.values()].map(({ ref, set }) => ({ backend: ref.key, endpoints: set.endpoints }));
  }

  /** Service ports some of whose endpoints get no calls now, with the number of those endpoints. */
  *ejected(nowMs: number): Generator<[ServicePortRef, number]> {
    for (const { ref, set } of this.byKey.values()) {
      const count = set.endpoints.reduce((sum, { ejected, ejectedUntilMs }) => sum + (ejected && nowMs < ejectedUntilMs ? 1 : 0), 0);
      if (count > 0) yield [ref, count];
    }
  }

  private retire({ connections, http1Connections }: EndpointState): void {
    for (const pool of [connections, http1Connections] as (EndpointPool | null)[]) {
      if (pool === null) continue;
      this.pools.delete(pool);
      // Its calls end by themselves or with its pod: an endpoint that leaves a Service may still serve its streams.
      pool.drain(Number.POSITIVE_INFINITY);
      if (!pool.empty) this.retired.add(pool);
    }
  }
}
