// `weft uninstall`: the objects to remove, as YAML for kubectl; refused while pods still have a sidecar.
import { Command } from 'commander';
import { toDocuments } from '#chart/render.ts';
import { LABEL_INJECT, TRUST_CONFIG_MAP } from '#core/contract/names.ts';
import { Failure } from '#core/program/failure.ts';
import { type KubeClient, KubeError } from '#kube/api.ts';
import { connectKube } from '#kube/client.ts';
import { type ClusterOptions, withClusterOptions } from '../cluster/cluster.ts';
import type { Terminal } from '../print/terminal.ts';
import { type RemovalTarget, removalOrder, toIdentity } from './removal.ts';
import { type Survey, survey } from './survey.ts';

/** Pods that are named for each namespace. */
const NAMED_PODS = 3;

interface Options extends ClusterOptions {
  readonly force?: boolean;
}

const EXAMPLE = `
Example:
  weft uninstall | kubectl delete --ignore-not-found -f -

It prints what it finds: what was installed, and what Weft has made itself (certificates, trust bundles, lease, XMesh). CRDs and routes are yours.`;

/** The verb `uninstall`. Its action throws Failure. */
export function uninstallCommand({ stdout, stderr, env }: Terminal): Command {
  return withClusterOptions(new Command('uninstall'))
    .description('Print what has to be removed, for kubectl delete -f -; refused while pods still have a sidecar.')
    .option('--force', 'also while pods have a sidecar, or without a cluster to ask')
    .addHelpText('after', EXAMPLE)
    .action(async ({ force = false, kubeconfig = env.KUBECONFIG, context }: Options) => {
      const say = (text: string) => stderr.write(`weft: ${text}\n`);
      const targets = await planRemoval(() => connectKube({ kubeconfig, context }), force, say);
      stdout.write(toDocuments(targets.map(toIdentity)));
      if (targets.length === 0) say('nothing of Weft is left in this cluster');
      else if (stdout.isTTY) say('nothing was removed; pipe this to kubectl: weft uninstall … | kubectl delete --ignore-not-found -f -');
    });
}

/**
 * What to remove.
 * @param say takes sentences for the person
 * @throws Failure when it is refused
 */
export async function planRemoval(
  connect: () => Promise<KubeClient>,
  force: boolean,
  say: (text: string) => void,
): Promise<readonly RemovalTarget[]> {
  const asked = await ask(connect);
  if ('error' in asked) {
    if (!force)
      throw new Failure(
        `${asked.error}; so nobody knows whether pods still have a sidecar. --force prints what an installation usually has`,
      );
    say(
      `${asked.error}; this is what an installation usually has. Left over may be: ConfigMaps ${TRUST_CONFIG_MAP} in meshed namespaces, the XMesh`,
    );
    return removalOrder();
  }
  const { injected, targets, byHelm } = asked;
  if (injected.size > 0) {
    if (!force) throw new Failure(refusalText(injected));
    say(`${count(injected)} with a sidecar: they go on with their last configuration, until their certificates expire`);
  }
  if (byHelm) say('Helm has installed it, and keeps its own record: helm uninstall weft -n weft-system comes first');
  return targets;
}

/** Only the cluster's silence and refusals are said; bugs are thrown. */
async function ask(connect: () => Promise<KubeClient>): Promise<Survey | { readonly error: string }> {
  let client: KubeClient;
  try {
    client = await connect();
  } catch (error) {
    return { error: (error as Error).message };
  }
  try {
    return await survey(client);
  } catch (error) {
    if (error instanceof KubeError) return { error: error.message };
    throw error;
  }
}

/** Which pods, and how they lose their sidecars. */
export function refusalText(injected: ReadonlyMap<string, readonly string[]>): string {
  const lines = [...injected].map(([namespace, pods]) => {
    const named = pods.slice(0, NAMED_PODS).join(', ');
    return `  ${namespace}: ${plural(pods.length)} (${named}${pods.length > NAMED_PODS ? ', …' : ''})`;
  });
  const [first] = injected.keys();
  return [
    `${count(injected)} still with a sidecar, which cannot go on for long without a control plane:`,
    ...lines,
    'Take the label from their namespaces and restart them, then uninstall:',
    `  kubectl label namespace ${first} ${LABEL_INJECT}-`,
    `  kubectl rollout restart deployment -n ${first}`,
    'or use --force.',
  ].join('\n');
}

function count(injected: ReadonlyMap<string, readonly string[]>): string {
  return plural([...injected.values()].reduce((sum, pods) => sum + pods.length, 0));
}

function plural(pods: number): string {
  return pods === 1 ? '1 pod' : `${pods} pods`;
}
