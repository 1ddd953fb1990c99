// What the measurements share: a namespace of their own while they run, figures of a series, one line of results.
import type { Memory } from '../../../bench/processes.ts';
import { type Objects, openObjects } from '../support/objects.ts';

/** Runs a measurement in fresh namespaces and takes them away again. */
export async function measure(
  namespaces: Record<string, Record<string, string>>,
  work: (objects: Objects) => Promise<void>,
): Promise<void> {
  const objects = await openObjects();
  await objects.freshNamespaces(namespaces);
  try {
    await work(objects);
  } finally {
    await objects.dropNamespaces(...Object.keys(namespaces));
  }
}

/** @param share 0.5: the median. Of an empty series: NaN */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function mebibytes({ rssMiB, anonymousMiB }: Memory): string {
  return `RSS ${rssMiB.toFixed(1)} MiB, anonymous ${anonymousMiB.toFixed(1)} MiB`;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
