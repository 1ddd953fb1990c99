// `weft check`: is this cluster fit for Weft, and is Weft well in it?
import { Command, Option } from 'commander';
import { VERSION } from '#core/contract/version.ts';
import { Failure } from '#core/program/failure.ts';
import { type ClusterOptions, connectCluster, withClusterOptions } from '../cluster/cluster.ts';
import { styleFor } from '../print/style.ts';
import type { Terminal } from '../print/terminal.ts';
import type { Check } from './check.ts';
import { evaluate } from './evaluate.ts';
import type { Facts } from './facts.ts';
import { gather, nothing } from './gather.ts';
import { layOutChecks } from './layout.ts';

interface Options extends ClusterOptions {
  readonly output: 'table' | 'json';
}

const NOTE = `
The exit code is 1 when a check failed. A warning is something to look at; what could not be looked at is skipped.
Secrets' values are not shown.`;

/** The verb `check`. Its action throws Failure when a check has failed; the report is on standard output then too. */
export function checkCommand({ stdout, env }: Pick<Terminal, 'stdout' | 'env'>): Command {
  return withClusterOptions(new Command('check'))
    .description('Look at a cluster: its version and CRDs, the control plane, injection, every sidecar, the routes.')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .addHelpText('after', NOTE)
    .action(async (options: Options) => {
      const checks = evaluate(await factsOf(options, env));
      const failed = checks.filter(({ state }) => state === 'failed').length;
      const lines = options.output === 'json' ? [jsonOf(checks)] : layOutChecks(checks, styleFor(stdout, env));
      stdout.write(`${lines.join('\n')}\n`);
      if (failed > 0) throw new Failure(`${failed} of ${checks.length} checks failed`);
    });
}

async function factsOf(options: ClusterOptions, env: Terminal['env']): Promise<Facts> {
  try {
    const cluster = await connectCluster(options, env);
    return await gather({ cluster, version: VERSION, now: Date.now });
  } catch (error) {
    // No configuration is no cluster: one more failed check, in the same form.
    if (error instanceof Failure) return nothing('', VERSION, Date.now(), { ok: false, error: error.message });
    throw error;
  }
}

function jsonOf(checks: readonly Check[]): string {
  return JSON.stringify({ version: VERSION, ok: !checks.some(({ state }) => state === 'failed'), checks }, null, 2);
}
