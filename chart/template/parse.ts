// Parses the subset of Go's templates that the chart uses. Anything else is an error with file and line, never another
// meaning.
import { isSign, type Piece, scan, type Word } from './scan.ts';
import { type ChartTemplate, type Expression, type Node, type Position, TemplateError } from './syntax.ts';

const BLOCKS = new Set(['if', 'with', 'range', 'define']);
const NOT_HAD = new Set(['template', 'block', 'break', 'continue', 'nil']);
/** Parentheses within parentheses. */
const MAX_DEPTH = 32;

/** @throws TemplateError */
export function parseTemplate(file: string, source: string): ChartTemplate {
  const pieces = scan(file, source);
  const reader = new Reader(pieces, { file, line: 1 });
  const body = reader.nodes(false);
  reader.expectEnd();
  return { body, defined: reader.defined };
}

/** How a list of nodes ended: by `{{ end }}`, by `{{ else … }}`, or with the file. */
type Ending =
  | { readonly kind: 'end' }
  | { readonly kind: 'file' }
  | { readonly kind: 'else'; readonly at: Position; readonly words: readonly Word[] };

class Reader {
  readonly defined = new Map<string, readonly Node[]>();
  private next = 0;
  private ending: Ending = { kind: 'file' };
  private readonly pieces: readonly Piece[];
  private readonly start: Position;

  constructor(pieces: readonly Piece[], start: Position) {
    this.pieces = pieces;
    this.start = start;
  }

  /** Nodes up to an `end` or `else`, which is kept in `ending`. */
  nodes(inBlock: boolean): Node[] {
    const nodes: Node[] = [];
    while (this.next < this.pieces.length) {
      const piece = this.pieces[this.next++];
      if (piece.kind === 'text') {
        nodes.push(piece);
        continue;
      }
      const { at, words } = piece;
      const first = words[0]?.kind === 'name' ? words[0].value : '';
      if (first === 'end' || first === 'else') {
        if (!inBlock) throw new TemplateError(at, `{{ ${first} }} without a block`);
        if (first === 'end' && words.length > 1) throw new TemplateError(at, 'words after "end"');
        this.ending = first === 'end' ? { kind: 'end' } : { kind: 'else', at, words: words.slice(1) };
        return nodes;
      }
      if (first === 'define') this.define(at, words, inBlock);
      else if (BLOCKS.has(first)) nodes.push(this.block(at, words));
      else nodes.push(statement(at, words));
    }
    this.ending = { kind: 'file' };
    return nodes;
  }

  expectEnd(): void {
    if (this.ending.kind !== 'file') throw new TemplateError(this.start, 'more was closed than was opened');
  }

  private define(at: Position, words: readonly Word[], inBlock: boolean): void {
    const name = words[1];
    if (inBlock || words.length !== 2 || name.kind !== 'string') throw new TemplateError(at, 'define takes one name, outside of blocks');
    if (this.defined.has(name.value)) throw new TemplateError(at, `${name.value} is defined twice`);
    const body = this.nodes(true);
    if (this.ending.kind !== 'end') throw new TemplateError(at, 'define has no end, or an else');
    this.defined.set(name.value, body);
  }

  private block(at: Position, words: readonly Word[]): Node {
    const kind = (words[0] as Word & { kind: 'name' }).value;
    const { variables, rest } = kind === 'range' ? rangeVariables(words.slice(1)) : { variables: [], rest: words.slice(1) };
    const value = expression(at, rest);
    const body = this.nodes(true);
    const otherwise = this.otherwise(at, kind);
    if (kind === 'if') return { at, kind, condition: value, body, otherwise };
    if (kind === 'with') return { at, kind, value, body, otherwise };
    const [key, item] = variables.length === 2 ? variables : [undefined, variables[0]];
    return { at, kind: 'range', key, item, value, body, otherwise };
  }

  /** What follows `{{ else }}`; `{{ else if … }}` is an if of its own that shares the end. */
  private otherwise(at: Position, kind: string): Node[] {
    const { ending } = this;
    if (ending.kind === 'end') return [];
    if (ending.kind !== 'else') throw new TemplateError(at, `${kind} has no end`);
    if (ending.words.length > 0) {
      if (kind !== 'if' || ending.words[0].kind !== 'name' || ending.words[0].value !== 'if')
        throw new TemplateError(ending.at, 'after else: nothing, or "if" in an if');
      return [this.block(ending.at, ending.words)];
    }
    const nodes = this.nodes(true);
    if (this.ending.kind !== 'end') throw new TemplateError(at, `${kind} has no end, or two else`);
    return nodes;
  }
}

