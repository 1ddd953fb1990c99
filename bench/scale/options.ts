// What a person may ask of the scale test. Pure.
import { parseArgs } from 'node:util';

export const SCALE_USAGE =
  'npm run test:scale -- [--services 10000] [--sidecars 1000] [--routes 2000] [--churning 700] [--wants 20] [--changes 10] [--heap 512] [--idle 10] [--keep]';

export interface ScaleOptions {
  /** Each with 10 endpoints, and a pod for each endpoint. */
  readonly services: number;
  /** Connected at once. */
  readonly sidecars: number;
  readonly routes: number;
  /** Routes whose counts change each second while a verdict is awaited. */
  readonly churning: number;
  /** Services that each sidecar wants besides the one that all do. */
  readonly wants: number;
  /** Of each kind. */
  readonly changes: number;
  /** MiB of the control plane's heap, as Node chooses them in a container of 1 GiB. */
  readonly heap: number;
  /** Seconds without a change, in which no status may be written; 0: they are not waited for. */
  readonly idle: number;
  /** The results are kept in bench/results. */
  readonly keep: boolean;
}

/** @returns the options, or what is wrong with the arguments */
export function readScaleOptions(args: readonly string[]): ScaleOptions | { problem: string } {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        services: text,
        sidecars: text,
        routes: text,
        churning: text,
        wants: text,
        changes: text,
        heap: text,
        idle: text,
        keep: { type: 'boolean' },
      },
    });
    const number = (name: Exclude<keyof typeof values, 'keep'>, otherwise: number, least: number, most: number): number => {
      const value = Number(values[name] ?? otherwise);
      if (!Number.isInteger(value) || value < least || value > most)
        throw new Error(`--${name} must be a number from ${least} to ${most}, not "${values[name]}"`);
      return value;
    };
    const services = number('services', 10_000, 10, 20_000);
    const routes = number('routes', Math.min(2000, services), 1, services);
    return {
      services,
      sidecars: number('sidecars', 1000, 4, 10_000),
      routes,
      churning: number('churning', Math.min(700, routes), 1, routes),
      wants: number('wants', Math.min(20, services), 0, services),
      changes: number('changes', 10, 1, 1000),
      heap: number('heap', 512, 64, 16_384),
      idle: number('idle', 10, 0, 3600),
      keep: values.keep ?? false,
    };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
