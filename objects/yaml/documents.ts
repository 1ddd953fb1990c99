// Text of manifests → YAML documents, each good or broken on its own, as kubectl reads them. Pure.
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import type { Path } from '../shape.ts';
import { explainMistake, MOST_ALIASES, type Place, reasonOf } from './mistakes.ts';
import { KUBECTL_YAML } from './schema.ts';
import { cutStream, type StreamPiece } from './stream.ts';

export interface GoodDocument {
  readonly state: 'good';
  readonly value: unknown;
  /** Where the value at this path stands; for one that is not there, the nearest value around it. */
  readonly placeOf: (path: Path) => Place;
  /** With its comments, to be edited and written again. */
  readonly tree: Document;
}

/** Nothing, null, or comments alone. */
export interface EmptyDocument {
  readonly state: 'empty';
}

export interface BrokenDocument {
  readonly state: 'broken';
  readonly place: Place;
  readonly message: string;
  /** What could still be read, so that the caller can tell which object is meant. */
  readonly value: unknown;
}

export type ReadDocument = GoodDocument | EmptyDocument | BrokenDocument;

/** A piece of a stream with what it holds. */
export interface ReadPiece {
  readonly piece: StreamPiece;
  readonly documents: readonly ReadDocument[];
}

// What a document with anchors may grow to; one without cannot be larger than its file.
const LARGEST_EXPANDED_BYTES = 16 * 1024 * 1024;
// The parser takes seconds to find out that it cannot follow brackets that never end; no manifest comes near this.
const DEEPEST = 500;
const MISPLACED = 'only a comment may stand behind "---" on its line (kubectl: invalid Yaml document separator)';

/** The documents of a stream in order. Never throws. */
export function readDocuments(stream: string): ReadDocument[] {
  return readPieces(stream).flatMap(({ documents }) => documents);
}

/** The same with the text between them, for a caller that writes the stream again. Never throws. */
export function readPieces(stream: string): ReadPiece[] {
  return cutStream(stream).map((piece) => {
    const documents = readPiece(piece);
    if (!piece.misplaced) return { piece, documents };
    const { line, column } = piece;
    const value = documents.find((document) => document.state !== 'empty')?.value ?? null;
    return { piece, documents: [{ state: 'broken', place: { line, column }, message: MISPLACED, value }] };
  });
}

function readPiece({ text, line: firstLine, column: firstColumn }: StreamPiece): ReadDocument[] {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: line + firstLine - 1, column: line === 1 ? col + firstColumn - 1 : col };
  };
  const unreadable = (message: string): ReadDocument[] => [
    { state: 'broken', place: { line: firstLine, column: firstColumn }, message, value: null },
  ];
  if (isBottomless(text)) return unreadable('nested too deeply');
  try {
    const documents = parseAllDocuments(text, { ...KUBECTL_YAML, lineCounter: lines, prettyErrors: false, logLevel: 'silent' });
    return Array.isArray(documents) ? documents.map((document) => readDocument(document, text, place)) : [{ state: 'empty' }];
  } catch (error) {
    return unreadable(`cannot be read as YAML: ${reasonOf(error)}`);
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

function readDocument(document: Document.Parsed, text: string, place: (offset: number) => Place): ReadDocument {
  const root = document.contents as Node | null;
  if (document.errors.length === 0 && (root === null || (isScalar(root) && root.value === null))) return { state: 'empty' };
  const broken = (offset: number, message: string): BrokenDocument => ({
    state: 'broken',
    place: place(offset),
    message,
    value: readableValue(document),
  });
  const first = document.errors[0];
  if (first !== undefined) return broken(...explainMistake(first, document, text, place));
  const key = findOddKey(document);
  if (key !== null) return broken(key.offset, key.message);
  const alias = findUnknownAlias(document);
  if (alias !== null) return broken(alias.offset, `*${alias.name} refers to an anchor &${alias.name} that does not stand before it`);
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    if (text.includes('*') && sizeOf(value, LARGEST_EXPANDED_BYTES) > LARGEST_EXPANDED_BYTES)
      return broken(root?.range?.[0] ?? 0, `the uses of its anchors make it larger than ${LARGEST_EXPANDED_BYTES / 1024 / 1024} MiB`);
    return { state: 'good', value, placeOf: (path) => place(offsetOf(document, path)), tree: document };
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

/** A key that JSON cannot have. */
function findOddKey(document: Document.Parsed): { offset: number; message: string } | null {
  let found: { offset: number; message: string } | null = null;
  visit(document, {
    Pair: (_, { key }) => {
      const isCollection = isMap(key) || isSeq(key);
      if (!isCollection && !(isScalar(key) && key.value === null)) return undefined;
      const message = isCollection
        ? 'a name cannot be a map or a list (a Helm template must be rendered first: helm template)'
        : 'a name cannot be null (write it in quotes)';
      found = { offset: (key as Node).range?.[0] ?? 0, message };
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
