// Replaces the authority, step by step (decision 21): what is wanted is trusted everywhere before it signs, and what has
// signed is trusted until no leaf of it is left. The leader's.
import { Authority, AuthorityError, type AuthorityPem, type AuthoritySettings, certificatesPem } from '#certs/authority.ts';
import { ANNOTATION_FINISH, ANNOTATION_ROTATE, AUTHORITY_SECRET, AUTHORITY_STATE_SECRET, ROTATE_TAKE_OVER } from '#core/contract/names.ts';
import type { AuthorityView } from '#core/contract/view.ts';
import type { Logger } from '#core/program/log.ts';
import type { Timers } from '#core/program/timers.ts';
import { KINDS, type KubeClient, KubeError } from '#kube/api.ts';
import type { KubeObject } from '#kube/object.ts';
import { Reflector } from '#kube/reflector.ts';
import { fieldsOf } from '#objects/fields.ts';
import type { AuthorityKeeper, AuthorityTrouble } from '../issue/authority-keeper.ts';
import { type AuthoritySecret, managerOf, WantedAuthority } from '../issue/authority-secrets.ts';
import {
  type AuthorityState,
  decodeAuthority,
  isSameAuthority,
  promoted,
  withLeafLife,
  withNext,
  withoutRetired,
} from '../issue/authority-state.ts';
import type { HeldAuthority } from '../issue/held-authority.ts';
import { rotatesAtMs, viewOfAuthority } from './authority-view.ts';
import { FollowingTask } from './following-task.ts';
import { type RotationFacts, waitsForLeaves, waitsForTrust } from './rotation-progress.ts';

/** Between two looks while sidecars are waited for. */
const LOOK_EVERY_MS = 1000;
/** Between two looks while nothing is waited for but time. */
const CLOCK_EVERY_MS = 10 * 60_000;
const RETRY_MS = 5000;

export interface AuthorityRotationDeps {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly keeper: AuthorityKeeper;
  readonly authority: AuthoritySettings;
  /** Further roots from elsewhere, PEM; undefined: they are not known now. */
  readonly furtherRoots: () => string | undefined;
  /** What all replicas say. */
  readonly facts: () => RotationFacts;
  /** The rotation is over: what was said of it can go. @throws KubeError */
  readonly forget: () => Promise<void>;
  /** Asked before each write, as a frozen process learns late that another leads. */
  readonly stillLeading: () => boolean;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly onTrouble: (reason: AuthorityTrouble, message: string) => void;
}

export class AuthorityRotation extends FollowingTask {
  private readonly deps: AuthorityRotationDeps;
  protected readonly reflector: Reflector;
  private readonly secrets: WantedAuthority;
  /** As last seen; undefined: it is not there. */
  private wanted: AuthoritySecret | undefined;
  /** The one that cannot be used (resourceVersion and further roots), and why. */
  private refused: { readonly what: string; readonly why: string } | null = null;

  constructor(deps: AuthorityRotationDeps) {
    super(deps.timers);
    this.deps = deps;
    const { client, namespace, timers, random, log } = deps;
    this.secrets = new WantedAuthority(client, namespace);
    const take = (secret: KubeObject | undefined): void => {
      this.wanted = secret as AuthoritySecret | undefined;
      this.touch();
    };
    this.reflector = new Reflector({
      client,
      kind: KINDS.Secret,
      namespace,
      name: AUTHORITY_SECRET,
      project: (raw) => raw as AuthoritySecret,
      handler: { synced: ([secret]) => take(secret), applied: take, removed: () => take(undefined) },
      timers,
      random,
      log: log.child('reflector', { kind: 'Secret' }),
    });
  }

  touch(): void {
    this.lookNow();
  }

  /** What there is to be seen of the authority; null before it is loaded. */
  view(): AuthorityView | null {
    const { keeper } = this.deps;
    const { inUse } = keeper;
    if (inUse === null) return null;
    const waits = this.leading ? this.waits(inUse) : { trust: [], leaves: [] };
    const refused = this.leading ? (this.refused?.why ?? '') : '';
    return viewOfAuthority(inUse, { waits, refused, managedBy: managerOf(this.wanted) });
  }

