// Reading fields of objects that may hold anything: what is of another type than it should be counts as absent, or as a
// fault where that matters.
import { quote } from '#core/text/printable.ts';

/** A map's fields; of anything else (null, text, a list): none. */
export function fieldsOf<T extends object>(value: T | null | undefined): Partial<T> {
  return isMap(value) ? value : {};
}

/** A list's entries; of anything else: none. */
export function entriesOf<T>(value: readonly T[] | null | undefined): readonly T[] {
  return Array.isArray(value) ? value : [];
}

/**
 * A text that can go on the wire; of anything else: undefined. A lone surrogate has no form in UTF-8 and would arrive
 * as another text.
 */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.isWellFormed() ? value : undefined;
}

/** A TCP port, 1 to 65535; of anything else: undefined. */
export function portOf(value: unknown): number | undefined {
  return isInteger(value, 1, 65535) ? value : undefined;
}

/** A whole number in a range, both ends included. */
export function isInteger(value: unknown, least: number, greatest: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= greatest;
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** null and undefined are the same: an absent field. */
export function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/**
 * The entries of a list that must be one. A fault where it is something else, or longer than `most`; then the first
 * `most` are given.
 * @param what names the list in the fault
 */
export function listOf<T>(
  value: readonly T[] | null | undefined,
  what: string,
  most: number,
  fault: (message: string) => void,
): readonly T[] {
  if (isAbsent(value)) return [];
  if (!Array.isArray(value)) {
    fault(`${what} must be a list, not ${quote(value)}`);
    return [];
  }
  if (value.length <= most) return value;
  fault(`${what} has ${value.length} entries, of which at most ${most} are read`);
  return value.slice(0, most);
}
