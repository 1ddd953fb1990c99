// `weft run DIR`: its options and their meaning.
import { Command, InvalidArgumentError, Option } from 'commander';
import { LOG_LEVELS } from '#core/contract/log-levels.ts';
import { sidecarProgram } from '#local/process/launch.ts';
import { otlpUrl } from '#local/process/tracing.ts';
import { parseDuration } from './duration.ts';
import { type RunOptions, run } from './run.ts';

/** The verb for the command line. Sets process.exitCode where the run ends otherwise than well. */
export function runCommand(): Command {
  return new Command('run')
    .description('Run a whole mesh on this machine: the pods of a directory of manifests, each with its sidecar. No cluster, no root.')
    .argument('<directory>', 'Kubernetes manifests: Namespace, Service, Deployment, Pod, GRPCRoute, ReferenceGrant')
    .option('--for <duration>', 'stop by itself after this time, counted from when all pods are ready: 20s, 5m', (text) => {
      const ms = parseDuration(text);
      if (ms === null) throw new InvalidArgumentError('it is a duration such as 20s, 1m30s or 500ms.');
      return ms;
    })
    .addOption(new Option('--report <format>', 'print a summary at the end; standard output then has nothing else').choices(['json']))
    .option('--no-view', 'no live view and no lines once a second: only news and logs')
    .option(
      '--otlp <url>',
      'trace all calls, to this OTLP/HTTP collector: http://127.0.0.1:4318 (Jaeger); $OTEL_ settings hold too',
      otlpUrl,
    )
    .addOption(new Option('--log-level <level>', 'of the sidecars and the control plane').choices([...LOG_LEVELS]).default('warn'))
    .addOption(new Option('--sidecar <file>', 'another sidecar program').hideHelp())
    .addHelpText('after', HELP)
    .action(
      async (
        directory: string,
        options: { for?: number; report?: 'json'; view: boolean; otlp?: string; logLevel: string; sidecar?: string },
      ) => {
        const settings: RunOptions = {
          directory,
          forMs: options.for ?? null,
          report: options.report ?? null,
          view: options.view,
          otlp: options.otlp ?? null,
          logLevel: options.logLevel as RunOptions['logLevel'],
          sidecarProgram: options.sidecar ?? sidecarProgram(import.meta.url),
        };
        await run(settings, { stdout: process.stdout, stderr: process.stderr, env: process.env, signals: process });
      },
    );
}

const HELP = `
Containers are started as processes: "command" and "args" with the manifest's directory as working directory; images are ignored.
A container listens on its pod's own address, given as status.podIP and POD_IP, and finds Services by the usual variables
NAME_SERVICE_HOST and NAME_SERVICE_PORT (of another namespace: NAME_NAMESPACE_SERVICE_HOST), which lead to its own sidecar.
Saved changes of the directory are in force at once. Ctrl-C stops everything.

Exit codes: 0 fine, 1 failed, 2 wrong usage.`;
