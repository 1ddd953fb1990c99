// Text of a manifest file → YAML documents, each good or broken on its own. Pure.
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type ScalarTag,
  visit,
  type YAMLError,
} from 'yaml';
import type { Path } from './shape.ts';

/** Line and column, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface GoodDocument {
  readonly ok: true;
  readonly value: unknown;
  /** Where the value at this path stands; for one that is not there, the nearest value around it. */
  readonly placeOf: (path: Path) => Place;
}

export interface BrokenDocument {
  readonly ok: false;
  readonly place: Place;
  readonly message: string;
  /** What could still be read, for telling which object is meant. */
  readonly value: unknown;
}

// A document that refers to anchors more often is taken for one that wants to eat the memory.
const MOST_ALIASES = 1000;
// What a document with anchors may grow to; one without cannot be larger than its file.
const LARGEST_EXPANDED_BYTES = 16 * 1024 * 1024;
// The parser takes seconds to find out that it cannot follow brackets that never end; no manifest comes near this.
const DEEPEST = 500;
const LONGEST_MESSAGE = 200;

// kubectl's parser reads these words as booleans (YAML 1.1), so an unquoted `y` where text belongs is refused there; so here.
const booleanWord: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/,
  resolve: (word) => /^[yY]|^[oO][nN]$/.test(word),
};

/** The documents of a file in order; empty ones are left out. Never throws. */
export function readDocuments(text: string): (GoodDocument | BrokenDocument)[] {
  const found: (GoodDocument | BrokenDocument)[] = [];
  for (const chunk of splitDocuments(text)) found.push(...readChunk(chunk.text, chunk.line));
  return found;
}

/**
 * Cuts at the lines that hold only `---`, as kubectl does before it parses: what is broken in one document (a quote that is
 * never closed) then cannot swallow the next.
 */
function splitDocuments(text: string): { text: string; line: number }[] {
  const chunks: { text: string; line: number }[] = [];
  const separator = /^---[ \t]*(?:#.*)?\r?$/gm;
  let start = 0;
  let line = 1;
  for (;;) {
    const match = separator.exec(text);
    const chunk = text.slice(start, match?.index ?? text.length);
    chunks.push({ text: chunk, line });
    if (match === null) return chunks;
    line += chunk.split('\n').length - 1;
    start = match.index + match[0].length;
  }
}

function readChunk(text: string, firstLine: number): (GoodDocument | BrokenDocument)[] {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: line + firstLine - 1, column: col };
  };
  if (isBottomless(text)) return [{ ok: false, place: { line: firstLine, column: 1 }, message: 'nested too deeply', value: null }];
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      merge: true,
      logLevel: 'silent',
      customTags: (tags) => [booleanWord, ...tags],
    });
    if (!Array.isArray(documents)) return [];
    return documents.flatMap((document) => {
      const read = readDocument(document, text, place);
      return read === null ? [] : [read];
    });
  } catch (error) {
    return [{ ok: false, place: { line: firstLine, column: 1 }, message: `cannot be read as YAML: ${reasonOf(error)}`, value: null }];
  }
}

function isBottomless(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text.charCodeAt(index);
    if (char === 0x5b || char === 0x7b) {
      if (++depth > DEEPEST) return true;
    } else if ((char === 0x5d || char === 0x7d) && depth > 0) depth--;
  }
  return text.includes('- '.repeat(DEEPEST));
}

function readDocument(document: Document.Parsed, text: string, place: (offset: number) => Place): GoodDocument | BrokenDocument | null {
  const root = document.contents as Node | null;
  if (document.errors.length === 0 && (root === null || (isScalar(root) && root.value === null))) return null;
  const broken = (offset: number, message: string): BrokenDocument => ({
    ok: false,
    place: place(offset),
    message,
    value: readableValue(document),
  });
  const first = document.errors[0];
  if (first !== undefined) return broken(...explain(first, document, text, place));
  const key = findOddKey(document);
  if (key !== null) return broken(key, 'a name cannot be a map or a list (a Helm template must be rendered first: helm template)');
  const alias = findUnknownAlias(document);
  if (alias !== null) return broken(alias.offset, `*${alias.name} refers to an anchor &${alias.name} that does not stand before it`);
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    if (text.includes('*') && sizeOf(value, LARGEST_EXPANDED_BYTES) > LARGEST_EXPANDED_BYTES)
      return broken(root?.range?.[0] ?? 0, `the uses of its anchors make it larger than ${LARGEST_EXPANDED_BYTES / 1024 / 1024} MiB`);
    return { ok: true, value, placeOf: (path) => place(offsetOf(document, path)) };
  } catch (error) {
    return broken(root?.range?.[0] ?? 0, `cannot be read as YAML: ${reasonOf(error)}`);
  }
}

/** Bytes that the value takes when it is written out, about; stops counting beyond `enough`. */
function sizeOf(value: unknown, enough: number): number {
  if (typeof value === 'string') return value.length + 2;
  if (typeof value !== 'object' || value === null) return 4;
  let size = 2;
  for (const [key, inner] of Object.entries(value)) {
    size += key.length + sizeOf(inner, enough - size);
    if (size > enough) return size;
  }
  return size;
}

function readableValue(document: Document.Parsed): unknown {
  try {
    return findOddKey(document) === null ? document.toJS({ maxAliasCount: MOST_ALIASES }) : null;
  } catch {
    return null;
  }
}

function findOddKey(document: Document.Parsed): number | null {
  let found: number | null = null;
  visit(document, {
    Pair: (_, pair) => {
      if (!isMap(pair.key) && !isSeq(pair.key)) return undefined;
      found = (pair.key as Node).range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return found;
}

function findUnknownAlias(document: Document.Parsed): { name: string; offset: number } | null {
  let found: { name: string; offset: number } | null = null;
  visit(document, {
    Alias: (_, alias) => {
      if (alias.resolve(document) !== undefined) return undefined;
      found = { name: alias.source, offset: alias.range?.[0] ?? 0 };
      return visit.BREAK;
    },
  });
  return found;
}

// The parser's own words are for people who know YAML's grammar; the common mistakes get words that say what to do.
function explain(error: YAMLError, document: Document.Parsed, text: string, place: (offset: number) => Place): [number, string] {
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

function offsetOf(document: Document.Parsed, path: Path): number {
  let node: unknown = document.contents;
  let offset = (document.contents as Node | null)?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) node = node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(step))?.value;
    else if (isSeq(node)) node = node.items[Number(step)];
    else break;
    const range = (node as Node | null | undefined)?.range;
    if (range === undefined || range === null) break;
    offset = range[0];
  }
  return offset;
}

function reasonOf(error: unknown): string {
  if (error instanceof RangeError) return 'nested too deeply';
  if (error instanceof ReferenceError && /alias count/i.test(error.message)) return `more than ${MOST_ALIASES} uses of anchors`;
  return error instanceof Error ? lowerFirst(error.message) : String(error);
}

// The parser's messages may quote the file at length.
function lowerFirst(message: string): string {
  const line = message.replace(/\s+/g, ' ');
  return line.charAt(0).toLowerCase() + (line.length <= LONGEST_MESSAGE ? line.slice(1) : `${line.slice(1, LONGEST_MESSAGE)}…`);
}
