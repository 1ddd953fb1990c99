// The authority in a Secret: made once by the replica that is first, guarded while it is in use.
import { type Authority, AuthorityError, type AuthorityPem, type AuthoritySettings } from '#certs/authority.ts';
import { type AuthorityStore, bootstrapAuthority } from '#certs/bootstrap.ts';
import { AUTHORITY_SECRET } from '#core/contract/names.ts';
import type { Logger } from '#core/program/log.ts';
import { backoffMs } from '#core/program/renewal.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf, textOf } from '#objects/fields.ts';

/** Keys of the Secret, those of kubernetes.io/tls, so that tools that make such Secrets can make this one. */
const CERTIFICATE_KEY = 'tls.crt';
const KEY_KEY = 'tls.key';
/** Where cert-manager puts the issuer's certificate. */
const ISSUERS_KEY = 'ca.crt';
/** More roots to trust, PEM; absent unless a person has put them there. */
const EXTRA_ROOTS_KEY = 'extra-roots.pem';
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 10_000;

interface Secret extends KubeObject {
  data?: Record<string, string>;
}

export class SecretAuthorityStore implements AuthorityStore {
  private readonly client: KubeClient;
  private readonly namespace: string;

  constructor(client: KubeClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
  }

  /** @throws AuthorityError when the Secret lacks a key, KubeError when the API server gives no answer */
  async read(): Promise<AuthorityPem | null> {
    try {
      const path = { kind: KINDS.Secret, namespace: this.namespace, name: AUTHORITY_SECRET };
      return pemOf(await this.client.request<Secret>('GET', path));
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return null;
      throw error;
    }
  }

  /** The API server takes one POST of a name: the others get 409. @throws KubeError */
  async create(pem: AuthorityPem): Promise<boolean> {
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const body = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: AUTHORITY_SECRET, namespace: this.namespace, labels: { 'app.kubernetes.io/part-of': 'weft' } },
      type: 'kubernetes.io/tls',
      data: {
        [CERTIFICATE_KEY]: encode(pem.certificate),
        [KEY_KEY]: encode(pem.key),
        ...(pem.issuers ? { [ISSUERS_KEY]: encode(pem.issuers) } : {}),
        ...(pem.extraRoots ? { [EXTRA_ROOTS_KEY]: encode(pem.extraRoots) } : {}),
      },
    };
    try {
      await this.client.request('POST', { kind: KINDS.Secret, namespace: this.namespace }, { body });
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.status === 409) return false;
      throw error;
    }
  }
}

function pemOf(secret: Secret): AuthorityPem {
  const text = (key: string): string | undefined => {
    const value = textOf(fieldsOf(secret.data)[key]);
    return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
  };
  const certificate = text(CERTIFICATE_KEY);
  const key = text(KEY_KEY);
  if (!certificate || !key) throw new AuthorityError(`it has no ${certificate ? KEY_KEY : CERTIFICATE_KEY}`);
  const [issuers, extraRoots] = [text(ISSUERS_KEY), text(EXTRA_ROOTS_KEY)];
  return { certificate, key, ...(issuers ? { issuers } : {}), ...(extraRoots === undefined ? {} : { extraRoots }) };
}

export interface AuthorityKeeperDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly authority: AuthoritySettings;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** Something that a person must know: an Event, besides the log. */
  readonly onTrouble: (reason: 'AuthorityUnusable' | 'AuthorityReplaced' | 'AuthorityRestored', message: string) => void;
}

/** Loads the authority however long that takes, then sees to it that the Secret goes on holding what is in use. */
export class AuthorityKeeper {
  /** Why there is none yet, or what is wrong with the Secret; '' when all is well. */
  problem = 'the authority is not loaded yet';
  private readonly deps: AuthorityKeeperDeps;
  private readonly store: SecretAuthorityStore;
  private inUse: AuthorityPem | null = null;
  private guard: Reflector | null = null;
  private cancel: (() => void) | null = null;
  private stopped = false;

  constructor(deps: AuthorityKeeperDeps) {
    this.deps = deps;
    this.store = new SecretAuthorityStore(deps.client, deps.namespace);
  }

