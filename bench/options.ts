// What a person may ask of the benchmark. Pure.
import { parseArgs } from 'node:util';

export const USAGE =
  'npm run bench -- [--telemetry | --open-loop | --http1 | --tcp] [--quick] [--only weft,envoy,…] [--shape 4,50] [--shape "4,50 realistic"] [--scenario plain,mtls,pair] [--seconds 4] [--rounds 3] [--requests n] [--growth n]';

/** The telemetry run measures one shape and two scenarios, unless asked for others. */
const TELEMETRY_SHAPES = ['4,50'];
const TELEMETRY_SCENARIOS = ['mtls', 'pair'];
/** Its differences are small: more rounds than the comparison of proxies. */
const TELEMETRY_ROUNDS = '5';

export interface Options {
  /** What tracing and metrics cost, instead of the comparison of proxies. */
  readonly telemetry: boolean;
  /** Latency at steady rates, instead of the comparison of proxies. */
  readonly openLoop: boolean;
  /** The comparison of proxies, with requests of HTTP/1.1. */
  readonly http1: boolean;
  /** Throughput of connections that pass as TCP, instead of the comparison of proxies. */
  readonly tcp: boolean;
  readonly only: readonly string[];
  readonly shapes: readonly string[];
  readonly scenarios: readonly string[];
  /** Length of one measurement; `requests` is stronger. */
  readonly seconds: number;
  readonly rounds: number;
  /** Requests of one measurement; 0: as many as fit into `seconds`. */
  readonly requests: number;
  /** Requests of the memory growth measure of Weft; 0: none. */
  readonly growth: number;
}

/** @returns the options, or what is wrong with the arguments */
export function readOptions(
  args: readonly string[],
  known: { readonly peers: readonly string[]; readonly shapes: readonly string[]; readonly scenarios: readonly string[] },
): Options | { problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        telemetry: { type: 'boolean', default: false },
        'open-loop': { type: 'boolean', default: false },
        http1: { type: 'boolean', default: false },
        tcp: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        shape: { type: 'string', multiple: true },
        scenario: { type: 'string' },
        seconds: { type: 'string' },
        rounds: { type: 'string' },
        requests: { type: 'string' },
        growth: { type: 'string' },
      },
    });
    const { telemetry, http1, tcp } = values;
    const openLoop = values['open-loop'];
    if ([telemetry, openLoop, http1, tcp].filter(Boolean).length > 1)
      throw new Error('--telemetry, --open-loop, --http1 and --tcp are a run each');
    return {
      telemetry,
      openLoop,
      http1,
      tcp,
      only: pick('--only', values.only?.split(','), known.peers),
      shapes: pick('--shape', values.shape ?? (telemetry ? TELEMETRY_SHAPES : undefined), known.shapes),
      scenarios: pick('--scenario', values.scenario?.split(',') ?? (telemetry ? TELEMETRY_SCENARIOS : undefined), known.scenarios),
      seconds: number('--seconds', values.seconds ?? (values.quick ? '1' : '4'), 0.1, 60),
      rounds: number('--rounds', values.rounds ?? (values.quick ? '1' : telemetry ? TELEMETRY_ROUNDS : '3'), 1, 20),
      requests: number('--requests', values.requests ?? '0', 0, 10_000_000),
      growth: number('--growth', values.growth ?? (values.quick ? '0' : '1000000'), 0, 100_000_000),
    };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function pick(option: string, wanted: readonly string[] | undefined, known: readonly string[]): readonly string[] {
  for (const name of wanted ?? []) if (!known.includes(name)) throw new Error(`${option} knows ${known.join(' · ')}, not "${name}"`);
  return wanted ?? known;
}

function number(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) throw new Error(`${option} must be a number from ${least} to ${most}, not "${text}"`);
  return option === '--seconds' ? value : Math.round(value);
}
