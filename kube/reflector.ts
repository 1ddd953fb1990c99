// Keeps up with all objects of one kind: lists them, watches from there, and never stops for good. client-node's
// informer does not do that: it asks for no bookmarks, ends on the first refused connection, and swallows what it
// cannot parse.
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { statusError } from './answer.ts';
import type { KubeClient, KubeError, ResourcePath, ServedKind } from './api.ts';
import { isRecord } from './json-lines.ts';
import { listAll } from './list.ts';
import type { KubeObject } from './object.ts';
import { sleep } from './sleep.ts';

/**
 * A watch is ended by the server after this long, spread so that the kinds and the replicas do not come back together.
 */
const WATCH_SECONDS = { least: 240, spread: 300 };
/**
 * With bookmarks the API server breaks the silence each minute, so a shorter limit would end healthy watches of quiet
 * kinds. It is for a peer that answers on TCP and forwards nothing; one that is gone is noticed within 25 s by the
 * probes of the connection (http-client.ts).
 */
const IDLE_MS = 150_000;
const BACKOFF_BASE_MS = 250;
/** Short, so that an API server that comes back is followed again within 10 s. */
const BACKOFF_CAP_MS = 5_000;
/** A server may ask for more patience than we have. */
const MAX_RETRY_AFTER_MS = 60_000;
/** A watch that lived this long was a good one: failures before it are forgotten. */
const STABLE_MS = 5_000;
/** Refused this often in a row, a watch begins anew from a list: its version may be one that this server never had. */
const RELIST_AFTER_REFUSALS = 3;
/** How often a kind that is not served is looked for. */
const MISSING_POLL_MS = { least: 2_000, spread: 2_000 };

export interface ReflectorHandler {
  /**
   * After each list: all objects there are. The receiver finds out what is new and what is gone.
   * @param unread names of those that are there and cannot be read: what is known of them stays
   */
  synced(objects: KubeObject[], unread: KubeObject[]): void;
  applied(object: KubeObject): void;
  /** Deleted, or no longer of interest to `project`: then it may never have been known. */
  removed(object: KubeObject): void;
}

export interface ReflectorDeps {
  readonly client: KubeClient;
  readonly kind: ServedKind;
  readonly namespace?: string;
  /** Only the object of this name. */
  readonly name?: string;
  readonly labelSelector?: string;
  /** Such as `spec.nodeName=a`; not beside `name`. */
  readonly fieldSelector?: string;
  /**
   * Keeps only what is read of an object, so that the rest can be freed; undefined: the object is of no interest. What
   * it throws costs that object only.
   */
  readonly project: (raw: Record<string, unknown>) => KubeObject | undefined;
  /** What these throw is a bug, and not caught. */
  readonly handler: ReflectorHandler;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** For tests; see IDLE_MS. */
  readonly idleMs?: number;
}

export interface ReflectorStatus {
  /** A list was completed since the start; the objects may be old when lastError is set. */
  readonly synced: boolean;
  /** Unix ms at which the server was last heard of (list, event, bookmark); 0: never. */
  readonly lastEventMs: number;
  readonly lists: number;
  readonly watches: number;
  /** Lists and watches that failed. */
  readonly errors: number;
  /** '' while all is well. */
  readonly lastError: string;
  /** The API server does not serve the kind, such as before its CRD is installed. */
  readonly missing: boolean;
}

type Outcome = { readonly next: 'watch' | 'list'; readonly waitMs: number };

export class Reflector {
  private readonly deps: ReflectorDeps;
  private readonly path: ResourcePath;
  private readonly selectors: Record<string, string> = {};
  private readonly what: string;
  private readonly stopped = new AbortController();
  private started = false;
  private version = '';
  private failures = 0;
  private refusals = 0;
  /** The last watch ended with 410, before it had lived for long. */
  private expired = false;
  private listFailed = false;
  private readonly state = { synced: false, lastEventMs: 0, lists: 0, watches: 0, errors: 0, lastError: '', missing: false };

  constructor(deps: ReflectorDeps) {
    this.deps = deps;
    this.path = { kind: deps.kind, ...(deps.namespace === undefined ? {} : { namespace: deps.namespace }) };
    const fields = deps.name === undefined ? deps.fieldSelector : `metadata.name=${deps.name}`;
    if (fields !== undefined) this.selectors.fieldSelector = fields;
    if (deps.labelSelector !== undefined) this.selectors.labelSelector = deps.labelSelector;
    this.what = deps.kind.plural;
  }

  /** Begins; a second call does nothing. */
  start(): void {
    if (this.started) return;
    this.started = true;
    // Not caught: only what a handler throws comes out, and that is to end the program.
    void this.run();
  }

  /** Ends for good; nothing is called any more. */
  stop(): void {
    this.stopped.abort();
  }

  status(): ReflectorStatus {
    return { ...this.state };
  }

  private async run(): Promise<void> {
    let next: Outcome['next'] = 'list';
    while (!this.stopped.signal.aborted) {
      const outcome: Outcome = next === 'list' ? await this.list() : await this.watch();
      next = outcome.next;
      if (outcome.waitMs > 0) await sleep(this.deps.timers, outcome.waitMs, this.stopped.signal);
    }
  }

