// KubeCredentials of a kubeconfig: certificates, tokens, exec plugins, OIDC, proxies, all by client-node. Loaded only
// where a kubeconfig is used.
import { readFileSync } from 'node:fs';
import { Agent, type RequestOptions } from 'node:https';
import { delimiter, dirname } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { didYouMean } from '#core/text/nearest.ts';
import type { KubeCredentials, RequestCredentials } from './credentials.ts';

/** Plugins and files are asked again after this; exec plugins keep their own answer until it expires. */
const FRESH_MS = 30_000;

/**
 * Reads a kubeconfig, or several separated as in $KUBECONFIG, of which the first that says something wins.
 * @param context default: the file's current-context
 * @throws Error naming file and fault
 */
export function loadKubeconfig(files: string, context?: string): KubeConfig {
  const config = new KubeConfig();
  for (const [i, file] of files.split(delimiter).filter(Boolean).entries()) {
    const part = i === 0 ? config : new KubeConfig();
    try {
      part.loadFromString(readFileSync(file, 'utf8'));
      part.makePathsAbsolute(dirname(file));
      if (part !== config) merge(config, part);
    } catch (error) {
      throw new Error(`kubeconfig ${file}: ${(error as Error).message}`);
    }
  }
  const names = config.getContexts().map(({ name }) => name);
  if (context !== undefined) {
    if (!names.includes(context))
      throw new Error(`kubeconfig ${files} has no context ${JSON.stringify(context)}${didYouMean(context, names)}`);
    config.setCurrentContext(context);
  }
  if (config.getContextObject(config.getCurrentContext()) === null) {
    const has = names.length === 0 ? 'has no contexts' : `has the contexts ${names.join(', ')}`;
    throw new Error(`kubeconfig ${files}: current-context is ${JSON.stringify(config.getCurrentContext() ?? '')}; the file ${has}`);
  }
  const cluster = config.getCurrentCluster();
  if (!cluster?.server) {
    throw new Error(`kubeconfig ${files}: the cluster of context ${JSON.stringify(config.getCurrentContext())} has no server`);
  }
  // client-node makes an agent for plain HTTP only where TLS checks are off; there is nothing to check without TLS.
  if (cluster.server.startsWith('http:')) Object.assign(cluster, { skipTLSVerify: true });
  return config;
}

/** @param now Unix ms @throws Error as loadKubeconfig */
export function kubeconfigCredentials(files: string, context: string | undefined, now: () => number): KubeCredentials {
  const config = loadKubeconfig(files, context);
  const cluster = config.getCurrentCluster()!;
  const server = cluster.server.replace(/\/+$/, '');
  let known: { readonly value: RequestCredentials; readonly atMs: number } | undefined;
  return {
    server,
    async current() {
      if (known !== undefined && Math.abs(now() - known.atMs) < FRESH_MS) return known.value;
      known = { value: await ask(config), atMs: now() };
      return known.value;
    },
  };
}

async function ask(config: KubeConfig): Promise<RequestCredentials> {
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  const { ca, cert, key, passphrase, servername, rejectUnauthorized } = options;
  const proxied = config.getCurrentCluster()!.proxyUrl !== undefined && options.agent instanceof Agent;
  return {
    headers,
    tls: dropUndefined({ ca, cert, key, passphrase, servername, rejectUnauthorized }),
    ...(proxied ? { agent: options.agent as Agent } : {}),
  };
}

// client-node refuses two files that name the same cluster; kubectl takes the first.
function merge(into: KubeConfig, from: KubeConfig): void {
  const absent = <T extends { name: string }>(have: readonly T[], more: readonly T[]): T[] =>
    more.filter(({ name }) => !have.some((other) => other.name === name));
  for (const cluster of absent(into.getClusters(), from.getClusters())) into.addCluster(cluster);
  for (const user of absent(into.getUsers(), from.getUsers())) into.addUser(user);
  for (const context of absent(into.getContexts(), from.getContexts())) into.addContext(context);
  if (!into.getCurrentContext()) into.setCurrentContext(from.getCurrentContext());
}

function dropUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