function statement(at: Position, words: readonly Word[]): Node {
  const [first, second] = words;
  if (first?.kind === 'variable' && isSign(second, ':=')) {
    if (first.fields.length > 0 || first.value === '$') throw new TemplateError(at, `${first.value} cannot be declared`);
    return { at, kind: 'let', variable: first.value, value: expression(at, words.slice(2)) };
  }
  return { at, kind: 'print', value: expression(at, words) };
}

/** `$x :=` or `$k, $x :=` before what is ranged over. */
function rangeVariables(words: readonly Word[]): { variables: string[]; rest: readonly Word[] } {
  const sign = words.findIndex((word) => isSign(word, ':='));
  if (sign === -1) return { variables: [], rest: words };
  const names = words.slice(0, sign).filter((_, i) => i % 2 === 0);
  const commas = words.slice(0, sign).filter((_, i) => i % 2 === 1);
  const plain = names.every((word) => word.kind === 'variable' && word.fields.length === 0 && word.value !== '$');
  if (!plain || names.length === 0 || names.length > 2 || commas.length !== names.length - 1 || !commas.every((word) => isSign(word, ',')))
    throw new TemplateError(words[0].at, 'range takes "$item :=" or "$key, $item :="');
  return { variables: names.map((word) => word.value as string), rest: words.slice(sign + 1) };
}

/** A pipeline: `a | f x` is `f x a`. */
function expression(at: Position, words: readonly Word[], depth = 0): Expression {
  if (depth > MAX_DEPTH) throw new TemplateError(at, 'too many parentheses');
  let value: Expression | undefined;
  for (const command of splitAtPipes(words)) {
    if (command.length === 0) throw new TemplateError(at, words.length === 0 ? 'a value is missing' : 'nothing before or after "|"');
    const [first] = command;
    const terms = termsOf(command, depth);
    if (first.kind === 'name' && !['true', 'false'].includes(first.value)) {
      if (NOT_HAD.has(first.value) || BLOCKS.has(first.value))
        throw new TemplateError(first.at, `"${first.value}" is not in the subset that Weft renders here`);
      value = { at: first.at, kind: 'call', name: first.value, args: value === undefined ? terms : [...terms, value] };
    } else {
      if (terms.length !== 1 || value !== undefined) throw new TemplateError(first.at, 'a value is not a function and takes nothing');
      value = terms[0];
    }
  }
  if (value === undefined) throw new TemplateError(at, 'a value is missing');
  return value;
}

/** Splits at the pipes that are not in parentheses. */
function splitAtPipes(words: readonly Word[]): Word[][] {
  const commands: Word[][] = [[]];
  let depth = 0;
  for (const word of words) {
    if (isSign(word, '(')) depth++;
    if (isSign(word, ')')) depth--;
    if (depth === 0 && isSign(word, '|')) commands.push([]);
    else commands[commands.length - 1].push(word);
  }
  return commands;
}

/** The arguments of a command, or its only value. A leading function name is left out. */
function termsOf(command: readonly Word[], depth: number): Expression[] {
  const terms: Expression[] = [];
  for (let i = 0; i < command.length; i++) {
    const word = command[i];
    if (isSign(word, '(')) {
      const end = closing(command, i);
      terms.push(expression(word.at, command.slice(i + 1, end), depth + 1));
      i = end;
    } else if (word.kind === 'name' && !['true', 'false'].includes(word.value)) {
      if (i > 0) throw new TemplateError(word.at, `${word.value}: a function among arguments needs parentheses`);
    } else terms.push(termOf(word));
  }
  return terms;
}

function closing(words: readonly Word[], open: number): number {
  let depth = 0;
  for (let i = open; i < words.length; i++) {
    if (isSign(words[i], '(')) depth++;
    if (isSign(words[i], ')') && --depth === 0) return i;
  }
  throw new TemplateError(words[open].at, '"(" without ")"');
}

function termOf(word: Word): Expression {
  const { at } = word;
  switch (word.kind) {
    case 'string':
    case 'number':
      return { at, kind: 'literal', value: word.value };
    case 'name':
      return { at, kind: 'literal', value: word.value === 'true' };
    case 'field':
      return { at, kind: 'path', of: 'dot', fields: word.value === '' ? [] : word.value.split('.') };
    case 'variable':
      return { at, kind: 'path', of: { variable: word.value }, fields: word.fields };
    case 'sign':
      throw new TemplateError(at, `"${word.value}" does not belong here`);
  }
}
