// Lays checks out for people: by category, what is wrong with its objects and its hint below it. Pure.

import type { Style } from '../print/style.ts';
import { harmless } from '../print/words.ts';
import { CATEGORIES, type Check, type State } from './check.ts';

const WIDTH = 9;
const INDENT = ' '.repeat(WIDTH + 2);

/** The checks as lines without line ends; the last one counts. */
export function layOutChecks(checks: readonly Check[], style: Style): string[] {
  const lines: string[] = [];
  for (const category of CATEGORIES) {
    const own = checks.filter((check) => check.category === category);
    if (own.length === 0) continue;
    lines.push(style.bold(category), ...own.flatMap((check) => checkLines(check, style)), '');
  }
  return [...lines, summaryOf(checks, style)];
}

function checkLines({ state, text, details, hint }: Check, style: Style): string[] {
  return [
    `  ${paint(state, state.padEnd(WIDTH), style)}${oneLine(text)}`,
    ...details.map((detail) => `${INDENT}${style.dim(oneLine(detail))}`),
    ...(hint === '' ? [] : [`${INDENT}${style.accent('→')} ${oneLine(hint)}`]),
  ];
}

function paint(state: State, text: string, style: Style): string {
  switch (state) {
    case 'ok':
      return style.good(text);
    case 'skipped':
      return style.dim(text);
    default:
      return style.bad(text);
  }
}

/** "14 ok, 1 warning, 2 failed". */
export function summaryOf(checks: readonly Check[], style: Style): string {
  const count = (state: State) => checks.filter((check) => check.state === state).length;
  const parts = [`${count('ok')} ok`];
  const warnings = count('warning');
  if (warnings > 0) parts.push(`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`);
  if (count('skipped') > 0) parts.push(`${count('skipped')} skipped`);
  const failed = count('failed');
  parts.push(failed > 0 ? style.bad(`${failed} failed`) : style.good('0 failed'));
  return parts.join(', ');
}

// Messages come from objects that any user may have written.
function oneLine(text: string): string {
  return harmless(text).replace(/\s*\n\s*/g, ' ');
}
