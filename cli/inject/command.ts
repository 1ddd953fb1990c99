// `weft inject`: what the webhook does, to manifests.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { Command } from 'commander';
import { Failure, UsageError } from '#core/program/failure.ts';
import { NO_LIMITS } from '#injector/limits.ts';
import type { KubeClient } from '#kube/api.ts';
import { type ClusterOptions, withClusterOptions } from '../cluster/cluster.ts';
import type { Terminal } from '../print/terminal.ts';
import { clusterLimits } from './limits.ts';
import { type Entry, injectManifests } from './manifests.ts';
import { readInstallation } from './settings.ts';

interface Options extends ClusterOptions {
  readonly filename: readonly string[];
  readonly namespace: string;
  readonly image?: string;
  readonly trustRoots?: string;
}

/** Where the command reads from, besides files. */
export interface InjectSources {
  readonly stdin: () => Promise<string>;
  readonly connect: (options: ClusterOptions) => Promise<KubeClient>;
}

const SOURCES: InjectSources = {
  stdin: () => readStream(process.stdin),
  // Loaded when needed: other verbs do without it.
  connect: async (options) => (await import('#kube/client.ts')).connectKube(options),
};

const WITHOUT_CLUSTER = { limitsOf: () => NO_LIMITS, problem: '' };

const EXAMPLE = `
Examples:
  kubectl get deploy -o yaml | weft inject -f - | kubectl apply -f -
  weft inject -f deploy.yaml --image registry.example/weft:1.0 --trust-roots roots.pem > meshed.yaml

In a cluster with Weft's webhook a label does this: weft.dev/inject: enabled. Pods that are injected already are left as they are.
Sidecars ask for what the LimitRanges and ResourceQuotas of the cluster and of the manifests admit; without a cluster, of the manifests.`;

/** The verb `inject`. Its action throws Failure and UsageError. */
export function injectCommand({ stdout, stderr, env }: Terminal, { stdin, connect }: InjectSources = SOURCES): Command {
  return withClusterOptions(new Command('inject'))
    .description('Add the sidecar to Pods, Deployments, Jobs and other workloads of manifests: YAML on stdout, a report on stderr.')
    .option(
      '-f, --filename <file>',
      'manifests, - for stdin; may be repeated (required)',
      (file: string, before: string[]) => [...before, file],
      [],
    )
    .option('-n, --namespace <namespace>', 'of objects that name none', 'default')
    .option('--image <image>', "the sidecar's image; default: that of the installation in the cluster")
    .option('--trust-roots <file>', "PEM file of the mesh's roots; default: those of the installation in the cluster")
    .addHelpText('after', EXAMPLE)
    .action(async ({ filename, namespace, image, trustRoots, kubeconfig, context }: Options) => {
      if (filename.length === 0) throw new UsageError('inject needs -f FILE, or -f - for stdin; see weft inject --help');
      if (filename.filter((file) => file === '-').length > 1) throw new UsageError('stdin can be read once: one -f - only');
      const sources = await Promise.all(filename.map(async (file) => [file === '-' ? 'stdin' : file, await read(file, stdin)] as const));
      const kube = { kubeconfig: kubeconfig ?? env.KUBECONFIG, context };
      let client: KubeClient | undefined;
      const settings = await readInstallation({ image, trustRoots }, async () => (client = await connect(kube)));
      const { limitsOf, problem } = client === undefined ? WITHOUT_CLUSTER : await clusterLimits(client);
      const made = sources.map(([source, text]) =>
        injectManifests(text, source, { namespace, settings, limitsOf, hookToken: () => randomBytes(16).toString('hex') }),
      );
      const entries = made.flatMap((one) => one.entries);
      const others = made.reduce((sum, one) => sum + one.others, 0);
      stderr.write(reportOf(entries, others));
      if (problem !== '') stderr.write(`not fitted to all limits of the cluster's namespaces: ${problem}\n`);
      const failed = entries.filter(({ outcome }) => outcome === 'failed').length;
      // Half of the manifests must not reach a `kubectl apply` behind a pipe.
      if (failed > 0) throw new Failure(`${failed} of ${entries.length} workloads cannot be injected; nothing was written`);
      stdout.write(join(made.map(({ text }) => text)));
    });
}

async function read(file: string, stdin: () => Promise<string>): Promise<string> {
  try {
    return file === '-' ? await stdin() : await fs.readFile(file, 'utf8');
  } catch (error) {
    throw new Failure(`-f ${file}: ${(error as Error).message}`);
  }
}

function reportOf(entries: readonly Entry[], others: number): string {
  const lines = entries.flatMap(({ object, outcome, message, warnings }) => [
    `${object}: ${outcome === 'injected' ? 'injected' : `${outcome === 'failed' ? 'cannot be injected' : 'left as it is'}: ${message}`}`,
    ...warnings.map((warning) => `  warning: ${warning}`),
  ]);
  if (entries.length === 0) lines.push('no workloads found');
  if (others > 0) lines.push(`${others} other ${others === 1 ? 'object' : 'objects'} passed through`);
  return `${lines.join('\n')}\n`;
}

function join(texts: readonly string[]): string {
  return (
    texts
      .map((text) => (text.endsWith('\n') || text === '' ? text : `${text}\n`))
      // Also in front of JSON that others follow: a stream that begins with a brace is JSON to its end.
      .map((text, i) => ((i > 0 || (texts.length > 1 && text.startsWith('{'))) && !text.startsWith('---') ? `---\n${text}` : text))
      .join('')
  );
}
