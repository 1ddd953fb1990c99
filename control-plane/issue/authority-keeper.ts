// The authority of a replica: loads it however long that takes, follows what the leader writes of it, and sees to it
// that what is in use stays written.
import { Authority, AuthorityError, type AuthorityPem, type AuthoritySettings, DEFAULT_MAX_LEAF_LIFETIME_MS } from '#certs/authority.ts';
import { bootstrapAuthority } from '#certs/bootstrap.ts';
import { AUTHORITY_SECRET, AUTHORITY_STATE_SECRET } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf } from '#objects/fields.ts';
import { type AuthoritySecret, AuthorityStateSecret, WantedAuthority } from './authority-secrets.ts';
import { type AuthorityState, decodeAuthorityState, firstState, isSameState } from './authority-state.ts';
import { HeldAuthority, loadState } from './held-authority.ts';

const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 10_000;

export type AuthorityTrouble = 'AuthorityUnusable' | 'AuthorityRestored' | 'AuthorityRefused';

export interface AuthorityKeeperDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly authority: AuthoritySettings;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Something that a person must know: an Event, besides the log. */
  readonly onTrouble: (reason: AuthorityTrouble, message: string) => void;
}

export class AuthorityKeeper {
  /** Why there is none yet, or what is wrong with the Secret of what is in use; '' when all is well. */
  problem = 'the authority is not loaded yet';
  private readonly deps: AuthorityKeeperDeps;
  private readonly wanted: WantedAuthority;
  private readonly store: AuthorityStateSecret;
  private held: HeldAuthority | null = null;
  /** resourceVersion of what is in use. */
  private version: string | undefined;
  private reflector: Reflector | null = null;
  /** One state after the other. */
  private turn: Promise<void> = Promise.resolve();
  private cancel: (() => void) | null = null;
  private stopped = false;

  constructor(deps: AuthorityKeeperDeps) {
    this.deps = deps;
    this.wanted = new WantedAuthority(deps.client, deps.namespace);
    this.store = new AuthorityStateSecret(deps.client, deps.namespace);
  }

  /** The longest life of a leaf that is issued now, in ms. */
  get leafMs(): number {
    return this.deps.authority.maxLeafLifetimeMs ?? DEFAULT_MAX_LEAF_LIFETIME_MS;
  }

  /** What is in use; null before load() has succeeded. */
  get inUse(): HeldAuthority | null {
    return this.held;
  }

