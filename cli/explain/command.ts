// `weft explain`: where a call would go and why, from a directory of manifests.
import { Command, Option } from 'commander';
import { DirectoryError, DirectorySource } from '#control-plane/source/files/directory-source.ts';
import { formatProblem } from '#control-plane/source/files/problem.ts';
import { Failure, UsageError } from '#core/program/failure.ts';
import { silentLogger } from '#core/program/log.ts';
import { styleFor } from '../print/style.ts';
import type { Terminal } from '../print/terminal.ts';
import { explain } from './explain.ts';
import { type Inquiry, parseCallee, parseCaller, parseHeader, parseMethod, parseRequest } from './inquiry.ts';
import { layOutExplanation } from './layout.ts';

interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header: readonly string[];
  readonly output: 'text' | 'json';
}

const EXAMPLE = `
Examples:
  weft explain examples/shop --from shop/checkout --to payment --method payment.PaymentService/Charge -H x-version:v2
  weft explain manifests --from shop --to catalog --path '/items?color=red' --method GET

The exit code is 0 when there is an answer, also where the answer is that the call fails.`;

/** The verb `explain`. Its action throws Failure and UsageError. */
export function explainCommand({ stdout, env }: Pick<Terminal, 'stdout' | 'env'>): Command {
  return new Command('explain')
    .description('Say which route and rule serves a call, why, and where the call goes: by the very functions that sidecars run.')
    .argument('<directory>', 'manifests: Services, Deployments or Pods, GRPCRoutes, HTTPRoutes')
    .option('--from <caller>', 'the calling namespace, or namespace/workload (required)')
    .option('--to <service>', 'the called Service: name[.namespace][:port]; without a namespace, the caller’s (required)')
    .option('--method <method>', 'package.Service/Method; with --path a method of HTTP, by default GET')
    .option('--path <path>', 'the path of an HTTP request, with its query')
    .option('-H, --header <name:value>', 'a header of the call; may be repeated', (text: string, before: string[]) => [...before, text], [])
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLE)
    .action(async (directory: string, options: Options) => {
      const inquiry = inquiryOf(options);
      const { objects, problems } = await readDirectory(directory);
      const report = explain(objects, inquiry, problems);
      const lines = options.output === 'json' ? [JSON.stringify(report, null, 2)] : layOutExplanation(report, styleFor(stdout, env));
      stdout.write(`${lines.join('\n')}\n`);
    });
}

/**
 * All that is missing is said at once. commander's own required options would hide a mistyped one ("--form") behind the
 * missing one.
 */
function inquiryOf({ from, to, method, path, header }: Options): Inquiry {
  if (from === undefined || to === undefined || (method === undefined && path === undefined)) {
    const missing = Object.entries({ '--from': from, '--to': to, '--method or --path': method ?? path }).flatMap(([name, value]) =>
      value === undefined ? [name] : [],
    );
    throw new UsageError(`explain needs ${missing.join(', ')} too; see weft explain --help`);
  }
  const caller = parseCaller(from);
  const call = path === undefined ? ({ kind: 'grpc', method: parseMethod(method!) } as const) : parseRequest(path, method);
  return { from: caller, to: parseCallee(to, caller.namespace), call, headers: header.map(parseHeader) };
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
