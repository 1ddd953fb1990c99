// Events on Kubernetes objects, for the people who run `kubectl describe`: written once, counted when repeated, and
// never waited for.
import { randomBytes } from 'node:crypto';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { sentence } from '#core/text/printable.ts';
import { KINDS, type KubeClient, KubeError } from './api.ts';

/** Equal events within this time are one event that counts. */
const SAME_WITHIN_MS = 10 * 60_000;
/** Events that wait to be written; more are dropped and counted. */
const MAX_WAITING = 256;
/** Events remembered for counting; the oldest are forgotten. */
const MAX_REMEMBERED = 1024;
/**
 * Between two writes, and between two writes of the same event: a flood of them must not become a flood of requests.
 */
const SPACING_MS = 100;
const RECOUNT_MS = 10_000;
const ATTEMPTS = 3;
const RETRY_MS = 1_000;
/** Limits of the API. */
const MAX_MESSAGE = 1024;
const MAX_NAME = 253;

/** What an event is about. */
export interface Regarding {
  readonly apiVersion?: string;
  readonly kind: string;
  /** Absent: a cluster-wide object. */
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
}

export interface EventContent {
  readonly regarding: Regarding;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, one word per cause. */
  readonly reason: string;
  readonly message: string;
}

export interface EventRecorderDeps {
  readonly client: KubeClient;
  /** Who says so: `weft-injector`. */
  readonly component: string;
  readonly timers: Timers;
  readonly log: Logger;
}

interface Remembered {
  readonly key: string;
  readonly content: EventContent;
  readonly firstMs: number;
  lastMs: number;
  count: number;
  /** Of the object in the API. */
  name: string;
  /** As far as is known here. */
  exists: boolean;
  writtenMs: number;
  waiting: boolean;
}

export class EventRecorder {
  private readonly deps: EventRecorderDeps;
  private readonly remembered = new Map<string, Remembered>();
  private readonly waiting: Remembered[] = [];
  private writing = false;
  /** Events that were not written, because too many waited or the API refused them. */
  dropped = 0;

  constructor(deps: EventRecorderDeps) {
    this.deps = deps;
  }

  /** Says it as soon as possible; never throws, never waits. */
  record(content: EventContent): void {
    const now = this.deps.timers.now();
    const { regarding, type, reason, message } = content;
    const key = JSON.stringify([regarding.kind, regarding.namespace, regarding.name, regarding.uid, type, reason, message]);
    let entry = this.remembered.get(key);
    if (entry !== undefined && now - entry.firstMs < SAME_WITHIN_MS) {
      entry.count++;
      entry.lastMs = now;
    } else {
      entry = {
        key,
        content,
        firstMs: now,
        lastMs: now,
        count: 1,
        name: eventName(regarding),
        exists: false,
        writtenMs: Number.NEGATIVE_INFINITY,
        waiting: false,
      };
      this.remember(entry);
    }
    if (!entry.waiting) this.enqueue(entry);
  }

  private remember(entry: Remembered): void {
    this.remembered.delete(entry.key);
    this.remembered.set(entry.key, entry);
    if (this.remembered.size <= MAX_REMEMBERED) return;
    for (const key of this.remembered.keys()) {
      this.remembered.delete(key);
      return;
    }
  }

  private enqueue(entry: Remembered): void {
    if (this.waiting.length >= MAX_WAITING) {
      this.dropped++;
      return;
    }
    entry.waiting = true;
    const restMs = entry.writtenMs + RECOUNT_MS - this.deps.timers.now();
    if (restMs > 0) {
      this.deps.timers.after(restMs, () => this.ready(entry));
      return;
    }
    this.ready(entry);
  }

  private ready(entry: Remembered): void {
    this.waiting.push(entry);
    if (!this.writing) void this.drain();
  }

  private async drain(): Promise<void> {
    this.writing = true;
    for (let entry = this.waiting.shift(); entry !== undefined; entry = this.waiting.shift()) {
      entry.waiting = false;
      await this.write(entry);
      await this.pause(SPACING_MS);
    }
    this.writing = false;
  }

  private async write(entry: Remembered): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await (entry.exists ? this.recount(entry) : this.create(entry));
        entry.writtenMs = this.deps.timers.now();
        return;
      } catch (error) {
        const { status, retryAfterMs } = error instanceof KubeError ? error : { status: 0, retryAfterMs: undefined };
        // It expired, or someone deleted it.
        if (status === 404 && entry.exists) {
          entry.exists = false;
          entry.name = eventName(entry.content.regarding);
        } else if (attempt >= ATTEMPTS || (status >= 400 && status < 500 && status !== 429 && status !== 409)) {
          this.dropped++;
          const { reason, regarding } = entry.content;
          this.deps.log.warn('an event could not be written', { reason, regarding: `${regarding.kind} ${regarding.name ?? ''}`, error });
          return;
        }
        await this.pause(Math.min(retryAfterMs ?? RETRY_MS * attempt, ATTEMPTS * RETRY_MS));
      }
    }
  }

  private async create(entry: Remembered): Promise<void> {
    const { regarding, type, reason, message } = entry.content;
    const namespace = regarding.namespace ?? 'default';
    const body = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: entry.name, namespace },
      involvedObject: { ...regarding },
      type,
      reason,
      message: sentence(message, MAX_MESSAGE),
      source: { component: this.deps.component },
      reportingComponent: this.deps.component,
      firstTimestamp: seconds(entry.firstMs),
      lastTimestamp: seconds(entry.lastMs),
      count: entry.count,
    };
    await this.deps.client.request('POST', { kind: KINDS.Event, namespace }, { body }).catch((error: unknown) => {
      // Nobody else has this name: an earlier try was written, and its answer was lost.
      if (!(error instanceof KubeError && error.status === 409)) throw error;
    });
    entry.exists = true;
  }

  private async recount({ name, content, count, lastMs }: Remembered): Promise<void> {
    const namespace = content.regarding.namespace ?? 'default';
    const body = { count, lastTimestamp: seconds(lastMs) };
    await this.deps.client.request('PATCH', { kind: KINDS.Event, namespace, name }, { body, patch: 'merge' });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.deps.timers.after(ms, resolve));
  }
}

// As metadata.generateName would, but known before the answer, so that a request that is repeated cannot make two.
function eventName({ name, kind }: Regarding): string {
  const suffix = `.${randomBytes(8).toString('hex')}`;
  const clean = (name ?? kind)
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .slice(0, MAX_NAME - suffix.length);
  return `${clean.replace(/^[.-]+|[.-]+$/g, '') || 'object'}${suffix}`;
}

// metav1.Time: whole seconds.
function seconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
