// The webhook's serving certificate: an authority that all replicas share through a Secret, and a leaf of a day that
// each makes for itself.
import { AuthorityError } from '#certs/authority.ts';
import { checkServingAuthority, generateServingAuthority, issueServing, type ServingLeaf } from '#certs/serving.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs, renewAtMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import {
  AUTHORITY_LIFETIME_MS,
  afterStep,
  bundleOf,
  decodeState,
  encodeState,
  rotationStep,
  type ServingState,
} from './serving-rotation.ts';

export const SERVING_SECRET = 'weft-injector-tls';
export const LEAF_LIFETIME_MS = 24 * 3600_000;
/** How often the Secret is read: a step of another replica is seen well before the next one. */
const CHECK_MS = 60_000;
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 10_000;
/** Lost races with other replicas in one go. */
const MOST_CONFLICTS = 5;

interface Secret {
  metadata?: { resourceVersion?: string };
  data?: Record<string, string>;
}

export interface ServingCertificateDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  /** DNS names of the leaf. */
  readonly names: readonly string[];
  /** The PEM text that the webhook configuration holds now; '' when unknown. */
  readonly trusted: () => string;
  /** A leaf to serve from now on. */
  readonly onLeaf: (leaf: ServingLeaf) => void;
  /** The Secret was read: the bundle may be another. */
  readonly onChecked: () => void;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export class ServingCertificate {
  private readonly options: ServingCertificateDeps;
  private readonly path: { kind: typeof KINDS.Secret; namespace: string; name: string };
  private state: ServingState | undefined;
  private leafIssuer = '';
  private renewAt = 0;
  private failures = 0;
  private stopped = false;
  private cancel: () => void = () => {};
  /** One look at a time. */
  private turn: Promise<void> = Promise.resolve();

  constructor(options: ServingCertificateDeps) {
    this.options = options;
    this.path = { kind: KINDS.Secret, namespace: options.namespace, name: SERVING_SECRET };
  }

  /** Begins: the first leaf comes by onLeaf as soon as the API server lets it. */
  start(): void {
    void this.check();
  }

  stop(): void {
    this.stopped = true;
    this.cancel();
  }

  /** What the API server must trust, PEM; '' before the authority is known. */
  bundle(): string {
    return this.state === undefined ? '' : bundleOf(this.state, this.options.timers.now());
  }

  /** Unix ms; 0 before it is known. */
  authorityNotAfterMs(): number {
    return this.state === undefined ? 0 : checkServingAuthority(this.state.current).notAfterMs;
  }

  /** Looks at the Secret now; what cannot be done is logged and tried again later. Never rejects. */
  refresh(): Promise<void> {
    this.turn = this.turn.then(() => this.look());
    return this.turn;
  }

  private async check(): Promise<void> {
    await this.refresh();
    if (this.stopped) return;
    const { timers, random } = this.options;
    const wait = this.failures > 0 ? backoffMs(this.failures, RETRY_BASE_MS, RETRY_CAP_MS, random()) : CHECK_MS * (0.75 + random() / 2);
    this.cancel = timers.after(wait, () => void this.check());
  }

  private async look(): Promise<void> {
    if (this.stopped) return;
    try {
      await this.settle();
      await this.renewLeaf();
      this.failures = 0;
    } catch (error) {
      if (!(error instanceof KubeError || error instanceof AuthorityError)) throw error;
      this.failures++;
      this.options.log.warn("cannot look after the webhook's certificate; what is served stays", { secret: SERVING_SECRET, error });
    }
    // Each time: a bundle also changes when an old authority ends.
    if (!this.stopped) this.options.onChecked();
  }

  /** Brings the Secret and what we know of it together, one step at a time. */
  private async settle(): Promise<void> {
    for (let conflicts = 0; conflicts < MOST_CONFLICTS; conflicts++) {
      try {
        await this.step();
        return;
      } catch (error) {
        if (!(error instanceof KubeError) || error.status !== 409) throw error;
      }
    }
    throw new KubeError(`secret ${SERVING_SECRET}: other replicas were faster ${MOST_CONFLICTS} times`, 409, 'Conflict');
  }

  private async step(): Promise<void> {
    const { client, timers, trusted, log } = this.options;
    const secret = await this.read();
    if (secret === null) {
      const state = await this.known();
      await client.request('POST', { ...this.path, name: undefined }, { body: this.secretOf(state) });
      this.state = state;
      log.info("made the webhook's authority", { secret: SERVING_SECRET });
      return;
    }
    let state: ServingState;
    try {
      state = decodeState(secret.data ?? {});
    } catch (error) {
      if (!(error instanceof AuthorityError)) throw error;
      log.warn("the webhook's authority is unusable and is written anew", { secret: SERVING_SECRET, error });
      await this.replace(await this.known(), secret);
      return;
    }
    const { next } = state;
    const step = rotationStep(state, timers.now(), next !== undefined && trusted().includes(next.certificate.trim()));
    if (step === 'keep') {
      this.state = state;
      return;
    }
    await this.replace(afterStep(state, step, await this.fresh()), secret);
    log.info("rotated the webhook's authority", { step });
  }

  private async replace(state: ServingState, read: Secret): Promise<void> {
    await this.options.client.request('PUT', this.path, { body: this.secretOf(state, read.metadata?.resourceVersion) });
    this.state = state;
  }

  private async read(): Promise<Secret | null> {
    try {
      return await this.options.client.request<Secret>('GET', this.path);
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return null;
      throw error;
    }
  }

  /** Deleted or spoilt while we run: the authority that the API server trusts goes on. */
  private async known(): Promise<ServingState> {
    return this.state ?? { current: await this.fresh() };
  }

  private fresh() {
    return generateServingAuthority(this.options.names[0], this.options.timers.now(), AUTHORITY_LIFETIME_MS);
  }

  private secretOf(state: ServingState, resourceVersion?: string): Record<string, unknown> {
    return {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: SERVING_SECRET,
        namespace: this.options.namespace,
        labels: { 'app.kubernetes.io/name': 'weft', 'app.kubernetes.io/component': 'injector', 'app.kubernetes.io/managed-by': 'weft' },
        ...(resourceVersion !== undefined && { resourceVersion }),
      },
      type: 'Opaque',
      data: encodeState(state),
    };
  }

  private async renewLeaf(): Promise<void> {
    const { timers, random, names, onLeaf } = this.options;
    const { current } = this.state!;
    const nowMs = timers.now();
    if (nowMs < this.renewAt && this.leafIssuer === current.certificate) return;
    const leaf = await issueServing(current, names, nowMs, LEAF_LIFETIME_MS);
    if (this.stopped) return;
    this.leafIssuer = current.certificate;
    this.renewAt = renewAtMs(nowMs, leaf.notAfterMs, random());
    onLeaf(leaf);
  }
}
