// The cluster that a verb speaks to: the options that choose it, and the ways to its API and its pods.
import { type Command, Option } from 'commander';
import { Failure } from '#core/program/failure.ts';
import type { KubeClient } from '#kube/api.ts';
import type { Terminal } from '../print/terminal.ts';
import type { OpenPort } from './reach.ts';

export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export interface Cluster {
  readonly client: KubeClient;
  readonly open: OpenPort;
}

/** Adds --kubeconfig and --context. */
export function withClusterOptions(command: Command): Command {
  return command
    .addOption(new Option('--kubeconfig <file>', 'how to reach the cluster (default: $KUBECONFIG, else ~/.kube/config)'))
    .addOption(new Option('--context <name>', "which of its contexts (default: the file's current one)"));
}

/** Reads the configuration; nothing is contacted yet. @throws Failure when there is none or it cannot be read */
export async function connectCluster(options: ClusterOptions, env: Terminal['env']): Promise<Cluster> {
  const chosen = { kubeconfig: options.kubeconfig ?? env.KUBECONFIG, context: options.context };
  // Not imported above: verbs that need no cluster would load the client for nothing.
  const { connectKube } = await import('#kube/client.ts');
  try {
    const client = await connectKube(chosen);
    return {
      client,
      open: async (namespace, pod, port) => {
        const { openPortForward } = await import('#kube/port-forward.ts');
        return openPortForward({ ...chosen, namespace, pod, port });
      },
    };
  } catch (error) {
    throw new Failure((error as Error).message);
  }
}
