// The client of a program that only ever runs in a pod: without the kubeconfig's reader, whose text alone costs a
// process 16 MB.
import { existsSync } from 'node:fs';
import type { KubeClient } from './api.ts';
import { type ClusterEnvironment, inClusterCredentials, SERVICE_ACCOUNT_DIRECTORY } from './credentials.ts';
import { HttpKubeClient } from './http-client.ts';

/**
 * A client with the rights of the pod's ServiceAccount. Does not connect yet.
 * @param environment the process's: the address of the API server stands in it
 * @throws Error when this is not a pod, or one without a token
 */
export function connectInCluster(environment: ClusterEnvironment): KubeClient {
  if (!existsSync(`${SERVICE_ACCOUNT_DIRECTORY}/token`)) {
    throw new Error(`this is not a pod with a ServiceAccount: there is no ${SERVICE_ACCOUNT_DIRECTORY}/token`);
  }
  return new HttpKubeClient(inClusterCredentials(environment, Date.now));
}
