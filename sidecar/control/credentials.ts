// Gets this workload's certificate with the pod's token, renews it at half its life, and notifies its users when it
// changes.
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type tls from 'node:tls';
import { Certificates, type IssueRequest, type IssueResponse } from '#core/contract/gen/weft/v1/certificates_pb.ts';
import type { TrustBundle } from '#core/contract/gen/weft/v1/config_pb.ts';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { backoffMs, LONGEST_WAIT_MS, renewAtMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { GrpcConnection } from './grpc-call.ts';
import { type Leaf, newIssueRequest, newSecureContext, readIssued, readPemRoots, readRoots } from './leaf.ts';
import { Reach } from './reach.ts';

const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 20_000;
/** Without any certificate the pod waits: it must be ready soon after the control plane has had time. */
const FIRST_RETRY_CAP_MS = 5_000;
/** While none is reached, trying costs it nothing: the pod must be ready within about a second of one being there. */
export const UNREACHED_RETRY_CAP_MS = 1_000;
const ISSUE_TIMEOUT_MS = 10_000;
/**
 * Where another authority signs by now, a new certificate is asked for within this time, or within a quarter of what is
 * left of the old one: spread, because all sidecars hear of it at once.
 */
export const RESIGN_WITHIN_MS = 60_000;
/** A control plane that does not take our certificate is asked for another one, and not again for so long. */
const REFUSED_EVERY_MS = 30_000;

/** Asks for a certificate once. @throws Error when there is none */
export type AskForLeaf = (request: IssueRequest, token: string) => Promise<IssueResponse>;

export interface CredentialsDeps {
  readonly controlPlane: { readonly host: string; readonly port: number };
  readonly tokenFile: string;
  /** PEM roots by which the control plane is verified until it has sent newer ones; read anew for each request. */
  readonly trustBundleFile: string;
  /**
   * PEM roots that stand in for that file while it is absent: a namespace's first pod is quicker than its ConfigMap.
   */
  readonly trustRoots?: string;
  readonly trustDomain: string;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log?: Logger;
  /** The lifetime to ask for; 0 or absent: the control plane's default. */
  readonly lifetimeSeconds?: number;
  /** Absent: over gRPC to controlPlane. */
  readonly ask?: AskForLeaf;
}

export interface CredentialsStatus {
  readonly identity: string;
  /** Unix ms; 0: no certificate yet. */
  readonly notAfterMs: number;
  readonly issued: number;
  readonly failures: number;
  /** What went wrong last; '' after a success. */
  readonly lastError: string;
}

type State =
  | { readonly at: 'stopped' }
  | { readonly at: 'asking' }
  /** Until then, Unix ms. */
  | { readonly at: 'waiting'; readonly untilMs: number; readonly cancel: () => void };

export class Credentials {
  private readonly deps: CredentialsDeps;
  private readonly log: Logger;
  private leaf: Leaf | null = null;
  /** Made with the leaf: making one costs a millisecond, a connection must not. */
  private context: tls.SecureContext | null = null;
  /** Of the roots in force: what comes of a replica that has not heard yet of newer ones changes nothing. */
  private generation = 0n;
  /** Which authority signs, as far as is known; '': not at all. */
  private signing = '';
  /** Unix ms: when a new certificate was asked for last, because the control plane had refused this one. */
  private refusedMs = -REFUSED_EVERY_MS;
  private readonly listeners = new Set<(leaf: Leaf) => void>();
  private state: State = { at: 'stopped' };
  private readonly reach: Reach;
  /** The newest attempt got as far as a connection. */
  private isReached = false;
  private issued = 0;
  private failures = 0;
  private failuresInARow = 0;
  private lastError = '';

  constructor(deps: CredentialsDeps) {
    this.deps = deps;
    this.log = deps.log ?? silentLogger;
    const { controlPlane, timers, random } = deps;
    this.reach = new Reach({ ...controlPlane, timers, random });
  }

  /** Begins to ask, and never gives up. */
  start(): void {
    if (this.state.at === 'stopped') void this.renew();
  }

  stop(): void {
    if (this.state.at === 'waiting') this.state.cancel();
    this.state = { at: 'stopped' };
  }

  /** The newest certificate, also when it has expired, because its peers judge it. null: none yet. */
  current(): Leaf | null {
    return this.leaf;
  }

  trustDomain(): string {
    return this.deps.trustDomain;
  }

  /** '' while the certificate is good, or there is none yet; else when it ended, and why there is no new one. */
  expired(): string {
    const notAfterMs = this.leaf?.notAfterMs ?? Number.POSITIVE_INFINITY;
    if (this.deps.timers.now() <= notAfterMs) return '';
    const why = this.lastError === '' ? '' : `, and there is no new one: ${this.lastError}`;
    return `certificate expired at ${new Date(notAfterMs).toISOString()}${why}`;
  }

  /** For accepting connections; null: no certificate yet. The same object until the certificate or the roots change. */
  tlsServerContext(): tls.SecureContext | null {
    return this.context;
  }

  /** For making connections; as tlsServerContext(). */
  tlsClientContext(): tls.SecureContext | null {
    return this.context;
  }

  /** Called with each new certificate, and when the roots change. @returns what ends the listening */
  onChange(listener: (leaf: Leaf) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Puts other roots into force for new connections. @throws Error when they cannot be used; the old ones stay */
  setTrust(bundle: TrustBundle): void {
    if (bundle.trustDomain !== this.deps.trustDomain) throw new Error(`trust bundle of another trust domain: "${bundle.trustDomain}"`);
    const roots = readRoots(bundle.roots);
    const { leaf } = this;
    if (leaf === null || !this.isNews(bundle)) return;
    this.resignSoon(leaf);
    if (roots.length === leaf.roots.length && roots.every((root, i) => root.equals(leaf.roots[i]!))) return;
    this.log.info('roots changed', { roots: roots.length });
    this.use({ ...leaf, roots });
  }

  /**
   * The control plane could not be reached with this certificate: where the bundle has roots of which the certificate
   * brought none, another authority signs by now, and a new certificate is asked for at once.
   */
  async reviewRoots(): Promise<void> {
    const { leaf, state } = this;
    if (leaf === null || state.at !== 'waiting') return;
    const bundled = await this.bundledRoots().catch(() => []);
    if (this.state !== state || bundled.every((root) => leaf.roots.some((known) => known.equals(root)))) return;
    this.log.info('there are other roots, a certificate of them is asked for');
    state.cancel();
    void this.renew();
  }

  /**
   * The control plane was reached and does not take this certificate, such as one of an authority that it trusts no
   * more: the token still says who we are.
   */
  refused(): void {
    const { state } = this;
    const nowMs = this.deps.timers.now();
    if (state.at !== 'waiting' || nowMs - this.refusedMs < REFUSED_EVERY_MS) return;
    this.refusedMs = nowMs;
    this.log.info('the control plane does not take this certificate, another one is asked for');
    state.cancel();
    void this.renew();
  }

  status(): CredentialsStatus {
    return {
      identity: this.leaf?.identity ?? '',
      notAfterMs: this.leaf?.notAfterMs ?? 0,
      issued: this.issued,
      failures: this.failures,
      lastError: this.lastError,
    };
  }

  /**
   * Whether this is at least as new as what is in force; then it counts. Generation 0 is of a control plane that does
   * not count them.
   */
  private isNews({ generation, signing }: { readonly generation: bigint; readonly signing: string }): boolean {
    if (generation !== 0n && generation < this.generation) return false;
    this.generation = generation;
    this.signing = signing;
    return true;
  }

  /** Asks for a new certificate before its time where this one is of an authority that no longer signs. */
  private resignSoon(leaf: Leaf): void {
    const { state } = this;
    if (state.at !== 'waiting' || this.signing === '' || leaf.signing === '' || leaf.signing === this.signing) return;
    const { timers, random } = this.deps;
    const withinMs = Math.min(RESIGN_WITHIN_MS, (leaf.notAfterMs - timers.now()) / 4);
    const atMs = timers.now() + Math.max(0, withinMs * (0.1 + 0.9 * random()));
    if (atMs >= state.untilMs) return;
    this.log.info('another authority signs by now, a certificate of it is asked for', { inMs: Math.round(atMs - timers.now()) });
    state.cancel();
    this.waitUntil(atMs);
  }

  private use(leaf: Leaf): void {
    this.context = newSecureContext(leaf.roots, leaf);
    this.leaf = leaf;
    for (const listener of this.listeners) listener(leaf);
  }

  private async renew(): Promise<void> {
    const { timers, random } = this.deps;
    const asking: State = { at: 'asking' };
    this.state = asking;
    let leaf: Leaf;
    try {
      const { response, issued } = await this.obtain();
      leaf = this.isNews(response) || this.leaf === null ? issued : { ...issued, roots: this.leaf.roots };
    } catch (error) {
      if (this.state !== asking) return;
      this.failures++;
      this.lastError = (error as Error).message;
      const waitMs = backoffMs(this.failuresInARow++, RETRY_BASE_MS, this.retryCapMs(), random());
      const isExpired = this.leaf !== null && this.leaf.notAfterMs <= timers.now();
      this.log[isExpired ? 'error' : 'warn'](isExpired ? 'certificate expired, and there is no new one' : 'no new certificate', {
        error,
        retryInMs: Math.round(waitMs),
        ...(this.leaf === null ? {} : { notAfter: new Date(this.leaf.notAfterMs).toISOString() }),
      });
      return this.waitUntil(timers.now() + waitMs);
    }
    if (this.state !== asking) return;
    this.failuresInARow = 0;
    this.lastError = '';
    this.issued++;
    this.log.info('certificate received', { identity: leaf.identity, notAfter: new Date(leaf.notAfterMs).toISOString() });
    this.use(leaf);
    if (this.state !== asking) return; // a listener has stopped us
    this.waitUntil(renewAtMs(leaf.receivedMs, leaf.notAfterMs, random()));
    this.resignSoon(leaf);
  }

  private retryCapMs(): number {
    if (this.leaf !== null) return RETRY_CAP_MS;
    return this.isReached ? FIRST_RETRY_CAP_MS : UNREACHED_RETRY_CAP_MS;
  }

  private waitUntil(atMs: number): void {
    const { timers } = this.deps;
    const leftMs = atMs - timers.now();
    if (leftMs <= 0) return void this.renew();
    const cancel = timers.after(Math.min(leftMs, LONGEST_WAIT_MS), () => this.waitUntil(atMs));
    this.state = { at: 'waiting', untilMs: atMs, cancel };
  }

  private async obtain(): Promise<{ response: IssueResponse; issued: Leaf }> {
    const { deps } = this;
    this.isReached = false;
    const token = (await readFile(deps.tokenFile, 'utf8')).trim();
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const request = newIssueRequest(privateKey, publicKey.export({ format: 'der', type: 'spki' }), deps.lifetimeSeconds ?? 0);
    const response = await (deps.ask ?? ((...asked) => this.askControlPlane(...asked)))(request, token);
    try {
      return { response, issued: readIssued(response, privateKey, deps.trustDomain, deps.timers.now()) };
    } catch (error) {
      throw new Error(`the certificate that was issued cannot be used: ${(error as Error).message}`);
    }
  }

  private async askControlPlane(request: IssueRequest, token: string): Promise<IssueResponse> {
    const { controlPlane, trustDomain, timers } = this.deps;
    const kept = this.leaf?.roots ?? [];
    const roots = [...kept];
    try {
      roots.push(...(await this.bundledRoots()));
    } catch (error) {
      if (kept.length === 0) throw error;
    }
    // The token says who we are; no certificate is shown, because it may have expired.
    const { reach } = this;
    const secureContext = newSecureContext(roots, null);
    const connection = await GrpcConnection.connect({ ...controlPlane, secureContext, trustDomain, timers, reach });
    this.isReached = true;
    try {
      return await connection.unary(Certificates.method.issue, request, { authorization: `Bearer ${token}` }, ISSUE_TIMEOUT_MS);
    } finally {
      connection.close();
    }
  }

  /** The roots of the file, or those that stand in for it. @throws Error that names where they come from */
  private async bundledRoots(): Promise<Buffer[]> {
    const { trustBundleFile, trustRoots = '' } = this.deps;
    let source = trustBundleFile;
    try {
      const text = await readFile(trustBundleFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
        // Only while it is absent: a file that is there may have left out a root on purpose.
        if (error.code !== 'ENOENT' || trustRoots === '') throw error;
        source = 'the roots in WEFT_TRUST_ROOTS';
        return trustRoots;
      });
      return readPemRoots(text);
    } catch (error) {
      throw new Error(`${source}: ${(error as Error).message}`);
    }
  }
}
