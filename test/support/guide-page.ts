// What a page says to type: its console blocks as commands with the output that it shows, and what invisible comments
// say of a block. Pure.

/** A page that cannot be read so; the message names its line. */
export class PageError extends Error {}

export interface Step {
  /** Of the command, from 1. */
  readonly line: number;
  /** One or more lines of bash. */
  readonly command: string;
  /** The lines of output that the page shows; none: it shows nothing. */
  readonly shown: readonly string[];
  /** As the page has it, 0 where it says nothing. */
  readonly exitCode: number;
}

export interface Block {
  /** Of its fence, from 1. */
  readonly line: number;
  readonly steps: readonly Step[];
  /** Why it is not run; undefined: it is. */
  readonly notRun: string | undefined;
  /** It is a beginning of its own, on a cluster that has no Weft. */
  readonly beginsWithoutWeft: boolean;
}

/** A file that the page has in full: a YAML block that begins with the comment `# name.yaml`. */
export interface PageFile {
  readonly line: number;
  readonly name: string;
  readonly text: string;
}

export interface Page {
  readonly blocks: readonly Block[];
  readonly files: readonly PageFile[];
}

interface Fence {
  readonly line: number;
  readonly language: string;
  readonly lines: readonly string[];
  /** The invisible comments directly above. */
  readonly comments: readonly string[];
}

const SCRIPTS: ReadonlySet<string> = new Set(['sh', 'bash', 'shell']);

/** Reads a page. @throws PageError for a comment above a block that means nothing */
export function pageOf(markdown: string): Page {
  const fences = fencesOf(markdown);
  const blocks = fences.filter(({ language }) => language === 'console' || SCRIPTS.has(language)).map(blockOf);
  const files = fences.filter(({ language }) => language === 'yaml').flatMap(fileOf);
  return { blocks, files };
}

function fencesOf(markdown: string): Fence[] {
  const lines = markdown.split('\n');
  const fences: Fence[] = [];
  let comments: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, comment] = /^\s*<!--\s*(.*?)\s*-->\s*$/.exec(lines[at]) ?? [];
    const [, indent, language] = /^(\s*)```(\S*)/.exec(lines[at]) ?? [];
    if (comment !== undefined) comments.push(comment);
    else if (indent !== undefined) {
      const end = lines.findIndex((line, index) => index > at && line.trim() === '```');
      if (end < 0) throw new PageError(`line ${at + 1}: the block has no end`);
      const body = lines.slice(at + 1, end).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
      fences.push({ line: at + 1, language, lines: body, comments });
      comments = [];
      at = end;
    } else if (lines[at].trim() !== '') comments = [];
  }
  return fences;
}

function blockOf({ line, language, lines, comments }: Fence): Block {
  const steps = SCRIPTS.has(language) ? scriptSteps(lines, line) : consoleSteps(lines, line);
  const exits = new Map<string, number>();
  let notRun: string | undefined;
  let beginsWithoutWeft = false;
  for (const comment of comments) {
    const [, reason] = /^not run: (\S.*)$/.exec(comment) ?? [];
    const [, code, command] = /^exits (\d+): (\S.*)$/.exec(comment) ?? [];
    if (reason !== undefined) notRun = reason;
    else if (comment === 'begins without Weft') beginsWithoutWeft = true;
    else if (command !== undefined && steps.some((step) => step.command === command)) exits.set(command, Number(code));
    else if (command !== undefined)
      throw new PageError(`line ${line}: the block has no command "${command}", which the comment above names`);
    else
      throw new PageError(
        `line ${line}: "${comment}" above a block is none of "not run: REASON", "exits CODE: COMMAND", "begins without Weft"`,
      );
  }
  return { line, notRun, beginsWithoutWeft, steps: steps.map((step) => ({ ...step, exitCode: exits.get(step.command) ?? 0 })) };
}

type Typed = Omit<Step, 'exitCode'>;

/** `$ ` begins a command, what follows it is output. */
function consoleSteps(lines: readonly string[], fence: number): Typed[] {
  const steps: Typed[] = [];
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].startsWith('$ ')) throw new PageError(`line ${fence + 1 + at}: output without a command before it`);
    const line = fence + 1 + at;
    const [command, after] = commandAt(lines, at, lines[at].slice(2));
    const next = lines.findIndex((text, index) => index >= after && text.startsWith('$ '));
    at = next < 0 ? lines.length : next;
    const shown = lines.slice(after, at);
    while (shown.at(-1)?.trim() === '') shown.pop();
    steps.push({ line, command, shown });
  }
  return steps;
}

/** Every line is a command. */
function scriptSteps(lines: readonly string[], fence: number): Typed[] {
  const steps: Typed[] = [];
  for (let at = 0; at < lines.length; ) {
    const line = fence + 1 + at;
    const [command, after] = commandAt(lines, at, lines[at]);
    if (command.trim() !== '' && !command.startsWith('#')) steps.push({ line, command, shown: [] });
    at = after;
  }
  return steps;
}

/**
 * The command that begins at a line: further lines belong to it after a backslash, behind the prompt `> `, and up to
 * the end of a here-document.
 * @returns the command, and the index of the line after it
 */
function commandAt(lines: readonly string[], at: number, first: string): [string, number] {
  const command = [first];
  const [, until] = /<<-?\s*['"]?(\w+)['"]?/.exec(first) ?? [];
  let next = at + 1;
  const take = (text: string) => {
    command.push(text);
    next++;
  };
  if (until === undefined) {
    while (next < lines.length && (command.at(-1)!.endsWith('\\') || lines[next].startsWith('> '))) take(lines[next].replace(/^> /, ''));
  } else {
    while (next < lines.length && command.at(-1) !== until) take(lines[next].replace(/^> /, ''));
  }
  return [command.join('\n'), next];
}

function fileOf({ line, lines }: Fence): PageFile[] {
  const [, name] = /^# ([\w.-]+\.ya?ml)$/.exec(lines[0] ?? '') ?? [];
  return name === undefined ? [] : [{ line, name, text: `${lines.join('\n')}\n` }];
}
