// Keeps the caBundle of our MutatingWebhookConfiguration right: at the start, when the authority rotates, and when
// another client edits it. Nothing else of that object is ever written.

import { INJECTOR_NAME } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { isObject } from './pod.ts';

/** Two writers that disagree about the bundle must not write in turn as fast as they can. */
const LEAST_INTERVAL_MS = 500;
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 10_000;

interface WebhookConfiguration extends KubeObject {
  webhooks: { name: string; caBundle: string }[];
}

export interface BundleKeeperDeps {
  readonly client: KubeClient;
  /** What must be trusted, PEM; '' while unknown. */
  readonly bundle: () => string;
  /** Makes sure that `bundle` is the latest; called before others' changes are undone. */
  readonly refresh: () => Promise<void>;
  readonly onPatched: () => void;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class BundleKeeper {
  private readonly options: BundleKeeperDeps;
  private found: WebhookConfiguration | undefined;
  private asserted = false;
  /** The caBundle that we wrote last, base64. */
  private written = '';
  private busy = false;
  private failures = 0;
  private stopped = false;
  private lastPatchMs = Number.NEGATIVE_INFINITY;
  private cancel: () => void = () => {};

  constructor(options: BundleKeeperDeps) {
    this.options = options;
  }

  /** For a Reflector on the one object, with `projectConfiguration`. */
  readonly handler = {
    synced: (objects: KubeObject[]): void => this.see(objects[0] as WebhookConfiguration | undefined),
    applied: (object: KubeObject): void => this.see(object as WebhookConfiguration),
    removed: (): void => this.see(undefined),
  };

  /** The PEM text that every webhook of the configuration trusts; '' when they differ, or there are none. */
  trusted(): string {
    const bundles = new Set((this.found?.webhooks ?? []).map(({ caBundle }) => caBundle));
    return bundles.size === 1 ? Buffer.from([...bundles][0], 'base64').toString('utf8') : '';
  }

  /** '' once the API server has had the right bundle. A later edit is repaired, and no reason to stop being ready. */
  notReady(): string {
    if (this.asserted) return '';
    return this.found === undefined ? `MutatingWebhookConfiguration ${INJECTOR_NAME} is not there` : 'its caBundle is not set yet';
  }

  /** Looks whether the bundle is right: to be called when it has changed. */
  check(): void {
    if (this.stopped || this.busy || this.found === undefined || this.options.bundle() === '') return;
    if (this.isRight()) {
      this.asserted = true;
      return;
    }
    const { timers } = this.options;
    const wait = this.failures > 0 ? this.backoff() : Math.max(0, this.lastPatchMs + LEAST_INTERVAL_MS - timers.now());
    this.busy = true;
    if (wait === 0) void this.repair();
    else this.cancel = timers.after(wait, () => void this.repair());
  }

  stop(): void {
    this.stopped = true;
    this.cancel();
  }

  private see(configuration: WebhookConfiguration | undefined): void {
    this.found = configuration;
    this.check();
  }

  private async repair(): Promise<void> {
    const { client, refresh, log, timers, onPatched } = this.options;
    try {
      if (this.asserted) await refresh();
      if (!this.stopped && this.found !== undefined && !this.isRight()) {
        if (this.isEdited()) log.warn('the caBundle of the webhook was edited; set it again', { name: INJECTOR_NAME });
        else log.info("set the webhook's caBundle", { name: INJECTOR_NAME });
        const wanted = this.wanted();
        this.lastPatchMs = timers.now();
        const path = { kind: KINDS.MutatingWebhookConfiguration, name: INJECTOR_NAME };
        const before = this.found;
        const result = await client.request('PATCH', path, { patch: 'json', body: patchOf(before, wanted) });
        // What the watch has said meanwhile may be younger than the answer; if it is older, we write once more than
        // needed.
        if (this.found === before) this.found = projectConfiguration(result);
        this.written = wanted;
        onPatched();
      }
      this.failures = 0;
    } catch (error) {
      this.failures++;
      log.warn("cannot set the webhook's caBundle; trying again", { name: INJECTOR_NAME, error: error as Error });
    }
    this.busy = false;
    this.check();
  }

  private isRight(): boolean {
    const wanted = this.wanted();
    return this.found!.webhooks.every(({ caBundle }) => caBundle === wanted);
  }

  private wanted(): string {
    return Buffer.from(this.options.bundle()).toString('base64');
  }

  /** Whether another client changed what we had written; our own authority's rotation is no edit. */
  private isEdited(): boolean {
    return this.written !== '' && this.found!.webhooks.some(({ caBundle }) => caBundle !== this.written);
  }

  private backoff(): number {
    return backoffMs(this.failures, RETRY_BASE_MS, RETRY_CAP_MS, this.options.random());
  }
}

/** The tests make sure that the list has not been reordered in between. */
function patchOf({ webhooks }: WebhookConfiguration, value: string): unknown[] {
  return webhooks.flatMap(({ name, caBundle }, i) =>
    caBundle === value
      ? []
      : [
          { op: 'test', path: `/webhooks/${i}/name`, value: name },
          { op: 'add', path: `/webhooks/${i}/clientConfig/caBundle`, value },
        ],
  );
}

/** Keeps of a configuration the names of its webhooks and their bundles. */
export function projectConfiguration(raw: Record<string, unknown>): WebhookConfiguration {
  const webhooks = Array.isArray(raw.webhooks) ? raw.webhooks.filter(isObject) : [];
  return {
    metadata: { name: (raw as KubeObject).metadata?.name },
    webhooks: webhooks.map(({ name, clientConfig }) => {
      const caBundle = isObject(clientConfig) ? clientConfig.caBundle : undefined;
      return { name: String(name), caBundle: typeof caBundle === 'string' ? caBundle : '' };
    }),
  };
}
