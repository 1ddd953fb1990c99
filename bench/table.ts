// The results as a person reads them: a table per scenario, with ratios to Envoy of the same run, and one of memory.
// Pure.
import { type Measurement, shapeName } from './measure.ts';
import type { MemoryRow } from './memory.ts';

export const SCENARIO_TITLES = {
  plain: 'One proxy, plaintext to the backend',
  mtls: 'One proxy, mTLS to the backend',
  pair: 'Client-side and server-side proxy, mTLS between them, both on one core (CPU: client + server)',
} as const;

const HEAD = ['c,m', 'proxy', 'requests/s', 'x Envoy', 'CPU µs/request', 'of Envoy', 'core busy', 'p50 ms', 'p99 ms'];
const MEMORY_HEAD = ['scenario', 'proxy', 'idle RSS', 'idle anonymous', 'RSS after', 'anonymous after', 'growth of anonymous'];

export interface Table {
  readonly title: string;
  /** The first row is the head; the second column is text, the others are numbers. */
  readonly rows: readonly (readonly string[])[];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function each(values: readonly number[], digits: number): string {
  return values.map((value) => value.toFixed(digits)).join(' + ');
}

function speedTables(results: readonly Measurement[]): Table[] {
  const scenarios = [...new Set(results.map(({ scenario }) => scenario))];
  return scenarios.map((scenario) => {
    const rows: string[][] = [HEAD];
    for (const result of results.filter((r) => r.scenario === scenario)) {
      const envoy = results.find((r) => r.peer === 'envoy' && r.scenario === scenario && shapeName(r.shape) === shapeName(result.shape));
      const ratio = (value: number, base: number | undefined): string =>
        base === undefined || result.peer === 'envoy' ? '' : (value / base).toFixed(2);
      rows.push([
        shapeName(result.shape),
        result.errors > 0 ? `${result.peer} INVALID: ${result.errors} errors` : result.peer,
        Math.round(result.requestsPerSecond).toLocaleString('en-US'),
        ratio(result.requestsPerSecond, envoy?.requestsPerSecond),
        each(result.cpuUs, 1),
        ratio(sum(result.cpuUs), envoy === undefined ? undefined : sum(envoy.cpuUs)),
        // Well below 100 %, the load and the backends on the other core were the limit, and requests/s say less than
        // CPU per request.
        `${Math.round((result.requestsPerSecond * sum(result.cpuUs)) / 1e4)} %`,
        result.p50Ms.toFixed(2),
        result.p99Ms.toFixed(2),
      ]);
    }
    return { title: SCENARIO_TITLES[scenario], rows };
  });
}

/** One row per program; without the last column when no growth was measured. */
export function memoryTable(memory: readonly MemoryRow[]): Table {
  const rows = memory.map((row) => [
    row.scenario,
    row.program,
    row.idle.rssMiB.toFixed(0),
    row.idle.anonymousMiB.toFixed(1),
    row.afterLoad.rssMiB.toFixed(0),
    row.afterLoad.anonymousMiB.toFixed(1),
    row.growthMiB.map((mib) => mib.toFixed(1)).join(' → '),
  ]);
  const columns = memory.some(({ growthMiB }) => growthMiB.length > 0) ? MEMORY_HEAD.length : MEMORY_HEAD.length - 1;
  return { title: 'Memory, MiB', rows: [MEMORY_HEAD, ...rows].map((row) => row.slice(0, columns)) };
}

/** Speed by scenario, and memory if it was measured. */
export function comparisonTables(results: readonly Measurement[], memory: readonly MemoryRow[]): Table[] {
  return memory.length === 0 ? speedTables(results) : [...speedTables(results), memoryTable(memory)];
}

/** Columns lined up for a terminal; numbers to the right. */
export function asText(tables: readonly Table[]): string {
  return tables
    .map(({ title, rows }) => {
      const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
      const lines = rows.map((row) => row.map((cell, i) => (i === 1 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '));
      return `${title}\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** The same as Markdown. */
export function asMarkdown(tables: readonly Table[]): string {
  return tables
    .map(({ title, rows }) => {
      const [head, ...body] = rows;
      const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
      return `## ${title}\n\n${[line(head), line(head.map((_, i) => (i === 1 ? '---' : '---:'))), ...body.map(line)].join('\n')}\n`;
    })
    .join('\n');
}

/** The comparison for a terminal. */
export function renderText(results: readonly Measurement[], memory: readonly MemoryRow[]): string {
  return asText(comparisonTables(results, memory));
}
