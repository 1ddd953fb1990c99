// Messages for mistakes in YAML. The parser's own are for people who know YAML's grammar; for the common mistakes ours
// say what to do. Pure.
import { type Document, visit, type YAMLError } from 'yaml';

/** Line and column, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

// A document that refers to anchors more often is taken for one that wants to eat the memory.
export const MOST_ALIASES = 1000;
const LONGEST_MESSAGE = 200;

/** The offset of a mistake in its document, and the message. */
export function explainMistake(
  error: YAMLError,
  document: Document.Parsed,
  text: string,
  place: (offset: number) => Place,
): [number, string] {
  const [from] = error.pos;
  switch (error.code) {
    case 'TAB_AS_INDENT':
      return [from, 'indented with a tab: YAML is indented with spaces'];
    case 'DUPLICATE_KEY':
      return [from, `${/^[^:\n]*/.exec(text.slice(from, from + 200))![0].trim() || 'a name'} stands twice in one map`];
    case 'BLOCK_AS_IMPLICIT_KEY':
      return [from, 'unexpected second "name: value": text with ": " in it needs quotes, and fields of one map the same indentation'];
    case 'RESOURCE_EXHAUSTION':
      return [from, 'nested too deeply'];
    case 'MISSING_CHAR': {
      const open = /quote/.test(error.message) ? lastQuote(document) : null;
      if (open !== null) return [open, `the quote that opens here is never closed (looked for it up to line ${place(from).line})`];
      return [from, error.message];
    }
    case 'MULTILINE_IMPLICIT_KEY':
      return [from, 'a name must be followed by ":" on its own line'];
    default:
      return [from, lowerFirst(error.message)];
  }
}

function lastQuote(document: Document.Parsed): number | null {
  let found: number | null = null;
  visit(document, {
    Scalar: (_, scalar) => {
      if (scalar.type === 'QUOTE_DOUBLE' || scalar.type === 'QUOTE_SINGLE') found = scalar.range?.[0] ?? found;
    },
  });
  return found;
}

/** The message of an error that the parser has thrown. */
export function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'nested too deeply';
  if (error instanceof ReferenceError && /alias count/i.test(error.message)) return `more than ${MOST_ALIASES} uses of anchors`;
  return error instanceof Error ? lowerFirst(error.message) : String(error);
}

// The parser's messages may quote the file at length.
function lowerFirst(message: string): string {
  const line = message.replace(/\s+/g, ' ');
  return line.charAt(0).toLowerCase() + (line.length <= LONGEST_MESSAGE ? line.slice(1) : `${line.slice(1, LONGEST_MESSAGE)}…`);
}
