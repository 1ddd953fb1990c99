// The first start of an installation: one authority is made and kept, however many replicas start at once.
import { Authority, AuthorityError, type AuthorityPem, type AuthoritySettings } from './authority.ts';

/** Where an authority is kept: a Secret in a cluster, memory in `weft run`. */
export interface AuthorityStore {
  /** null: there is none. Failures to reach the store reject. */
  read(): Promise<AuthorityPem | null>;
  /** Keeps it if there is none yet. @returns false when another replica was first */
  create(pem: AuthorityPem): Promise<boolean>;
}

/**
 * The one authority of this store: read, or made and kept. The loser of a race takes the winner's; a store that holds
 * something unusable is an error, never a reason to make a new root, because that would cut off every workload.
 * @throws AuthorityError when what is kept cannot be used
 */
export async function bootstrapAuthority(
  store: AuthorityStore,
  settings: AuthoritySettings & { readonly lifetimeMs?: number },
): Promise<Authority> {
  const kept = await store.read();
  if (kept !== null) return Authority.load(kept, settings);
  const made = await Authority.generate(settings);
  if (await store.create(made)) return Authority.load(made, settings);
  const winner = await store.read();
  if (winner === null) throw new AuthorityError('the authority vanished from its store while it was being made');
  return Authority.load(winner, settings);
}

/** A store that lives as long as the program. */
export class MemoryStore implements AuthorityStore {
  private kept: AuthorityPem | null;

  constructor(kept: AuthorityPem | null = null) {
    this.kept = kept;
  }

  async read(): Promise<AuthorityPem | null> {
    return this.kept;
  }

  async create(pem: AuthorityPem): Promise<boolean> {
    if (this.kept !== null) return false;
    this.kept = pem;
    return true;
  }
}
