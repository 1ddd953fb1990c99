// A header list that is sent again and again, with the slot where an encoder keeps the bytes it made of it.

export interface HeaderSource {
  /** [name, value, …], raw and ordered. */
  readonly list: string[];
  /** Names that must leave as "never indexed"; null if none. */
  readonly never: ReadonlySet<string> | null;
  /**
   * The encoder that encoded it last, or what HTTP/1.1 wrote of it, at which generation of its table, and the bytes: one
   * compare on the hot path.
   */
  encoder: unknown;
  generation: number;
  bytes: Buffer;
  /** Names whose case is another one in HTTP/1.1, as HTTP/1.1 spelled them first; null: none. */
  readonly spelled: ReadonlyMap<string, string> | null;
}

const EMPTY = Buffer.alloc(0);

export function newHeaderSource(
  list: string[],
  never: ReadonlySet<string> | null,
  spelled: ReadonlyMap<string, string> | null = null,
): HeaderSource {
  return { list, never, encoder: null, generation: -1, bytes: EMPTY, spelled };
}
