// One measurement: a proxy, a shape, some seconds of load; CPU from /proc around it.
import { PROBES, probe, probeBehind, probeHttp1 } from './check.ts';
import { type LoadResult, type LoadSettings, runLoad, type Shape } from './load.ts';
import type { Running, Scenario } from './peers/peer.ts';

export interface Measurement extends LoadResult {
  readonly peer: string;
  readonly scenario: Scenario;
  readonly shape: Shape;
  /** All requests that the proxy got for this figure, with those of proofs and warm-up. */
  readonly sent: number;
  /** CPU µs per request by proxy, client side first. */
  readonly cpuUs: readonly number[];
  /** Resident and anonymous memory after the load, MiB, by proxy. */
  readonly rssMiB: readonly number[];
  readonly anonymousMiB: readonly number[];
}

export interface Length {
  /** Requests of the measured load; 0: as many as fit into `seconds`. */
  readonly requests: number;
  readonly seconds: number;
  /** How long the proxy is warmed up before: long for its first measurement of a shape, short later. */
  readonly warmSeconds: number;
}

/** So many requests tell how fast a proxy is, before anything is measured. */
const SOUNDING: Readonly<Record<string, number>> = { '4,50': 20_000, '32,1': 8000, '1,1': 800, '1,1 realistic': 800 };
const MOST_REQUESTS = 2_000_000;

export function shapeName(shape: Shape): string {
  const size = `${shape.connections},${shape.streams}`;
  return shape.headers === undefined ? size : `${size} ${shape.headers}`;
}

/** Warms a proxy up, then measures it once; whole answers are proved before and after. */
export async function measure(
  load: Omit<LoadSettings, 'host' | 'port'>,
  running: Running,
  about: Pick<Measurement, 'peer' | 'scenario' | 'shape'>,
  length: Length,
): Promise<Measurement> {
  const { host, port } = running;
  const settings = { ...load, host, port };
  const prove = async (): Promise<number> =>
    load.protocol === 'http1'
      ? probeHttp1(host, port, load.path)
      : load.behind === undefined
        ? probe(host, port, load.path, load.body)
        : probeBehind(load.behind, host, port, load.path, load.body);
  let errors = await prove();
  const sounding = await runLoad(settings, about.shape, SOUNDING[shapeName(about.shape)] ?? 2000);
  const within = (seconds: number): number => Math.min(MOST_REQUESTS, Math.max(500, Math.round(sounding.requestsPerSecond * seconds)));
  const warm = await runLoad(settings, about.shape, within(length.warmSeconds));
  const requests = length.requests > 0 ? length.requests : within(length.seconds);
  const before = running.programs.map((program) => program.cpuUs());
  const result = await runLoad(settings, about.shape, requests);
  const cpuUs = running.programs.map((program, i) => (program.cpuUs() - before[i]) / requests);
  errors += await prove();
  const memory = running.programs.map((program) => program.memory());
  return {
    ...about,
    ...result,
    sent: 2 * PROBES + sounding.requests + warm.requests + requests,
    errors: errors + sounding.errors + warm.errors + result.errors,
    cpuUs,
    rssMiB: memory.map(({ rssMiB }) => rssMiB),
    anonymousMiB: memory.map(({ anonymousMiB }) => anonymousMiB),
  };
}

/** The rounds of one peer, scenario and shape as one: medians, errors added, memory of the last. */
export function combine(rounds: readonly Measurement[]): Measurement {
  const middle = (value: (m: Measurement) => number): number => median(rounds.map(value));
  const last = rounds[rounds.length - 1];
  return {
    ...last,
    requests: rounds.reduce((sum, m) => sum + m.requests, 0),
    sent: rounds.reduce((sum, m) => sum + m.sent, 0),
    requestsPerSecond: middle((m) => m.requestsPerSecond),
    cpuUs: last.cpuUs.map((_, i) => middle((m) => m.cpuUs[i])),
    p50Ms: middle((m) => m.p50Ms),
    p99Ms: middle((m) => m.p99Ms),
    errors: rounds.reduce((sum, m) => sum + m.errors, 0),
  };
}

/** @param values at least one */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
