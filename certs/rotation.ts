// The control plane's own certificate: issued by its own authority, renewed at half its life.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { backoffMs, LONGEST_WAIT_MS, renewAtMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import type { Authority, IssuedLeaf } from './authority.ts';
import type { AuthorityInUse } from './in-use.ts';

const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 30_000;

export interface ServerLeaf extends IssuedLeaf {
  readonly key: KeyObject;
}

export interface ServerRotationDeps {
  readonly authority: AuthorityInUse;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log?: Logger;
  /** Lifetime to ask for; absent: the authority's default. */
  readonly lifetimeMs?: number;
}

/** Keeps a certificate of the control plane fresh. Each one has a new key, made here and never leaving memory. */
export class ServerRotation {
  private leaf: ServerLeaf | null = null;
  private signer: Authority | null = null;
  private readonly listeners = new Set<(leaf: ServerLeaf) => void>();
  private readonly deps: ServerRotationDeps;
  private readonly log: Logger;
  private cancel: (() => void) | null = null;
  private stopFollowing: () => void = () => {};
  /** Counts renewals: one that was overtaken by another comes to nothing. */
  private turn = 0;
  private failures = 0;

  constructor(deps: ServerRotationDeps) {
    this.deps = deps;
    this.log = deps.log ?? silentLogger;
  }

  get authority(): AuthorityInUse {
    return this.deps.authority;
  }

  /** Makes the first certificate and goes on renewing. @throws AuthorityError when the first cannot be made */
  async start(): Promise<ServerLeaf> {
    this.cancel = () => {};
    const leaf = (await this.renew())!;
    this.waitUntil(renewAtMs(this.deps.timers.now(), leaf.notAfterMs, this.deps.random()));
    this.stopFollowing = this.deps.authority.onChange(() => this.follow());
    // It may have changed while the first was made.
    if (this.deps.authority.signing !== this.signer) this.follow();
    return leaf;
  }

  stop(): void {
    this.stopFollowing();
    this.cancel?.();
    this.cancel = null;
  }

  current(): ServerLeaf | null {
    return this.leaf;
  }

  /** A new certificate, or other roots. @returns what ends the listening */
  onChange(listener: (leaf: ServerLeaf) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** @returns null: another renewal has begun meanwhile */
  private async renew(): Promise<ServerLeaf | null> {
    const turn = ++this.turn;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { signing } = this.deps.authority;
    this.signer = signing;
    const issued = await signing.issueControlPlane(publicKey, this.deps.lifetimeMs);
    if (turn !== this.turn) return null;
    this.leaf = { ...issued, key: privateKey };
    this.tell(this.leaf);
    return this.leaf;
  }

  /** The authority has changed: a new certificate at once where another one signs, else the roots alone. */
  private follow(): void {
    if (this.cancel === null) return;
    if (this.deps.authority.signing !== this.signer) {
      this.cancel();
      void this.renewAndGoOn();
    } else if (this.leaf !== null) this.tell(this.leaf);
  }

  private tell(leaf: ServerLeaf): void {
    for (const listener of this.listeners) listener(leaf);
  }

  private waitUntil(atMs: number): void {
    if (this.cancel === null) return;
    const leftMs = atMs - this.deps.timers.now();
    if (leftMs > 0) this.cancel = this.deps.timers.after(Math.min(leftMs, LONGEST_WAIT_MS), () => this.waitUntil(atMs));
    else void this.renewAndGoOn();
  }

  private async renewAndGoOn(): Promise<void> {
    const { timers, random } = this.deps;
    const turn = this.turn + 1;
    try {
      const leaf = await this.renew();
      if (leaf === null) return;
      this.failures = 0;
      this.waitUntil(renewAtMs(timers.now(), leaf.notAfterMs, random()));
    } catch (error) {
      if (turn !== this.turn) return;
      this.log.error('the control plane could not renew its own certificate', { error });
      this.waitUntil(timers.now() + backoffMs(this.failures++, RETRY_BASE_MS, RETRY_CAP_MS, random()));
    }
  }
}
