// `weft explain`: where a call would go and why, from a directory of manifests.
import { Command, Option } from 'commander';
import { DirectoryError, DirectorySource } from '#control-plane/files/directory-source.ts';
import { formatProblem } from '#control-plane/files/problem.ts';
import { silentLogger } from '#core/log.ts';
import { Failure } from '../failure.ts';
import { styleFor } from '../style.ts';
import type { Terminal } from '../terminal.ts';
import { explain } from './explain.ts';
import { parseCaller, parseHeader, parseMethod, parseTarget } from './inquiry.ts';
import { textOf } from './text.ts';

interface Options {
  readonly from: string;
  readonly to: string;
  readonly method: string;
  readonly header: readonly string[];
  readonly output: 'text' | 'json';
}

const EXAMPLE = `
Example:
  weft explain examples/shop --from shop/checkout --to payment --method payment.PaymentService/Charge -H x-version:v2

The exit code is 0 when there is an answer, also where the answer is that the call fails.`;

/** The verb `explain`. Its action throws Failure and UsageError. */
export function explainCommand({ stdout, env }: Pick<Terminal, 'stdout' | 'env'>): Command {
  return new Command('explain')
    .description('say which route and rule serves a call, why, and where the call goes; by the functions that sidecars run')
    .argument('<directory>', 'manifests: Services, Deployments or Pods, GRPCRoutes')
    .requiredOption('--from <caller>', 'the calling namespace, or namespace/workload')
    .requiredOption('--to <service>', 'the called Service: name[.namespace][:port]; without a namespace, the caller’s')
    .requiredOption('--method <method>', 'package.Service/Method')
    .option('-H, --header <name:value>', 'a header of the call; may be repeated', (text: string, before: string[]) => [...before, text], [])
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLE)
    .action(async (directory: string, options: Options) => {
      const from = parseCaller(options.from);
      const inquiry = {
        from,
        to: parseTarget(options.to, from.namespace),
        method: parseMethod(options.method),
        headers: options.header.map(parseHeader),
      };
      const { objects, problems } = await readDirectory(directory);
      const report = explain(objects, inquiry, problems);
      const lines = options.output === 'json' ? [JSON.stringify(report, null, 2)] : textOf(report, styleFor(stdout, env));
      stdout.write(`${lines.join('\n')}\n`);
    });
}

async function readDirectory(dir: string) {
  const source = new DirectorySource({ dir, log: silentLogger, onChange: () => {} });
  try {
    await source.start();
    const problems = source.problems().filter(({ severity }) => severity === 'error');
    return { objects: source.objects(), problems: problems.map(formatProblem) };
  } catch (error) {
    if (error instanceof DirectoryError) throw new Failure(error.message);
    throw error;
  } finally {
    source.stop();
  }
}
