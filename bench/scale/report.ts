// The figures of the scale test as tables, and what follows from them for 5,000 sidecars. Pure.
import type { Table } from '../table.ts';
import type { ChangeFigures, MemoryStep, ReturnFigures, VerdictFigures } from './measures.ts';
import type { ScaleOptions } from './options.ts';

/** As far as the run has come. */
export interface ScaleFigures {
  readonly memory: MemoryStep[];
  readonly changes: ChangeFigures[];
  readonly returns: ReturnFigures[];
  verdicts: VerdictFigures | null;
  /** ms from its start until the control plane was ready, with all objects there. */
  readyMs: number;
  /** Why the run has ended early; '': it has not. */
  problem: string;
}

/** How many sidecars the figures are extrapolated to. */
export const WANTED_SIDECARS = 5000;

/** Least squares. @returns what one sidecar adds, in KiB */
export function slopeKiB(steps: readonly MemoryStep[], of: 'rssMiB' | 'heapMiB'): number {
  const meanX = mean(steps.map(({ sidecars }) => sidecars));
  const meanY = mean(steps.map((step) => step[of]));
  const above = steps.reduce((sum, step) => sum + (step.sidecars - meanX) * (step[of] - meanY), 0);
  const below = steps.reduce((sum, { sidecars }) => sum + (sidecars - meanX) ** 2, 0);
  return below === 0 ? Number.NaN : (above / below) * 1024;
}

export function scaleTables(figures: ScaleFigures, { services, sidecars, idle }: ScaleOptions): Table[] {
  const { memory, changes, returns, verdicts } = figures;
  const rss = slopeKiB(memory, 'rssMiB');
  const last = memory.at(-1);
  if (last === undefined) return [];
  const more = ((WANTED_SIDECARS - last.sidecars) * rss) / 1024;
  const tables: Table[] = [
    {
      title: `Memory of the control plane at ${text(services)} Services, MiB after a collection`,
      rows: [
        ['sidecars', 'of', 'RSS', 'heap', 'RSS at most'],
        ...memory.map((step) => [
          text(step.sidecars),
          'measured',
          step.rssMiB.toFixed(0),
          step.heapMiB.toFixed(0),
          step.peakRssMiB.toFixed(0),
        ]),
        ['each', 'slope, KiB', rss.toFixed(1), slopeKiB(memory, 'heapMiB').toFixed(1), ''],
        [text(WANTED_SIDECARS), 'extrapolated', (last.rssMiB + more).toFixed(0), '', ''],
      ],
    },
    {
      title: `A change, until the last of ${text(sidecars)} sidecars has it`,
      rows: [
        ['', 'change', 'octets each', 'median ms', 'most ms', 'longest block ms'],
        ...changes.map((one, i) => [
          `${i + 1}`,
          one.change,
          one.octetsEach.toFixed(0),
          one.medianMs.toFixed(0),
          one.mostMs.toFixed(0),
          one.longestBlockMs.toFixed(0),
        ]),
      ],
    },
    {
      title: `All ${text(sidecars)} sidecars come back`,
      rows: [
        ['', 'after', 's in all', 's after it was ready', 'longest block ms', 'RSS at most', 'KiB each'],
        ...returns.map((one, i) => [
          `${i + 1}`,
          one.what,
          (one.allMs / 1000).toFixed(1),
          (one.afterReadyMs / 1000).toFixed(1),
          one.longestBlockMs.toFixed(0),
          one.peakRssMiB.toFixed(0),
          (one.octetsEach / 1024).toFixed(1),
        ]),
      ],
    },
  ];
  if (verdicts !== null)
    tables.push({
      title: 'Verdicts on routes',
      rows: [
        ['', 'figure', 'value'],
        [
          '1',
          `all ${text(verdicts.routes)} verdicts after a start, s`,
          verdicts.allMs === null ? 'never' : (verdicts.allMs / 1000).toFixed(1),
        ],
        [
          '2',
          `a verdict after a change while the counts of ${text(verdicts.churning)} routes change, median ms`,
          verdicts.medianMs.toFixed(0),
        ],
        ['3', 'the same, most ms', verdicts.mostMs.toFixed(0)],
        ['4', 'the longest block of the loop meanwhile, ms', verdicts.longestBlockMs.toFixed(0)],
        ...(verdicts.idleWrites === null ? [] : [['5', `status writes in ${idle} s without a change`, `${verdicts.idleWrites}`]]),
      ],
    });
  return tables;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function text(value: number): string {
  return value.toLocaleString('en-US');
}