  private async list(): Promise<Outcome> {
    const { client, handler } = this.deps;
    const objects: KubeObject[] = [];
    const unread: KubeObject[] = [];
    let version: string;
    this.state.lists++;
    try {
      const item = (raw: Record<string, unknown>): void => {
        const object = this.project(raw);
        if (object) objects.push(object);
        else if (object === null) unread.push(nameOf(raw));
      };
      const restart = (): void => {
        objects.length = 0;
        unread.length = 0;
      };
      version = await listAll(client, this.path, { query: this.selectors, signal: this.stopped.signal, item, restart });
    } catch (error) {
      this.listFailed = true;
      return { next: 'list', waitMs: this.failed(error as KubeError) };
    }
    if (this.stopped.signal.aborted) return { next: 'list', waitMs: 0 };
    this.version = version;
    this.heard();
    // Where the watch is what fails, a list that works is no recovery.
    if (this.listFailed) this.recovered();
    this.state.synced = true;
    handler.synced(objects, unread);
    return { next: 'watch', waitMs: 0 };
  }

  private async watch(): Promise<Outcome> {
    const { client, timers, random, idleMs } = this.deps;
    const beganMs = timers.now();
    // Events do not come through a rejected promise: an ERROR among them is kept, and ends the watch.
    const watching = new AbortController();
    let inStream: KubeError | undefined;
    this.state.watches++;
    try {
      await client.watch(this.path, {
        query: {
          ...this.selectors,
          allowWatchBookmarks: 'true',
          resourceVersion: this.version,
          timeoutSeconds: String(WATCH_SECONDS.least + Math.floor(WATCH_SECONDS.spread * random())),
        },
        idleMs: idleMs ?? IDLE_MS,
        signal: AbortSignal.any([this.stopped.signal, watching.signal]),
        onOpen: () => {
          this.heard();
          this.recovered();
        },
        onEvent: (event) => {
          inStream ??= this.take(event);
          if (inStream !== undefined) watching.abort();
        },
      });
      if (inStream !== undefined) throw inStream;
    } catch (error) {
      return this.watchFailed(inStream ?? (error as KubeError), timers.now() - beganMs);
    }
    if (timers.now() - beganMs >= STABLE_MS) this.settled();
    // The server ended it in good order. Only one that does so again and again at once is kept at a distance.
    const waitMs = this.failures++ === 0 ? 0 : backoffMs(this.failures, BACKOFF_BASE_MS, BACKOFF_CAP_MS, random());
    return { next: 'watch', waitMs };
  }

  private watchFailed(error: KubeError, livedMs: number): Outcome {
    if (livedMs >= STABLE_MS) this.settled();
    if (livedMs >= STABLE_MS || error.status === 0 || error.status === 200) this.refusals = 0;
    else this.refusals++;
    // 410 says that a version is too old. That is no fault, and only logged when it goes on.
    if (error.status === 410 && !this.expired) {
      this.expired = true;
      return { next: 'list', waitMs: 0 };
    }
    const relist = error.status === 410 || error.status === 404 || this.refusals >= RELIST_AFTER_REFUSALS;
    if (relist) this.refusals = 0;
    return { next: relist ? 'list' : 'watch', waitMs: this.failed(error) };
  }

  /** @returns the error that the event is, if it is one */
  private take({ type, object }: { type: string; object: Record<string, unknown> }): KubeError | undefined {
    if (type === 'ERROR') return statusError(`watch ${this.what}`, object);
    const metadata = isRecord(object.metadata) ? object.metadata : {};
    if (typeof metadata.resourceVersion === 'string' && metadata.resourceVersion !== '') this.version = metadata.resourceVersion;
    this.heard();
    if (type === 'BOOKMARK') return undefined;
    if (type === 'DELETED') {
      this.deps.handler.removed(this.project(object) || nameOf(object));
    } else if (type === 'ADDED' || type === 'MODIFIED') {
      const projected = this.project(object);
      if (projected === undefined) this.deps.handler.removed(nameOf(object));
      else if (projected !== null) this.deps.handler.applied(projected);
    }
    return undefined;
  }

  /** undefined: of no interest; null: it cannot be read, and the last good one stays. */
  private project(raw: Record<string, unknown>): KubeObject | undefined | null {
    try {
      return this.deps.project(raw);
    } catch (error) {
      const { namespace, name } = nameOf(raw).metadata ?? {};
      const where = namespace === undefined ? name : `${namespace}/${name}`;
      this.deps.log.warn('an object cannot be read and is left as it was', { kind: this.what, object: where, error });
      return null;
    }
  }

  /** Notes a failure. @returns how long to wait */
  private failed(error: KubeError): number {
    if (this.stopped.signal.aborted) return 0;
    const { log, random } = this.deps;
    this.state.errors++;
    const missing = error.status === 404;
    if (this.state.lastError !== error.message) {
      this.state.lastError = error.message;
      if (missing) log.warn('the API server does not serve this kind; waiting for it', { kind: this.what });
      else log.warn('cannot follow the objects of a kind; what is known stays in force', { kind: this.what, error });
    }
    this.state.missing = missing;
    if (missing) return MISSING_POLL_MS.least + MISSING_POLL_MS.spread * random();
    const asked = Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS);
    return asked + backoffMs(this.failures++, BACKOFF_BASE_MS, BACKOFF_CAP_MS, random());
  }

  private settled(): void {
    this.failures = 0;
    this.expired = false;
  }

  private heard(): void {
    this.state.lastEventMs = this.deps.timers.now();
  }

  private recovered(): void {
    this.state.missing = false;
    this.listFailed = false;
    if (this.state.lastError === '') return;
    this.state.lastError = '';
    this.deps.log.info('following the objects of a kind again', { kind: this.what });
  }
}

function nameOf(raw: Record<string, unknown>): KubeObject {
  const metadata = isRecord(raw.metadata) ? raw.metadata : {};
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    apiVersion: text(raw.apiVersion),
    kind: text(raw.kind),
    metadata: { name: text(metadata.name), namespace: text(metadata.namespace), uid: text(metadata.uid) },
  };
}
