// Memory of proxies: idle, after all loads, and over a million more requests.
import { type LoadSettings, runLoad } from './load.ts';
import type { Running } from './peers/peer.ts';
import type { Memory } from './processes.ts';
import { sleep } from './processes.ts';

/** Memory of one program of a peer, in MiB. */
export interface MemoryRow {
  readonly peer: string;
  readonly scenario: string;
  readonly program: string;
  readonly idle: Memory;
  afterLoad: Memory;
  /** Anonymous memory after each fifth of the growth measure; the first entry is before it. Empty: not measured. */
  growthMiB: readonly number[];
}

/** A start leaves garbage behind; after this many ms a proxy is idle. */
const SETTLE_MS = 3000;
const GROWTH_STEPS = 5;
/** Buffers, connections and code are there after so many requests. */
const BEFORE_GROWTH = 100_000;

/** The rows of all programs as they stand before the first request. */
export async function idleRows(running: readonly { peer: string; scenario: string; proxy: Running }[]): Promise<MemoryRow[]> {
  await sleep(SETTLE_MS);
  return running.flatMap(({ peer, scenario, proxy }) =>
    proxy.programs.map((program) => {
      const idle = program.memory();
      return { peer, scenario, program: program.name, idle, afterLoad: idle, growthMiB: [] };
    }),
  );
}

/**
 * Anonymous memory per program, in MiB, before and after each fifth of so many requests, 4 connections of 50 streams.
 */
export async function measureGrowth(
  load: Omit<LoadSettings, 'host' | 'port'>,
  proxy: Running,
  requests: number,
): Promise<{ growthMiB: number[][]; errors: number }> {
  const settings = { ...load, host: proxy.host, port: proxy.port };
  const shape = { connections: 4, streams: 50 };
  const growthMiB: number[][] = proxy.programs.map(() => []);
  const sample = (): void => {
    proxy.programs.forEach((program, i) => {
      growthMiB[i].push(program.memory().anonymousMiB);
    });
  };
  let { errors } = await runLoad(settings, shape, BEFORE_GROWTH);
  sample();
  for (let step = 0; step < GROWTH_STEPS; step++) {
    errors += (await runLoad(settings, shape, Math.ceil(requests / GROWTH_STEPS))).errors;
    sample();
  }
  return { growthMiB, errors };
}