  /**
   * Tries until it succeeds: a Secret that cannot be used is waited out, never replaced by a new root. Undefined:
   * stopped meanwhile.
   */
  async load(): Promise<Authority | undefined> {
    const { authority: settings, random, log } = this.deps;
    for (let failures = 0; !this.stopped; failures++) {
      try {
        const authority = await bootstrapAuthority(this.remembering(), settings);
        if (authority.notAfterMs <= settings.now())
          throw new AuthorityError(`its certificate expired at ${new Date(authority.notAfterMs).toISOString()}`);
        this.problem = '';
        this.watch();
        return authority;
      } catch (error) {
        const known = error instanceof AuthorityError || error instanceof KubeError;
        if (!known) throw error;
        const problem =
          error instanceof AuthorityError
            ? `Secret ${this.deps.namespace}/${AUTHORITY_SECRET} cannot be used: ${error.message}. Put the right one back, or delete it to begin with a new root`
            : `the authority cannot be loaded: ${error.message}`;
        if (problem !== this.problem) {
          log.error(problem);
          if (error instanceof AuthorityError) this.deps.onTrouble('AuthorityUnusable', problem);
        }
        this.problem = problem;
      }
      await this.sleep(backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random()));
    }
    return undefined;
  }

  stop(): void {
    this.stopped = true;
    this.guard?.stop();
    this.cancel?.();
  }

  /** The store, with what was read or kept last held in memory: what is restored when the Secret is deleted. */
  private remembering(): AuthorityStore {
    return {
      read: async () => (this.inUse = await this.store.read()),
      create: async (pem) => {
        const created = await this.store.create(pem);
        if (created) this.inUse = pem;
        return created;
      },
    };
  }

  private watch(): void {
    const { client, namespace, timers, random, log } = this.deps;
    this.guard = new Reflector({
      client,
      kind: KINDS.Secret,
      namespace,
      name: AUTHORITY_SECRET,
      project: (raw) => raw as Secret,
      handler: {
        synced: ([secret]) => (secret === undefined ? this.restore() : this.compare(secret as Secret)),
        applied: (secret) => this.compare(secret as Secret),
        removed: () => this.restore(),
      },
      timers,
      random,
      log: log.child('reflector', { kind: 'Secret' }),
    });
    this.guard.start();
  }

  private compare(secret: Secret): void {
    const { namespace, log, onTrouble } = this.deps;
    let why = '';
    try {
      const pem = pemOf(secret);
      const same = (key: keyof AuthorityPem): boolean => (pem[key] ?? '').trim() === (this.inUse?.[key] ?? '').trim();
      if (!same('certificate') || !same('key') || !same('issuers')) why = 'it holds another authority than the one in use';
      else if (!same('extraRoots')) why = `its ${EXTRA_ROOTS_KEY} are others than those in use, and count from the next start`;
    } catch (error) {
      why = (error as Error).message;
    }
    const problem =
      why === ''
        ? ''
        : `Secret ${namespace}/${AUTHORITY_SECRET} was changed: ${why}. Certificates go on being signed by the authority that was loaded at the start`;
    if (problem !== '' && problem !== this.problem) {
      log.error(problem);
      onTrouble('AuthorityReplaced', problem);
    }
    this.problem = problem;
  }

  /** All replicas have the same in memory, so the first restores what any other would. */
  private restore(failures = 0): void {
    if (this.stopped || this.inUse === null) return;
    const { namespace, timers, random, log, onTrouble } = this.deps;
    this.store.create(this.inUse).then(
      (created) => {
        if (!created) return;
        const message = `Secret ${namespace}/${AUTHORITY_SECRET} was deleted; it was made again with the same key`;
        log.warn(message);
        onTrouble('AuthorityRestored', message);
      },
      (error: unknown) => {
        if (!(error instanceof KubeError)) throw error;
        this.problem = `Secret ${namespace}/${AUTHORITY_SECRET} was deleted and cannot be made again: ${error.message}`;
        log.error(this.problem);
        this.cancel?.();
        this.cancel = timers.after(backoffMs(failures, RETRY_BASE_MS, RETRY_CAP_MS, random()), () => this.restore(failures + 1));
      },
    );
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
