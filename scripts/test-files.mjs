// Which test files mocha runs: those that the command line names, else those of the configuration. mocha itself would
// run both.
import { readFileSync, statSync } from 'node:fs';

// Settings for many files: one that is named alone is to show its tests as they end.
const FOR_ALL = ['spec', 'parallel', 'jobs'];

// Options of mocha that take a word after them, of those that people type.
const WITH_VALUE = new Set([
  '-g',
  '--grep',
  '-f',
  '--fgrep',
  '-R',
  '--reporter',
  '-t',
  '--timeout',
  '-s',
  '--slow',
  '-j',
  '--jobs',
  '--retries',
]);

/**
 * @param {string} configFile mocha's configuration, JSON
 * @param {readonly string[]} args what follows `npm test --`
 * @returns {{ named: boolean, words: string[] }} whether files are named, and the arguments for mocha
 */
export function mochaArguments(configFile, args) {
  let named = false;
  const words = args.map((word, i) => {
    const found = statSync(word, { throwIfNoEntry: false });
    if (word.startsWith('-') || WITH_VALUE.has(args[i - 1]) || (!found && !word.includes('*'))) return word;
    named = true;
    // Of a folder the tests alone: what they share is no test, and some of it is a program.
    return found?.isDirectory() ? `${word.replace(/\/$/, '')}/**/*.{test,cluster}.ts` : word;
  });
  if (!named) return { named, words: ['--config', configFile, ...args] };
  const settings = Object.entries(JSON.parse(readFileSync(configFile, 'utf8'))).filter(([name]) => !FOR_ALL.includes(name));
  const options = settings.flatMap(([name, value]) =>
    typeof value === 'boolean' ? (value ? [`--${name}`] : []) : [value].flat().map((one) => `--${name}=${one}`),
  );
  return { named, words: ['--no-config', ...options, ...words] };
}
