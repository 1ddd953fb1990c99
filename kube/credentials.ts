// What a request to the API server must carry, and where a pod finds it. A program in the cluster needs two files for
// that; client-node's configuration, which pulls in 39 MB of resident memory (undici, OIDC, SOCKS, the models), is only
// loaded where there is a kubeconfig.
import { readFile } from 'node:fs/promises';
import type { Agent, RequestOptions } from 'node:https';

/** What one request needs at this moment. */
export interface RequestCredentials {
  readonly headers: Readonly<Record<string, string>>;
  /** ca, cert, key, servername, rejectUnauthorized. */
  readonly tls: Pick<RequestOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername' | 'rejectUnauthorized'>;
  /** Where the kubeconfig names a proxy: what dials through it. */
  readonly agent?: Agent;
}

export interface KubeCredentials {
  /** Base address, possibly with a path, without a slash at its end. */
  readonly server: string;
  /** Asked before each request; keeps what is still fresh. @throws Error when a file or a plugin fails */
  current(): Promise<RequestCredentials>;
}

/** Where the kubelet puts a pod's ServiceAccount. */
export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
/**
 * The kubelet replaces the token at 80 % of its life, at least ten minutes before its end; client-go rereads it as
 * often.
 */
const TOKEN_FRESH_MS = 60_000;

/** The part of the environment that the kubelet sets in each pod. */
export interface ClusterEnvironment {
  readonly KUBERNETES_SERVICE_HOST?: string;
  readonly KUBERNETES_SERVICE_PORT?: string;
}

/**
 * KubeCredentials of a pod. The token and the authority's certificate are reread once a minute; while a file cannot be
 * read
 * the last one goes on.
 * @param now Unix ms
 */
export function inClusterCredentials(
  environment: ClusterEnvironment,
  now: () => number,
  directory = SERVICE_ACCOUNT_DIRECTORY,
): KubeCredentials {
  let known: { readonly value: RequestCredentials; readonly atMs: number } | undefined;
  return {
    server: inClusterServer(environment),
    async current() {
      if (known !== undefined && Math.abs(now() - known.atMs) < TOKEN_FRESH_MS) return known.value;
      try {
        const [token, ca] = await Promise.all([readFile(`${directory}/token`, 'utf8'), readFile(`${directory}/ca.crt`)]);
        known = { value: { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } }, atMs: now() };
      } catch (error) {
        if (known === undefined) throw new Error(`cannot read the pod's ServiceAccount: ${(error as Error).message}`);
      }
      return known!.value;
    },
  };
}

function inClusterServer({ KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port }: ClusterEnvironment): string {
  if (!host) return 'https://kubernetes.default.svc';
  return `https://${host.includes(':') ? `[${host}]` : host}:${port || '443'}`;
}
