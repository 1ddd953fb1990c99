// `weft status`: what the mesh really runs, from every replica of the control plane.
import { Argument, Command, Option } from 'commander';
import { Failure } from '#core/program/failure.ts';
import { type ClusterOptions, connectCluster, withClusterOptions } from '../cluster/cluster.ts';
import { askReplicas, runningReplicas } from '../cluster/replicas.ts';
import { styleFor } from '../print/style.ts';
import type { Terminal } from '../print/terminal.ts';
import { layOutStatus, ofNamespace, type What } from './layout.ts';
import { type MeshStatus, mergeAnswers } from './merge.ts';

interface Options extends ClusterOptions {
  readonly namespace?: string;
  readonly output: 'table' | 'wide' | 'json';
}

const EXAMPLE = `
APPLIED 37/40: of the 40 connected sidecars that use the Service, 37 have said that they run its newest rules.

Examples:
  weft status
  weft status routes -n shop
  weft status sidecars -o wide
  weft status calls      traces of slow and failed calls; weft trace draws one`;

/** The verb `status`. Its action throws Failure. */
export function statusCommand({ stdout, stderr, env }: Pick<Terminal, 'stdout' | 'stderr' | 'env'>): Command {
  return withClusterOptions(new Command('status'))
    .description('Say which routes are in force on how many sidecars, how each sidecar is, and which traces are worth a look.')
    .addArgument(new Argument('[what]', 'only these').choices(['routes', 'sidecars', 'calls']))
    .option('-n, --namespace <name>', 'of one namespace (default: of all)')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'wide', 'json']).default('table'))
    .addHelpText('after', EXAMPLE)
    .action(async (what: What | undefined, options: Options) => {
      const { client, open } = await connectCluster(options, env);
      const status = mergeAnswers(await askReplicas(open, await runningReplicas(client)));
      if (status.replicas === 0) throw new Failure(`no control plane answers: ${status.unreachable.join('; ')}`);
      for (const line of status.unreachable) stderr.write(`weft: a control plane did not answer, its sidecars are missing here: ${line}\n`);
      const shown = ofNamespace(status, options.namespace);
      stdout.write(`${options.output === 'json' ? jsonOf(shown, what) : tables(shown, what, options)}\n`);
    });

  function tables(status: MeshStatus, what: What | undefined, { output, namespace }: Options): string {
    // Without tracing there is nothing to say of calls, unless it is asked.
    const all: What[] = status.calls.length > 0 ? ['routes', 'sidecars', 'calls'] : ['routes', 'sidecars'];
    const layout = { what: what === undefined ? all : [what], wide: output === 'wide', namespace };
    return layOutStatus(status, { ...layout, nowMs: Date.now(), style: styleFor(stdout, env) }).join('\n');
  }
}

function jsonOf({ routes, sidecars, calls, unreachable, problems }: MeshStatus, what: What | undefined): string {
  const all = { routes, sidecars, calls };
  return JSON.stringify({ ...(what === undefined ? all : { [what]: all[what] }), unreachable, problems }, null, 2);
}
