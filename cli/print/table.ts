// Columns of text, as wide as their widest cell. Pure.

import type { Style } from './style.ts';
import { harmless, pad } from './words.ts';

/** Between columns, as kubectl has it. */
const GAP = '   ';

/** A row's cells; one that needs attention is marked. */
export type Cell = string | { readonly text: string; readonly bad: boolean };

/** One line without anything that steers a terminal, colours neither: they are the table's own. */
function plain(text: string): string {
  return harmless(text)
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\u001b\[[0-9;]*m|\p{C}/gu, '');
}

/**
 * The table's lines, its titles first. Names come from objects that any user may have written: control characters are
 * dropped.
 */
export function tableLines(titles: readonly string[], rows: readonly (readonly Cell[])[], style: Style): string[] {
  const texts = rows.map((row) => row.map((cell) => plain(typeof cell === 'string' ? cell : cell.text)));
  const widths = titles.map((title, column) => Math.max(title.length, ...texts.map((row) => [...row[column]].length)));
  const line = (cells: readonly string[], paint: (column: number, text: string) => string): string =>
    cells
      // The last column is not filled up: no spaces at the line's end.
      .map((text, column) => paint(column, column === cells.length - 1 ? text : pad(text, widths[column])))
      .join(GAP)
      .trimEnd();
  return [
    style.dim(line(titles, (_, text) => text)),
    ...texts.map((row, i) =>
      line(row, (column, text) => {
        const cell = rows[i][column];
        return typeof cell !== 'string' && cell.bad ? style.bad(text) : text;
      }),
    ),
  ];
}