  /**
   * Tries until it succeeds: a Secret that cannot be used is waited out, never replaced by a new root. Undefined:
   * stopped meanwhile.
   */
  async load(): Promise<HeldAuthority | undefined> {
    const { random } = this.deps;
    for (let failures = 0; !this.stopped; failures++) {
      try {
        if (await this.begin()) {
          this.problem = '';
          this.follow();
          return this.held!;
        }
      } catch (error) {
        this.cannotLoad(error);
      }
      await this.sleep(backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random()));
    }
    return undefined;
  }

  /**
   * Writes the next state, and uses it. The leader's.
   * @throws KubeError (409: the state is not as it was followed), AuthorityError when it cannot be used
   */
  async write(state: AuthorityState): Promise<void> {
    await loadState(state, this.deps.authority);
    const kept = await this.store.replace(state, this.version);
    await this.inTurn(() => this.take(kept));
  }

  stop(): void {
    this.stopped = true;
    this.reflector?.stop();
    this.cancel?.();
  }

  /** @returns false: another replica was faster, look again */
  private async begin(): Promise<boolean> {
    const { authority: settings } = this.deps;
    const secret = await this.store.read();
    let why = '';
    if (secret !== null) {
      try {
        const loaded = await loadState(decodeAuthorityState(fieldsOf(secret.data)), settings);
        if (loaded.signing.notAfterMs > settings.now()) {
          this.held = new HeldAuthority(loaded);
          this.version = secret.metadata?.resourceVersion;
          return true;
        }
        why = expiredAt(loaded.signing);
      } catch (error) {
        if (!(error instanceof AuthorityError)) throw error;
        why = error.message;
      }
    }
    const pem = await this.usable(why);
    const state = firstState(pem, settings.now(), this.leafMs);
    const kept = secret === null ? await this.store.create(state) : await this.store.replace(state, secret.metadata?.resourceVersion);
    if (kept === null) return false;
    if (why !== '') this.deps.log.warn('what was in use cannot be used, the authority that is wanted takes its place', { why });
    this.held = new HeldAuthority(await loadState(state, settings));
    this.version = kept.metadata?.resourceVersion;
    return true;
  }

  /** The authority that is wanted. @param why '': there may be none yet, and it is made */
  private async usable(why: string): Promise<AuthorityPem> {
    const { authority: settings } = this.deps;
    // What was in use and cannot be read is no reason for a new root, which would cut off every workload.
    const authority = why === '' ? await bootstrapAuthority(this.wanted, settings) : await this.loadWanted(why);
    if (authority.notAfterMs <= settings.now()) throw new AuthorityError(expiredAt(authority));
    const pem = await this.wanted.read();
    if (pem === null) throw new AuthorityError('it was deleted while it was read');
    return pem;
  }

  private async loadWanted(why: string): Promise<Authority> {
    const pem = await this.wanted.read();
    if (pem === null)
      throw new AuthorityError(`there is none, and what was in use (Secret ${AUTHORITY_STATE_SECRET}) cannot be used: ${why}`);
    return Authority.load(pem, this.deps.authority);
  }

  private cannotLoad(error: unknown): void {
    const { namespace, log, onTrouble } = this.deps;
    if (!(error instanceof AuthorityError || error instanceof KubeError)) throw error;
    const problem =
      error instanceof AuthorityError
        ? `Secret ${namespace}/${AUTHORITY_SECRET} cannot be used: ${error.message}. Put the right one back, or delete it and ${AUTHORITY_STATE_SECRET} to begin with a new root`
        : `the authority cannot be loaded: ${error.message}`;
    if (problem !== this.problem) {
      log.error(problem);
      if (error instanceof AuthorityError) onTrouble('AuthorityUnusable', problem);
    }
    this.problem = problem;
  }

  private follow(): void {
    const { client, namespace, timers, random, log } = this.deps;
    const apply = (secret: AuthoritySecret): void => void this.inTurn(() => this.take(secret));
    this.reflector = new Reflector({
      client,
      kind: KINDS.Secret,
      namespace,
      name: AUTHORITY_STATE_SECRET,
      project: (raw) => raw as AuthoritySecret,
      handler: {
        synced: ([secret]) => (secret === undefined ? this.restore(undefined) : apply(secret)),
        applied: apply,
        removed: () => this.restore(undefined),
      },
      timers,
      random,
      log: log.child('reflector', { kind: 'Secret' }),
    });
    this.reflector.start();
  }

  private inTurn(action: () => Promise<void>): Promise<void> {
    const next = this.turn.then(action);
    this.turn = next.catch(() => {});
    return next;
  }

  /** Uses what another replica, or this one, has written. What nobody of us has written is written over. */
  private async take(secret: AuthoritySecret): Promise<void> {
    const held = this.held!;
    const version = secret.metadata?.resourceVersion;
    if (this.stopped) return;
    if (version === this.version) {
      this.problem = '';
      return;
    }
    try {
      const state = decodeAuthorityState(fieldsOf(secret.data));
      const isSame = isSameState(state, held.state);
      // A watch that is late, or a backup that was put back: only then it can be written over.
      if (!isSame && state.generation <= held.generation) return this.restore(version);
      const loaded = isSame ? null : await loadState(state, this.deps.authority);
      this.version = version;
      this.problem = '';
      if (loaded !== null) held.use(loaded);
    } catch (error) {
      if (!(error instanceof AuthorityError)) throw error;
      this.note(
        `Secret ${this.deps.namespace}/${AUTHORITY_STATE_SECRET} was changed and cannot be used: ${error.message}. What was in use stays`,
      );
      this.restore(version);
    }
  }

  /**
   * All replicas have the same in memory, so the first restores what any other would.
   * @param version that is written over; undefined: it was deleted
   */
  private restore(version: string | undefined, failures = 0): void {
    const { held } = this;
    if (this.stopped || held === null) return;
    const { namespace, timers, random, log, onTrouble } = this.deps;
    const writing = version === undefined ? this.store.create(held.state) : this.store.replace(held.state, version);
    writing.then(
      (kept) => {
        if (kept === null) return;
        this.version = kept.metadata?.resourceVersion;
        this.problem = '';
        const message = `Secret ${namespace}/${AUTHORITY_STATE_SECRET} was ${version === undefined ? 'deleted' : 'changed'}; it was made again as it is in use`;
        log.warn(message);
        onTrouble('AuthorityRestored', message);
      },
      (error: unknown) => {
        if (!(error instanceof KubeError)) throw error;
        if (error.status === 409) return; // another replica was faster, and the watch shows it
        this.note(`Secret ${namespace}/${AUTHORITY_STATE_SECRET} cannot be made again: ${error.message}`);
        this.cancel?.();
        const waitMs = backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random());
        this.cancel = timers.after(waitMs, () => this.restore(version, failures + 1));
      },
    );
  }

  private note(problem: string): void {
    if (problem !== this.problem) this.deps.log.error(problem);
    this.problem = problem;
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.deps.timers.after(ms, resolve);
      this.cancel = () => {
        cancel();
        resolve();
      };
    });
  }
}

function expiredAt(authority: Authority): string {
  return `its certificate expired at ${new Date(authority.notAfterMs).toISOString()}`;
}
