// Finds the API server and the right to speak to it: the pod's own ServiceAccount, or a kubeconfig.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { KubeClient } from './api.ts';
import { type ClusterEnvironment, inClusterCredentials, type KubeCredentials, SERVICE_ACCOUNT_DIRECTORY } from './credentials.ts';
import { HttpKubeClient } from './http-client.ts';

export interface ConnectOptions {
  /** A file, or several separated as in $KUBECONFIG. */
  readonly kubeconfig?: string;
  /** Default: the kubeconfig's current-context. */
  readonly context?: string;
  /**
   * A program in a pod hands over its environment, for the API server's address; without it the name
   * kubernetes.default.svc is asked of the DNS.
   */
  readonly environment?: ClusterEnvironment;
}

/**
 * A client for the API server that the options name; without options that of the cluster the program runs in, else that
 * of ~/.kube/config. Does not connect yet.
 * @throws Error when no configuration is found or it cannot be read
 */
export async function connectKube(options: ConnectOptions = {}): Promise<KubeClient> {
  return new HttpKubeClient(await findCredentials(options));
}

async function findCredentials({ kubeconfig, context, environment }: ConnectOptions): Promise<KubeCredentials> {
  if (!kubeconfig && context === undefined && existsSync(`${SERVICE_ACCOUNT_DIRECTORY}/token`)) {
    return inClusterCredentials(environment ?? {}, Date.now);
  }
  const file = kubeconfig || join(homedir(), '.kube', 'config');
  if (!kubeconfig && !existsSync(file)) {
    throw new Error(`no cluster is configured: there is no ${file}, $KUBECONFIG is not set, and this is not a pod`);
  }
  const { kubeconfigCredentials } = await import('./kubeconfig.ts');
  return kubeconfigCredentials(file, context, Date.now);
}
