// One measurement: a proxy, a shape, some seconds of load; CPU from /proc around it.
import { type LoadSettings, runLoad, type Shape } from './load.ts';
import type { Running } from './peers/peer.ts';

export interface Measurement {
  readonly peer: string;
  readonly scenario: 'plain' | 'mtls' | 'pair';
  readonly shape: Shape;
  requests: number;
  requestsPerSecond: number;
  /** CPU µs per request by proxy, client side first. */
  cpuUs: number[];
  p50Ms: number;
  p99Ms: number;
  errors: number;
  /** Resident and anonymous memory after the load, MiB, by proxy. */
  rssMiB: number[];
  anonymousMiB: number[];
}

/** So many requests warm a proxy up and tell how many fit into the time. */
const WARM_UP: Readonly<Record<string, number>> = { '4,50': 20_000, '32,1': 8000, '1,1': 800 };
const MOST_REQUESTS = 2_000_000;

export function shapeName(shape: Shape): string {
  return `${shape.connections},${shape.streams}`;
}

/** Runs one measurement of about so many seconds. */
export async function measure(
  load: Omit<LoadSettings, 'host' | 'port'>,
  running: Running,
  about: Pick<Measurement, 'peer' | 'scenario' | 'shape'>,
  seconds: number,
): Promise<Measurement> {
  const settings = { ...load, host: running.host, port: running.port };
  const warm = await runLoad(settings, about.shape, WARM_UP[shapeName(about.shape)] ?? 2000);
  const requests = Math.min(MOST_REQUESTS, Math.max(500, Math.round(warm.requestsPerSecond * seconds)));
  const before = running.programs.map((program) => program.cpuUs());
  const result = await runLoad(settings, about.shape, requests);
  const cpuUs = running.programs.map((program, i) => (program.cpuUs() - before[i]) / requests);
  const memory = running.programs.map((program) => program.memory());
  return {
    ...about,
    ...result,
    errors: result.errors + warm.errors,
    cpuUs,
    rssMiB: memory.map(({ rssMiB }) => rssMiB),
    anonymousMiB: memory.map(({ anonymousMiB }) => anonymousMiB),
  };
}

/** The rounds of one peer, scenario and shape as one: rates and times averaged, errors added, memory of the last. */
export function combine(rounds: readonly Measurement[]): Measurement {
  const mean = (pick: (m: Measurement) => number): number => rounds.reduce((sum, m) => sum + pick(m), 0) / rounds.length;
  const last = rounds[rounds.length - 1];
  return {
    ...last,
    requests: rounds.reduce((sum, m) => sum + m.requests, 0),
    requestsPerSecond: mean((m) => m.requestsPerSecond),
    cpuUs: last.cpuUs.map((_, i) => mean((m) => m.cpuUs[i])),
    p50Ms: mean((m) => m.p50Ms),
    p99Ms: mean((m) => m.p99Ms),
    errors: rounds.reduce((sum, m) => sum + m.errors, 0),
  };
}
