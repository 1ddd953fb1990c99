// A header list that is sent again and again, with the slot where an encoder keeps the bytes it made of it.

export interface HeaderSource {
  /** [name, value, …], raw and ordered. */
  readonly list: string[];
  /** Names that must leave as "never indexed"; null if none. */
  readonly never: ReadonlySet<string> | null;
  /** The encoder that encoded it last, at which generation of its table, and the bytes: one compare on the hot path. */
  encoder: unknown;
  generation: number;
  bytes: Buffer;
}

const EMPTY = Buffer.alloc(0);

export function newHeaderSource(list: string[], never: ReadonlySet<string> | null): HeaderSource {
  return { list, never, encoder: null, generation: -1, bytes: EMPTY };
}