  protected async look(): Promise<void> {
    try {
      for (;;) {
        const { inUse } = this.deps.keeper;
        if (inUse === null || !this.leading || !this.deps.stillLeading() || !this.reflector.status().synced) return;
        if (!(await this.step(inUse))) return this.rest(inUse);
      }
    } catch (error) {
      if (!(error instanceof KubeError || error instanceof AuthorityError)) throw error;
      // After a conflict the watches show what another has written.
      const isConflict = error instanceof KubeError && error.status === 409;
      if (!isConflict && this.note(`the authority cannot be replaced: ${error.message}`)) this.deps.log.warn(this.problem);
      this.lookIn(RETRY_MS);
    }
  }

  /** @returns whether something was done, so that there may be more to do */
  private async step(inUse: HeldAuthority): Promise<boolean> {
    const { wanted } = this;
    if (wanted === undefined) return this.restore(inUse);
    const asked = fieldsOf(wanted.metadata?.annotations);
    if (asked[ANNOTATION_ROTATE] !== undefined) return this.rotate(inUse, wanted);
    if (asked[ANNOTATION_FINISH] !== undefined) return this.finish(inUse, wanted);
    return (await this.adopt(inUse, wanted)) || (await this.advance(inUse, wanted));
  }

  /** It was deleted. What follows goes on, or what signs. */
  private async restore({ state }: HeldAuthority): Promise<boolean> {
    const { namespace, log, onTrouble } = this.deps;
    if (await this.secrets.create(state.next?.pem ?? state.signing)) {
      const message = `Secret ${namespace}/${AUTHORITY_SECRET} was deleted; it was made again with the same key`;
      log.warn(message);
      onTrouble('AuthorityRestored', message);
    }
    // The watch brings it.
    return false;
  }

  /** Takes up another authority, once it was tried. */
  private async adopt({ state }: HeldAuthority, wanted: AuthoritySecret): Promise<boolean> {
    const { authority: settings, log } = this.deps;
    const furtherRoots = this.deps.furtherRoots();
    const what = `${wanted.metadata?.resourceVersion} ${furtherRoots}`;
    if (furtherRoots === undefined || this.refused?.what === what) return false;
    let pem: AuthorityPem;
    let loaded: Authority;
    try {
      pem = withRoots(decodeAuthority(fieldsOf(wanted.data)), furtherRoots);
      if (isSameAuthority(pem, state.next?.pem ?? state.signing)) {
        this.refused = null;
        return false;
      }
      loaded = await Authority.load(pem, settings);
      if (loaded.notAfterMs <= settings.now())
        throw new AuthorityError(`its certificate expired at ${new Date(loaded.notAfterMs).toISOString()}`);
    } catch (error) {
      if (!(error instanceof AuthorityError)) throw error;
      this.refuse(what, error.message);
      return false;
    }
    this.refused = null;
    log.info('another authority is wanted: its roots are sent out', { subject: loaded.certificate.subject, id: loaded.id });
    return this.put(withNext(state, pem, settings.now()));
  }

  private refuse(what: string, why: string): void {
    const { namespace, log, onTrouble } = this.deps;
    this.refused = { what, why };
    const message = `Secret ${namespace}/${AUTHORITY_SECRET} cannot be used: ${why}. The authority before it goes on (Secret ${AUTHORITY_STATE_SECRET})`;
    log.error(message);
    onTrouble('AuthorityUnusable', message);
  }

  /** The next step that time and sidecars allow. */
  private async advance(inUse: HeldAuthority, wanted: AuthoritySecret): Promise<boolean> {
    const { keeper, log, authority: settings } = this.deps;
    const { state, signing, next } = inUse;
    const nowMs = settings.now();
    if (next !== undefined) {
      const same = next.id === signing.id;
      // The end of what signs is worse than a sidecar that does not answer.
      if (!same && nowMs < lastChanceMs(signing, state) && this.waits(inUse).trust.length > 0) return false;
      // Not that root among further ones: those a person may take away while leaves of it live.
      const isTrusted = next.root.raw.equals(signing.root.raw);
      log.info('the new authority signs from now on', { subject: next.certificate.subject, id: next.id });
      return this.put(promoted(state, isTrusted ? undefined : certificatesPem([signing.root.raw]), nowMs, keeper.leafMs));
    }
    if (state.retired.some(({ untilMs }) => untilMs <= nowMs)) {
      log.info('no leaf of an old authority is left, its root is trusted no more');
      return this.put(withoutRetired(state, nowMs, nowMs));
    }
    if (keeper.leafMs > state.leafMs) return this.put(withLeafLife(state, nowMs, keeper.leafMs));
    if (state.retired.length === 0) {
      await this.deps.forget();
      if (managerOf(wanted) === '' && nowMs >= rotatesAtMs(signing)) return this.generate(wanted, 'two thirds of its life are over');
    }
    return false;
  }

