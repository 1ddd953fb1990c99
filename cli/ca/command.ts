// `weft ca`: how the mesh's authority stands, and its replacement.
import { setTimeout as sleep } from 'node:timers/promises';
import { Argument, Command, Option } from 'commander';
import { ANNOTATION_FINISH, ANNOTATION_ROTATE, AUTHORITY_SECRET, ROTATE_TAKE_OVER, SYSTEM_NAMESPACE } from '#core/contract/names.ts';
import { Failure, UsageError } from '#core/program/failure.ts';
import { KINDS } from '#kube/api.ts';
import { type Cluster, type ClusterOptions, connectCluster, withClusterOptions } from '../cluster/cluster.ts';
import { askReplicas, runningReplicas } from '../cluster/replicas.ts';
import { styleFor } from '../print/style.ts';
import type { Terminal } from '../print/terminal.ts';
import { layOutAuthority } from './layout.ts';
import { type AuthorityStanding, standingOf, whyNoFinish, whyNoRotation } from './standing.ts';

interface Options extends ClusterOptions {
  readonly takeOver?: boolean;
  readonly output: 'text' | 'json';
}

type Action = 'status' | 'rotate' | 'finish';

/** The control plane's leader takes a request up at once; it is not waited for longer. */
const TAKEN_UP_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 500;

const EXAMPLE = `
rotate  the control plane makes a new authority. Its root is sent to all, then it signs, then sidecars get new
        certificates; the old root stays trusted until no certificate of it can live.
finish  drops old roots before that time, where every sidecar has a new certificate.

An authority of others (cert-manager, a person) is replaced by replacing the Secret ${SYSTEM_NAMESPACE}/${AUTHORITY_SECRET}: the same
steps follow. See docs/guides/certificates.md.

Examples:
  weft ca status
  weft ca rotate
  weft ca finish`;

/** The verb `ca`. Its action throws Failure. */
export function caCommand({ stdout, stderr, env }: Pick<Terminal, 'stdout' | 'stderr' | 'env'>): Command {
  return withClusterOptions(new Command('ca'))
    .description("Say how the mesh's certificate authority stands, replace it, or end its replacement.")
    .addArgument(new Argument('[action]', 'what to do').choices(['status', 'rotate', 'finish']).default('status'))
    .option('--take-over', 'with rotate: Weft makes the next authority, though others have made this one')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLE)
    .action(async (action: Action, options: Options) => {
      const { takeOver = false } = options;
      if (takeOver && action !== 'rotate') throw new UsageError('--take-over goes with rotate alone');
      const cluster = await connectCluster(options, env);
      let standing = await ask(cluster);
      for (const line of standing.unreachable) stderr.write(`weft: a control plane did not answer: ${line}\n`);
      if (action !== 'status') {
        const why = action === 'rotate' ? whyNoRotation(standing, takeOver) : whyNoFinish(standing);
        if (why !== '') throw new Failure(why);
        const annotation = action === 'finish' ? ANNOTATION_FINISH : ANNOTATION_ROTATE;
        standing = await request(cluster, { [annotation]: takeOver ? ROTATE_TAKE_OVER : new Date().toISOString() }, standing);
      }
      if (standing.authority === null) throw new Failure('no control plane says how the authority stands: it is not loaded yet, or older');
      const style = styleFor(stdout, env);
      const lines = options.output === 'json' ? [JSON.stringify(standing, null, 2)] : layOutAuthority(standing, Date.now(), style);
      stdout.write(`${lines.join('\n')}\n`);
    });
}

async function ask({ client, open }: Cluster): Promise<AuthorityStanding> {
  return standingOf(await askReplicas(open, await runningReplicas(client)));
}

/** Asks the leader by an annotation, and waits until it has acted. @throws Failure with what went wrong */
async function request(cluster: Cluster, annotations: Record<string, string>, before: AuthorityStanding): Promise<AuthorityStanding> {
  const path = { kind: KINDS.Secret, namespace: SYSTEM_NAMESPACE, name: AUTHORITY_SECRET };
  const body = { metadata: { annotations } };
  try {
    await cluster.client.request('PATCH', path, { body, patch: 'merge', metadataOnly: true });
  } catch (error) {
    throw new Failure(`the Secret ${SYSTEM_NAMESPACE}/${AUTHORITY_SECRET} cannot be annotated: ${(error as Error).message}`);
  }
  const untilMs = Date.now() + TAKEN_UP_WITHIN_MS;
  while (Date.now() < untilMs) {
    const standing = await ask(cluster);
    if (standing.authority !== null && standing.authority.generation !== before.authority?.generation) return standing;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Failure(
    `the control plane has not acted within ${TAKEN_UP_WITHIN_MS / 1000} s: kubectl -n ${SYSTEM_NAMESPACE} get events --field-selector involvedObject.name=${AUTHORITY_SECRET}`,
  );
}
