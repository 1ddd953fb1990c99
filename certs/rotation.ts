// The control plane's own certificate: issued by its own authority, renewed at half its life.
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type Logger, silentLogger } from '#core/program/log.ts';
import { backoffMs, LONGEST_WAIT_MS, renewAtMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import type { Authority, IssuedLeaf } from './authority.ts';

const RETRY_BASE_MS = 200;
const RETRY_CAP_MS = 30_000;

export interface ServerLeaf extends IssuedLeaf {
  readonly key: KeyObject;
}

export interface ServerRotationDeps {
  readonly authority: Authority;
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
  private readonly listeners = new Set<(leaf: ServerLeaf) => void>();
  private readonly deps: ServerRotationDeps;
  private readonly log: Logger;
  private cancel: (() => void) | null = null;
  private failures = 0;

  constructor(deps: ServerRotationDeps) {
    this.deps = deps;
    this.log = deps.log ?? silentLogger;
  }

  get authority(): Authority {
    return this.deps.authority;
  }

  /** Makes the first certificate and goes on renewing. @throws AuthorityError when the first cannot be made */
  async start(): Promise<ServerLeaf> {
    this.cancel = () => {};
    const leaf = await this.renew();
    this.waitUntil(renewAtMs(this.deps.timers.now(), leaf.notAfterMs, this.deps.random()));
    return leaf;
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
  }

  current(): ServerLeaf | null {
    return this.leaf;
  }

  /** @returns what ends the listening */
  onChange(listener: (leaf: ServerLeaf) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private async renew(): Promise<ServerLeaf> {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const issued = await this.deps.authority.issueControlPlane(publicKey, this.deps.lifetimeMs);
    this.leaf = { ...issued, key: privateKey };
    for (const listener of this.listeners) listener(this.leaf);
    return this.leaf;
  }

  private waitUntil(atMs: number): void {
    if (this.cancel === null) return;
    const leftMs = atMs - this.deps.timers.now();
    if (leftMs > 0) this.cancel = this.deps.timers.after(Math.min(leftMs, LONGEST_WAIT_MS), () => this.waitUntil(atMs));
    else void this.renewAndGoOn();
  }

  private async renewAndGoOn(): Promise<void> {
    const { timers, random } = this.deps;
    try {
      const leaf = await this.renew();
      this.failures = 0;
      this.waitUntil(renewAtMs(timers.now(), leaf.notAfterMs, random()));
    } catch (error) {
      this.log.error('the control plane could not renew its own certificate', { error });
      this.waitUntil(timers.now() + backoffMs(this.failures++, RETRY_BASE_MS, RETRY_CAP_MS, random()));
    }
  }
}