  private async rotate(inUse: HeldAuthority, wanted: AuthoritySecret): Promise<boolean> {
    const { signing, next } = inUse;
    const manager = managerOf(wanted);
    if (next !== undefined) return this.decline(wanted, 'a rotation is under way');
    const takesOver = fieldsOf(wanted.metadata?.annotations)[ANNOTATION_ROTATE] === ROTATE_TAKE_OVER;
    if (!takesOver && (manager !== '' || rotatesAtMs(signing) === Infinity))
      return this.decline(wanted, 'Weft did not make this authority: it is renewed where it comes from');
    return this.generate(wanted, 'a person has asked for it');
  }

  /** Only what is wanted changes here: all that follows is as if a person had put it there. */
  private async generate(wanted: AuthoritySecret, why: string): Promise<boolean> {
    const { authority: settings, log, stillLeading } = this.deps;
    const made = await Authority.generate(settings);
    if (!stillLeading()) return false;
    await this.secrets.replace(wanted, withRoots(made, extraRootsIn(wanted)));
    log.info('a new authority was made', { why });
    // The watch brings it.
    return false;
  }

  private async finish(inUse: HeldAuthority, wanted: AuthoritySecret): Promise<boolean> {
    const { state, next } = inUse;
    if (next !== undefined) return this.decline(wanted, 'the new authority does not sign yet');
    const waits = this.waits(inUse).leaves;
    if (waits.length > 0) return this.decline(wanted, `old roots are needed still: ${waits.join('; ')}`);
    if (state.retired.length > 0) {
      this.deps.log.info('a person has asked for it: old roots are trusted no more');
      await this.put(withoutRetired(state, this.deps.authority.now(), Infinity));
    }
    await this.secrets.answered(wanted);
    return false;
  }

  private async decline(wanted: AuthoritySecret, why: string): Promise<boolean> {
    await this.secrets.answered(wanted);
    this.deps.log.warn('what a person asks for is not done', { why });
    this.deps.onTrouble('AuthorityRefused', `what was asked for is not done: ${why}`);
    return false;
  }

  private async put(state: AuthorityState): Promise<boolean> {
    if (!this.deps.stillLeading()) return false;
    await this.deps.keeper.write(state);
    return true;
  }

  private waits({ state }: HeldAuthority): { trust: string[]; leaves: string[] } {
    const { facts, authority } = this.deps;
    const { next, retired } = state;
    if (next === undefined && retired.length === 0) return { trust: [], leaves: [] };
    const all = facts();
    return {
      trust: next === undefined ? [] : waitsForTrust(all, authority.now() - next.sinceMs),
      leaves: retired.length === 0 ? [] : waitsForLeaves(all),
    };
  }

  /** Nothing can be done now. */
  private rest({ state }: HeldAuthority): void {
    const { why } = this.refused ?? { why: '' };
    this.note(
      why === '' ? '' : `Secret ${this.deps.namespace}/${AUTHORITY_SECRET} cannot be used: ${why}. The authority before it goes on`,
    );
    this.lookIn(state.next === undefined ? CLOCK_EVERY_MS : LOOK_EVERY_MS);
  }
}

function withRoots(pem: AuthorityPem, roots: string): AuthorityPem {
  const extraRoots = [pem.extraRoots ?? '', roots].filter((text) => text.trim() !== '').join('\n');
  return extraRoots === '' ? pem : { ...pem, extraRoots };
}

/** Those that a person has put into the Secret. */
function extraRootsIn(secret: AuthoritySecret): string {
  try {
    return decodeAuthority(fieldsOf(secret.data)).extraRoots ?? '';
  } catch {
    return '';
  }
}

/** Unix ms from when on the successor signs whoever does not trust it yet: leaves would become too short otherwise. */
function lastChanceMs({ notBeforeMs, notAfterMs }: Authority, { leafMs }: AuthorityState): number {
  return notAfterMs - Math.min(leafMs / 2, (notAfterMs - notBeforeMs) / 10);
}
