// A finished benchmark as files: all figures as JSON under its date, and the tables of the newest as Markdown.
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Measurement } from './measure.ts';
import type { MemoryRow } from './memory.ts';
import type { Options } from './options.ts';
import { renderMarkdown } from './table.ts';

export interface Outcome {
  readonly options: Options;
  /** Peer → version. */
  readonly versions: Readonly<Record<string, string>>;
  readonly results: readonly Measurement[];
  readonly memory: readonly MemoryRow[];
  /** What is missing, and why. */
  readonly notes: readonly string[];
}

/** Writes results/<date>.json and results/latest.md. @returns the JSON file, from the working directory */
export function saveOutcome(outcome: Outcome, now: Date): string {
  const directory = path.join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const name = `${now.toISOString().slice(0, 16).replace(/[-:]/g, '').replace('T', '-')}.json`;
  const machine = {
    cpu: os.cpus()[0]?.model ?? '?',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
  };
  writeFileSync(path.join(directory, name), `${JSON.stringify({ at: now.toISOString(), machine, ...outcome }, null, 1)}\n`);
  const { options, versions, results, memory, notes } = outcome;
  const programs = Object.entries(versions).map(([peer, version]) => `${peer} ${version}`);
  const head = [
    '# The newest benchmark',
    '',
    `${now.toISOString().slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; ${programs.join(', ')}.`,
    `Medians of ${options.rounds} rounds of ${options.requests > 0 ? `${options.requests} requests` : `${options.seconds} s`}, proxies taking turns; all figures: ${name}.`,
    'c,m: connections, streams at once on each. Proxies share core 0, load and backends core 1: where core 0 is not busy, core 1 was the limit.',
    '',
    '',
  ].join('\n');
  const tail = notes.map((note) => `\n- ${note}`).join('');
  writeFileSync(path.join(directory, 'latest.md'), `${head}${renderMarkdown(results, memory)}${tail}${tail === '' ? '' : '\n'}`);
  return path.relative(process.cwd(), path.join(directory, name));
}
