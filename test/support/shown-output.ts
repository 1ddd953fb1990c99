// Whether a command printed what a page shows of it. What differs from run to run counts by its shape: ages, times,
// addresses, the random ends of names, trace ids, percentages, counts of three digits and more, widths of columns. All
// else must be the same, line by line; a line `...` stands for any lines, `…` within a line for any text. Pure.

export type Comparison =
  | { readonly same: true; readonly ids: ReadonlyMap<string, string> }
  | { readonly same: false; readonly why: string };

/** Letters and digits of the ends that Kubernetes gives to names (k8s.io/apimachinery, pkg/util/rand). */
const RANDOM = '[bcdfghjklmnpqrstvwxz2456789]';

/** The first that matches counts. `id`: later commands of the page may name it. */
const SHAPES: readonly { readonly shape: string; readonly id?: true }[] = [
  { shape: '\\d{4}-\\d\\d-\\d\\d[T ]\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z' },
  { shape: `(?<=[a-z0-9])-${RANDOM}{5,10}-${RANDOM}{5}\\b`, id: true },
  { shape: '\\b[0-9a-f]{32}\\b', id: true },
  { shape: '\\b\\d{1,3}(?:\\.\\d{1,3}){3}\\b' },
  { shape: '\\b(?:\\d+(?:\\.\\d+)? ?(?:ms|µs|s|m|h|d|days?|hours?|minutes?|seconds?))+\\b' },
  { shape: '\\d+(?:\\.\\d+)? ?%' },
  { shape: '(?<![:\\d.])\\b\\d{3,}(?:\\.\\d+)?\\b' },
  { shape: '[█-▏]+' },
];
const VARIES = new RegExp(SHAPES.map(({ shape }) => `(${shape})`).join('|'), 'g');
const ANY_LINES = /^\s*(?:\.\.\.|…)\s*$/;

interface LinePattern {
  readonly expression: RegExp;
  /** Of each group of the expression, the id that the page shows. */
  readonly ids: readonly string[];
}

/** @param output what the command printed */
export function compareShown(shown: readonly string[], output: string): Comparison {
  const printed = output.split('\n').map((line) => line.trimEnd());
  while (printed.at(-1) === '') printed.pop();
  const ids = new Map<string, string>();
  const why = follow(shown, 0, printed, 0, ids);
  return why === undefined ? { same: true, ids } : { same: false, why };
}

/** A page's command with the ids that this run had instead of those that the page shows. */
export function withIdsOf(command: string, ids: ReadonlyMap<string, string>): string {
  return [...ids].reduce((text, [shown, printed]) => text.replaceAll(shown, printed), command);
}

/** @returns undefined when the lines from there on are the same, else the first difference */
function follow(
  shown: readonly string[],
  from: number,
  printed: readonly string[],
  at: number,
  ids: Map<string, string>,
): string | undefined {
  for (let index = from; index < shown.length; index++, at++) {
    if (ANY_LINES.test(shown[index])) {
      // The rest may begin anywhere.
      let why: string | undefined;
      for (let start = at; start <= printed.length; start++) {
        why = follow(shown, index + 1, printed, start, ids);
        if (why === undefined) return undefined;
      }
      const next = shown[index + 1];
      return printed.some((line) => next !== undefined && patternOf(next).expression.test(line)) ? why : `no line is like "${next}"`;
    }
    if (at >= printed.length) return `the output ends before "${shown[index]}"`;
    const { expression, ids: names } = patternOf(shown[index]);
    const match = expression.exec(printed[at]);
    if (match === null) return `shown is "${shown[index]}", printed "${printed[at]}"`;
    names.forEach((name, group) => {
      ids.set(name, match[group + 1]);
    });
  }
  // A page that ends with `...` has returned above.
  return at < printed.length && !ANY_LINES.test(shown.at(-1) ?? '...') ? `printed is more: "${printed[at]}"` : undefined;
}

function patternOf(shown: string): LinePattern {
  const ids: string[] = [];
  let expression = '';
  let end = 0;
  for (const match of shown.matchAll(VARIES)) {
    const { shape, id } = SHAPES[match.slice(1).findIndex((group) => group !== undefined)];
    expression += literal(shown.slice(end, match.index)) + (id ? `(${shape})` : `(?:${shape})`);
    if (id) ids.push(match[0]);
    end = match.index + match[0].length;
  }
  return { expression: new RegExp(`^${expression}${literal(shown.slice(end))}\\s*$`), ids };
}

/** Text that must be the same, but for the widths of its spaces; `…` stands for any. */
function literal(text: string): string {
  return text
    .trimEnd()
    .split(/(\s+|…)/)
    .map((part) => {
      if (part === '…') return '.*?';
      return /^\s/.test(part) ? '\\s+' : part.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
    })
    .join('')
    .concat(/\s$/.test(text) ? '\\s*' : '');
}
