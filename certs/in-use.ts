// The authority of a program that goes on while it is replaced: what signs at this moment, and what is trusted. An
// Authority is one itself, which never changes.
import type { Authority } from './authority.ts';

export interface AuthorityInUse {
  readonly trustDomain: string;
  /** Signs what is issued from now on. */
  readonly signing: Authority;
  /** Of the roots; see TrustBundle.generation in core/contract/proto/weft/v1/config.proto. */
  readonly generation: number;
  /** All that may be trusted now, DER, the root of what signs first. */
  roots(): readonly Buffer[];
  /** The same as one PEM text. */
  rootsPem(): string;
  /** Another authority signs, or the roots are others. @returns what ends the listening */
  onChange(listener: () => void): () => void;
}
