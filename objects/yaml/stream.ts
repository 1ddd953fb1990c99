// A stream of manifests cut into its documents, as kubectl cuts it before it parses: a quote that is never closed in
// one document then cannot swallow the next. Pure.

/** A part of a stream: mostly one document; several where one ends with `...`; none where there are but comments. */
export interface StreamPiece {
  /** The line before it, with its end; '' for the first, and for a JSON document behind another. */
  readonly separator: string;
  readonly text: string;
  /** Where the text begins, from 1. */
  readonly line: number;
  readonly column: number;
  /** It is JSON to the letter, and an object. */
  readonly json: boolean;
  /** Its separator has content, which is the beginning of the text. */
  readonly misplaced: boolean;
}

/** The pieces of a stream in order. Line ends of an old Mac, a lone CR, have become LF. */
export function cutStream(stream: string): StreamPiece[] {
  const text = stream.replace(/\r(?!\n)/g, '\n');
  const pieces: StreamPiece[] = [];
  // Not with the flag m: `^` would match behind U+2028, too.
  const separators = /(?<=^|\n)---([^\n]*)(?:\n|$)/g;
  let at = { start: 0, separator: '', line: 1, column: 1, misplaced: false };
  for (;;) {
    const match = separators.exec(text);
    const chunk = text.slice(at.start, match?.index ?? text.length);
    pieces.push(...cutJson({ ...at, text: chunk, json: false }));
    if (match === null) return pieces;
    const line = at.line + lineEnds(chunk);
    const content = match[1].trim();
    const misplaced = content !== '' && !content.startsWith('#');
    const column = misplaced ? match[0].indexOf(content, 3) + 1 : 1;
    const separator = misplaced ? '---' : match[0];
    at = {
      start: match.index + (misplaced ? column - 1 : separator.length),
      separator,
      line: misplaced ? line : line + 1,
      column,
      misplaced,
    };
    separators.lastIndex = match.index + match[0].length;
  }
}

/**
 * JSON documents follow each other without a separator; what stands before another one must be JSON to the letter to be
 * cut off.
 */
function cutJson(whole: StreamPiece): StreamPiece[] {
  if (!/^\uFEFF?\s*\{/.test(whole.text)) return [whole];
  const pieces: StreamPiece[] = [];
  let rest = whole;
  for (const end of ends(whole.text)) {
    const cut = end - (whole.text.length - rest.text.length);
    const text = rest.text.slice(0, cut);
    if (!isJson(text)) break;
    pieces.push({ ...rest, text, json: true });
    const lines = lineEnds(text);
    const column = lines === 0 ? rest.column + text.length : text.length - text.lastIndexOf('\n');
    rest = { ...rest, separator: '', text: rest.text.slice(cut), line: rest.line + lines, column };
  }
  return [...pieces, { ...rest, json: isJson(rest.text) }];
}

/** The offsets behind a closing brace that closes all, where another opens next. */
function* ends(text: string): Generator<number> {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}]/gs)) {
    if (token === '{') depth++;
    else if (token === '}' && --depth === 0 && /^\s*\{/.test(text.slice(index + 1, index + 1 + FARTHEST_NEXT))) yield index + 1;
  }
}

// Blanks between two JSON documents; behind more the second is taken for a mistake.
const FARTHEST_NEXT = 4096;

function isJson(text: string): boolean {
  try {
    JSON.parse(text.replace(/^\uFEFF/, ''));
    return true;
  } catch {
    return false;
  }
}

function lineEnds(text: string): number {
  return text.split('\n').length - 1;
}
