// One leader among the replicas, by a Lease object: optimistic writes, and a leader that doubts itself before anyone
// else may lead.
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError, type ResourcePath } from './api.ts';
import { isRecord } from './json-lines.ts';
import { sleep } from './sleep.ts';

const DURATION_MS = 15_000;
/** Of the duration: how often the leader renews, and the others look. */
const RENEW_SHARE = 1 / 3;
const LOOK_SHARE = 1 / 6;
const RETRY_SHARE = 1 / 15;
/**
 * Of the duration, since the last renewal was sent: then the leader stands down. The others wait the whole duration
 * since they saw it.
 */
const DEADLINE_SHARE = 2 / 3;
/** Each wait ± this share. */
const JITTER = 0.2;
/** As other electors write a lease that is given back. */
const RELEASED_SECONDS = 1;
const RELEASE_TIMEOUT_MS = 2_000;

export interface LeaseElectorDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Unique among the replicas: the pod's name. */
  readonly identity: string;
  /** Default 15 000. */
  readonly durationMs?: number;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Called at each change, in order. What it throws is a bug, and not caught. */
  readonly onChange: (leading: boolean) => void;
  /** A monotonic clock in ms, one that cannot be set; default the system's. */
  readonly monotonic?: () => number;
}

interface LeaseObject {
  metadata: { resourceVersion?: string } & Record<string, unknown>;
  spec: { holderIdentity?: string; leaseDurationSeconds?: number; leaseTransitions?: number; acquireTime?: string } & Record<
    string,
    unknown
  >;
}

interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export class LeaseElector {
  private readonly deps: LeaseElectorDeps;
  private readonly durationMs: number;
  private readonly path: ResourcePath;
  private readonly stopped = new AbortController();
  private running: Promise<void> | undefined;
  /** As last read or written. */
  private lease: LeaseObject | undefined;
  private leaseSeen: Moment;
  /**
   * Its holder when it was last seen ('' for none), and when it was then found deleted: the holder may not know that
   * yet.
   */
  private lastHolder = '';
  private gone: Moment | null = null;
  /** When the last renewal that succeeded was sent; null: this replica does not hold the lease. */
  private renewed: Moment | null = null;
  private reported = false;
  /** Why the Lease cannot be reached; '' when it can. */
  problem = '';
  private standDown = (): void => {};

  constructor(deps: LeaseElectorDeps) {
    this.deps = deps;
    this.durationMs = deps.durationMs ?? DURATION_MS;
    this.path = { kind: KINDS.Lease, namespace: deps.namespace, name: deps.name };
    this.leaseSeen = this.moment();
  }

  /**
   * Whether this replica leads at this moment. Asked before each act of a leader: a process that was frozen learns
   * here, before any timer fires, that its time is over.
   */
  get leading(): boolean {
    return this.renewed !== null && this.since(this.renewed) < this.durationMs * DEADLINE_SHARE;
  }

  /** Begins to apply for the lease; a second call does nothing. */
  start(): void {
    // Not caught: only what onChange throws comes out.
    this.running ??= this.run();
  }

  /** Stands down, then gives the lease back, so that another need not wait. Never rejects. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.running;
    const held = this.leading ? this.lease : undefined;
    this.lose();
    if (held === undefined) return;
    try {
      await this.release(held).catch(async (error: unknown) => {
        // A renewal that was under way may have been written after all.
        if (!(error instanceof KubeError && error.status === 409)) throw error;
        this.see(await this.deps.client.request('GET', this.path, { timeoutMs: RELEASE_TIMEOUT_MS }));
        if (this.lease?.spec.holderIdentity === this.deps.identity) await this.release(this.lease);
      });
    } catch (error) {
      this.deps.log.warn('the lease could not be given back; another replica leads when it expires', {
        lease: this.deps.name,
        error,
      });
    }
  }

  private async release(held: LeaseObject): Promise<void> {
    const spec = { ...held.spec, holderIdentity: '', leaseDurationSeconds: RELEASED_SECONDS, renewTime: this.microTime() };
    await this.deps.client.request('PUT', this.path, { body: { ...held, spec }, timeoutMs: RELEASE_TIMEOUT_MS });
  }

  private async run(): Promise<void> {
    const { timers, random } = this.deps;
    while (!this.stopped.signal.aborted) {
      const waitMs = await this.attempt();
      await sleep(timers, waitMs * (1 - JITTER + 2 * JITTER * random()), this.stopped.signal);
    }
  }

  /** @returns how long to wait for the next one */
  private async attempt(): Promise<number> {
    const sent = this.moment();
    let won: boolean;
    try {
      won = await this.apply();
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      // Another was faster, or the object is not as it was: look before the next step.
      if (error.status === 409 || error.status === 404) this.lease = undefined;
      else this.complain(error);
      return this.durationMs * RETRY_SHARE;
    }
    this.problem = '';
    if (!won) {
      this.lose();
      return this.durationMs * LOOK_SHARE;
    }
    // Measured from before the request: the others count from when they see it, which is later.
    this.renewed = sent;
    this.standDown();
    if (!this.leading) {
      // The answer came too late, such as after this process was frozen.
      this.lose();
      return 0;
    }
    this.watchDeadline(sent);
    this.report(true);
    return this.durationMs * RENEW_SHARE;
  }

  // A timer may fire a little before its time, by the clock that counts here: then it waits for the rest.
  private watchDeadline(sent: Moment): void {
    const leftMs = Math.max(1, this.durationMs * DEADLINE_SHARE - this.since(sent));
    this.standDown = this.deps.timers.after(leftMs, () => {
      if (this.leading) this.watchDeadline(sent);
      else this.lose();
    });
  }

  /** One step towards the lease. @returns whether it is ours */
  private async apply(): Promise<boolean> {
    const { client, identity, name, namespace } = this.deps;
    const timeoutMs = this.durationMs * RENEW_SHARE;
    const { signal } = this.stopped;
    if (this.renewed === null || this.lease === undefined) {
      try {
        this.see(await client.request('GET', this.path, { timeoutMs, signal }));
      } catch (error) {
        if (!(error instanceof KubeError && error.status === 404)) throw error;
        this.gone ??= this.moment();
        if (this.lastHolder !== '' && this.lastHolder !== identity && this.surelySince(this.gone) < this.durationMs) return false;
        const now = this.microTime();
        const spec = {
          holderIdentity: identity,
          leaseDurationSeconds: this.seconds(),
          acquireTime: now,
          renewTime: now,
          leaseTransitions: 0,
        };
        const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace }, spec };
        this.see(await client.request('POST', { kind: KINDS.Lease, namespace }, { body, timeoutMs, signal }));
        return true;
      }
    }
    const { metadata, spec } = this.lease!;
    const holder = spec.holderIdentity ?? '';
    // Without a holder it was given back (see release), or someone has edited it: then a leader may not know yet.
    const free = holder === identity || (holder === '' && spec.leaseDurationSeconds === RELEASED_SECONDS);
    if (!free && this.surelySince(this.leaseSeen) < Math.max(this.durationMs, (spec.leaseDurationSeconds ?? 0) * 1000)) return false;
    const now = this.microTime();
    const changed = holder === identity ? {} : { acquireTime: now, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 };
    const next = { ...spec, ...changed, holderIdentity: identity, leaseDurationSeconds: this.seconds(), renewTime: now };
    this.see(await client.request('PUT', this.path, { body: { ...this.lease, metadata, spec: next }, timeoutMs, signal }));
    return true;
  }

  private see(raw: Record<string, unknown>): void {
    const lease = { ...raw, metadata: isRecord(raw.metadata) ? raw.metadata : {}, spec: isRecord(raw.spec) ? raw.spec : {} } as LeaseObject;
    // Another's clock is never compared with ours: what counts is how long the object has not changed before our eyes.
    if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) this.leaseSeen = this.moment();
    this.lease = lease;
    this.lastHolder = lease.spec.holderIdentity ?? '';
    this.gone = null;
  }

  // Once for each cause, not for each second that it lasts.
  private complain(error: KubeError): void {
    const problem = `the Lease that decides who leads cannot be reached: ${error.message}`;
    if (this.stopped.signal.aborted || this.problem === problem) return;
    this.problem = problem;
    this.deps.log.warn('cannot reach the lease that decides who leads', { lease: this.deps.name, error });
  }

  private lose(): void {
    this.renewed = null;
    this.standDown();
    this.standDown = () => {};
    this.report(false);
  }

  private report(leading: boolean): void {
    if (this.reported === leading) return;
    this.reported = leading;
    this.deps.log.info(leading ? 'this replica leads' : 'this replica does not lead', { lease: this.deps.name });
    this.deps.onChange(leading);
  }

  private moment(): Moment {
    return { wallMs: this.deps.timers.now(), monotonicMs: (this.deps.monotonic ?? monotonicMs)() };
  }

  // Upper bound of the elapsed time, for standing down: the greater of two clocks, because the monotonic one stands
  // still while the machine sleeps, and the other may be set back.
  private since(moment: Moment): number {
    const now = this.moment();
    return Math.max(now.wallMs - moment.wallMs, now.monotonicMs - moment.monotonicMs);
  }

  // What has passed for certain, before another's lease is taken: a clock that is set forward by an hour is no hour.
  private surelySince(moment: Moment): number {
    return this.moment().monotonicMs - moment.monotonicMs;
  }

  private seconds(): number {
    return Math.max(1, Math.round(this.durationMs / 1000));
  }

  // metav1.MicroTime: exactly six digits of a second.
  private microTime(): string {
    return new Date(this.deps.timers.now()).toISOString().replace('Z', '000Z');
  }
}

function monotonicMs(): number {
  return performance.now();
}
