// What failed, short enough that the end of a log says it: out of what a test runner, a compiler or a linter printed.
import { stripVTControlCharacters } from 'node:util';

/** Of one failure; a stack's first lines say where, the rest is the runner's own. */
const MOST_LINES_EACH = 25;
/** Of all failures together. */
const MOST_LINES = 200;
const LONGEST_LINE = 300;

/**
 * @typedef {{ name: string, lines: string[] }} Failure
 * @param {string} output what mocha's spec reporter printed
 * @returns {Failure[]} one for each test or hook of its closing list: titles joined with ›, then message and stack
 */
export function failuresOf(output) {
  const lines = linesOf(output);
  const from = lines.findLastIndex((line) => /^\s*\d+ failing$/.test(line));
  if (from < 0) return [];
  const failures = [];
  for (const line of lines.slice(from + 1)) {
    const numbered = /^ {1,4}(\d+)\) (.*)$/.exec(line);
    // A message may have numbered lines too: the list's own count on.
    if (numbered && Number(numbered[1]) === failures.length + 1) failures.push({ titles: [numbered[2]], lines: null });
    else if (failures.length === 0) continue;
    else if (failures.at(-1).lines) failures.at(-1).lines.push(line);
    else if (line !== '') failures.at(-1).titles.push(line.trim());
    // The titles end with a colon; an empty line follows only if there is a comparison.
    const last = failures.at(-1);
    if (!last.lines && (line === '' || line.endsWith(':'))) last.lines = [];
  }
  return failures.map(({ titles, lines }) => ({ name: titles.join(' › ').replace(/:$/, ''), lines: (lines ?? []).filter(Boolean) }));
}

/**
 * @param {string} name
 * @param {string} output
 * @returns {Failure} a tool that has no list of failures: the first lines of what it printed
 */
export function startOf(name, output) {
  return { name, lines: linesOf(output).filter(Boolean) };
}

/**
 * @param {string} name
 * @param {string} output
 * @returns {Failure} a program that broke off: the last lines of what it printed
 */
export function endOf(name, output) {
  return { name, lines: linesOf(output).filter(Boolean).slice(-MOST_LINES_EACH) };
}

/**
 * @param {Failure[]} failures
 * @returns {string} at most about 200 lines of 300 characters, with a line break at the end; '' if nothing failed.
 *   Every name is said as long as there is room, before any failure gets more than its share of lines
 */
export function failureReport(failures) {
  if (failures.length === 0) return '';
  const named = failures.slice(0, MOST_LINES / 2);
  const each = Math.min(MOST_LINES_EACH, Math.floor(MOST_LINES / named.length) - 1);
  const said = ['what failed:'];
  for (const { name, lines } of named) {
    said.push(`  ${name}`);
    for (const line of lines.slice(0, each)) said.push(`    ${line.replace(/^ {1,6}/, '')}`);
    if (lines.length > each) said[said.length - 1] += ` … and ${lines.length - each} more lines`;
  }
  if (failures.length > named.length) said.push(`  and ${failures.length - named.length} more`);
  return `${said.map((line) => line.slice(0, LONGEST_LINE)).join('\n')}\n`;
}

function linesOf(output) {
  return stripVTControlCharacters(output)
    .split('\n')
    .map((line) => line.trimEnd());
}
