// The authority of this replica, as it changes while the replica runs: a state of authority-state.ts that was loaded and
// tried.
import { X509Certificate } from 'node:crypto';
import { Authority, AuthorityError, type AuthoritySettings, certificatesPem, splitPem } from '#certs/authority.ts';
import type { AuthorityInUse } from '#certs/in-use.ts';
import type { AuthorityState } from './authority-state.ts';

/** A state with its authorities. */
export interface LoadedState {
  readonly state: AuthorityState;
  readonly signing: Authority;
  readonly next: Authority | undefined;
  /** DER, those of `state.retired`. */
  readonly retired: readonly Buffer[];
}

/** @throws AuthorityError when one of them cannot be used */
export async function loadState(state: AuthorityState, settings: AuthoritySettings): Promise<LoadedState> {
  const { signing, next, retired } = state;
  return {
    state,
    signing: await Authority.load(signing, settings),
    next: next && (await Authority.load(next.pem, settings)),
    retired: retired.flatMap(({ certificate }) => splitPem(certificate).map(derOf)),
  };
}

export class HeldAuthority implements AuthorityInUse {
  readonly trustDomain: string;
  private loaded: LoadedState;
  private trusted: readonly Buffer[];
  private readonly listeners = new Set<() => void>();

  constructor(loaded: LoadedState) {
    this.trustDomain = loaded.signing.trustDomain;
    this.loaded = loaded;
    this.trusted = rootsOf(loaded);
  }

  /** Puts another state into force. What signs stays the same object where its certificates do. */
  use(loaded: LoadedState): void {
    const { signing } = this.loaded;
    this.loaded = signing.id === loaded.signing.id ? { ...loaded, signing } : loaded;
    this.trusted = rootsOf(loaded);
    for (const listener of this.listeners) listener();
  }

  get state(): AuthorityState {
    return this.loaded.state;
  }

  get signing(): Authority {
    return this.loaded.signing;
  }

  get next(): Authority | undefined {
    return this.loaded.next;
  }

  get generation(): number {
    return this.loaded.state.generation;
  }

  roots(): readonly Buffer[] {
    return this.trusted;
  }

  rootsPem(): string {
    return certificatesPem(this.trusted);
  }

  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

function rootsOf({ signing, next, retired }: LoadedState): Buffer[] {
  const all = [...signing.roots(), ...(next?.roots() ?? []), ...retired];
  return all.filter((raw, i) => all.findIndex((other) => other.equals(raw)) === i);
}

function derOf(pem: string): Buffer {
  try {
    return new X509Certificate(pem).raw;
  } catch (error) {
    throw new AuthorityError(`an old root is not a certificate: ${(error as Error).message}`);
  }
}
