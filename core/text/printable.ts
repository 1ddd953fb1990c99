// What others wrote, made fit for messages, statuses and terminals: short, on one line, without characters that steer a
// terminal.

const LONGEST_QUOTE = 80;

/**
 * A value as it may stand in a message: short, on one line, without characters that would steer a terminal or turn the
 * text around.
 */
export function quote(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') {
    const short = value.length > LONGEST_QUOTE ? `${value.slice(0, LONGEST_QUOTE)}…` : value;
    return printable(JSON.stringify(short));
  }
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

/** A text in which control, format and unassigned characters are spelt out (CWE-117). */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (char) => `\\u${char.codePointAt(0)!.toString(16).padStart(4, '0')}`);
}

/** A message fit for a status and for a terminal, cut to `most` characters. */
export function sentence(text: string, most: number): string {
  const clean = printable(text);
  // A cut may halve a surrogate pair.
  return clean.length > most ? `${clean.slice(0, most - 1).toWellFormed()}…` : clean;
}
