// Cuts a template into text and actions, and actions into words. Trimming (`{{-`, `-}}`) happens here.
import { type Position, TemplateError } from './syntax.ts';

export type Word = { readonly at: Position } & (
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: bigint }
  | { readonly kind: 'name'; readonly value: string }
  /** `.a.b` without its first dot; '' is the dot itself. */
  | { readonly kind: 'field'; readonly value: string }
  /** `$x` and its fields; the variable keeps its `$`. */
  | { readonly kind: 'variable'; readonly value: string; readonly fields: readonly string[] }
  | { readonly kind: 'sign'; readonly value: '(' | ')' | '|' | ':=' | ',' }
);

export type Piece =
  | { readonly kind: 'text'; readonly at: Position; readonly text: string }
  | { readonly kind: 'action'; readonly at: Position; readonly words: readonly Word[] };

const OPEN = /\{\{(-(?=\s))?/g;
const COMMENT = /\s*\/\*[\s\S]*?\*\/(\s-)?\}\}/y;
const CLOSE = /(\s-)?\}\}/y;
const SPACE = /\s+/y;
const WORD =
  /(?<string>"(?:\\.|[^"\\\n])*")|(?<number>-?[0-9]+(?![\w.]))|(?<name>[A-Za-z_]\w*)|(?<field>(?:\.[A-Za-z_]\w*)+|\.(?![\w]))|(?<variable>\$\w*)(?<fields>(?:\.[A-Za-z_]\w*)*)|(?<sign>:=|[()|,])/y;

/** @throws TemplateError */
export function scan(file: string, source: string): Piece[] {
  const pieces: Piece[] = [];
  const lines = lineCounter(source);
  let start = 0;
  let trimNext = false;
  const text = (end: number, trimEnd: boolean): void => {
    const at = { file, line: lines(start) };
    let value = source.slice(start, end);
    if (trimNext) value = value.trimStart();
    if (trimEnd) value = value.trimEnd();
    if (value !== '') pieces.push({ kind: 'text', at, text: value });
  };
  for (;;) {
    OPEN.lastIndex = start;
    const open = OPEN.exec(source);
    if (open === null) {
      text(source.length, false);
      return pieces;
    }
    text(open.index, open[1] !== undefined);
    const at = { file, line: lines(open.index) };
    const comment = match(COMMENT, source, OPEN.lastIndex);
    const end = comment ?? scanAction(file, source, OPEN.lastIndex, lines, at, pieces);
    trimNext = end[1] !== undefined;
    start = end.index + end[0].length;
  }
}

/** Reads words until the action's end, which it returns. */
function scanAction(
  file: string,
  source: string,
  from: number,
  lines: (offset: number) => number,
  at: Position,
  pieces: Piece[],
): RegExpExecArray {
  const words: Word[] = [];
  let offset = from;
  for (;;) {
    const close = match(CLOSE, source, offset);
    if (close !== null) {
      pieces.push({ kind: 'action', at, words });
      return close;
    }
    const space = match(SPACE, source, offset);
    if (space !== null) {
      offset += space[0].length;
      continue;
    }
    const here = { file, line: lines(Math.min(offset, source.length - 1)) };
    const found = match(WORD, source, offset);
    if (found === null) {
      if (offset >= source.length) throw new TemplateError(at, '"{{" without "}}"');
      throw new TemplateError(here, `${JSON.stringify(source.slice(offset, offset + 12))}: not a word of the subset that Weft renders`);
    }
    const word = wordOf(found, here);
    const last = words.at(-1);
    // `(f x).y` and `"a"b`: legal Go here and there, never needed.
    if (last !== undefined && offset > from && !isSign(word) && !isSign(last, ')') && !/\s|\(|,|=|\|/.test(source[offset - 1]))
      throw new TemplateError(here, `a space is missing before ${JSON.stringify(found[0])}`);
    if (isSign(last, ')') && word.kind === 'field' && source[offset - 1] === ')')
      throw new TemplateError(here, 'a field of a parenthesis is not in the subset that Weft renders');
    words.push(word);
    offset += found[0].length;
  }
}

function wordOf(found: RegExpExecArray, at: Position): Word {
  const { string, number, name, field, variable, fields, sign } = found.groups as Record<string, string | undefined>;
  if (string !== undefined) return { at, kind: 'string', value: unquoted(string, at) };
  if (number !== undefined) return { at, kind: 'number', value: BigInt(number) };
  if (name !== undefined) return { at, kind: 'name', value: name };
  if (field !== undefined) return { at, kind: 'field', value: field.slice(1) };
  if (variable !== undefined) return { at, kind: 'variable', value: variable, fields: fields ? fields.slice(1).split('.') : [] };
  return { at, kind: 'sign', value: sign as '(' };
}

/** Go's and JSON's escapes are the same where both have them; the others are not in the subset. */
function unquoted(literal: string, at: Position): string {
  try {
    return JSON.parse(literal);
  } catch {
    throw new TemplateError(at, `${literal}: an escape that is not in the subset that Weft renders`);
  }
}

/** Whether a word is a sign, and which. */
export function isSign(word: Word | undefined, sign?: string): boolean {
  return word?.kind === 'sign' && (sign === undefined || word.value === sign);
}

function match(pattern: RegExp, source: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(source);
}

function lineCounter(source: string): (offset: number) => number {
  const starts = [0];
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    const next = starts.findIndex((start) => start > offset);
    return next === -1 ? starts.length : next;
  };
}
