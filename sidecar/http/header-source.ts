// A header list that is sent again and again, with the slot where an encoder keeps the bytes it made of it.

export interface HeaderSource {
  /** [name, value, …], raw and ordered. */
  readonly list: string[];
  /** Names that must leave as "never indexed"; null if none. */
  readonly never: ReadonlySet<string> | null;
  /** Its path was not seen before and may never come again: an encoder remembers neither the path nor the bytes. */
  passing: boolean;
  /** The encoder that encoded it last, at which generation of its table, and the bytes: one compare on the hot path. */
  encoder: unknown;
  generation: number;
  bytes: Buffer;
}

const EMPTY = Buffer.alloc(0);

export function newHeaderSource(list: string[], never: ReadonlySet<string> | null): HeaderSource {
  return { list, never, passing: false, encoder: null, generation: -1, bytes: EMPTY };
}
