// Loads capture rules into the network namespace of a pod's first process, after making sure that it is the pod's and no
// other's.
import { type CommandOutcome, complaintOf, whyFailed } from '#core/program/nft.ts';
import { isSameNamespace, type NamespaceId, type Processes } from './proc.ts';
import type { FirstProcess } from './sandboxes.ts';

export type EnterOutcome =
  | { readonly result: 'loaded' }
  /** It is not in the pod's network yet, or has ended: look again. */
  | { readonly result: 'early'; readonly why: string }
  | { readonly result: 'failed'; readonly why: string };

export interface EnterDeps {
  readonly processes: Processes;
  /** The network namespaces that are never entered: the node's and our own. */
  readonly forbidden: readonly NamespaceId[];
  /** Runs nft in the namespace that is open as this descriptor. Never rejects. */
  readonly load: (rules: string, network: number) => Promise<CommandOutcome>;
}

const NOT_ALLOWED = "the agent's container needs the capabilities SYS_ADMIN, NET_ADMIN and SYS_PTRACE";
/** Of an ended process: its directory is gone, or its files are empty. */
const GONE = ['ENOENT', 'ESRCH', 'EINVAL'];

/** Loads the rules for the pod of this uid; again and again if asked, with the same result. Never rejects. */
export async function enterPod(
  uid: string,
  first: FirstProcess,
  rules: string,
  { processes, forbidden, load }: EnterDeps,
): Promise<EnterOutcome> {
  let network: ReturnType<Processes['openNetwork']>;
  let ofParent: NamespaceId;
  try {
    network = processes.openNetwork(first.pid);
  } catch (error) {
    return refused(error as NodeJS.ErrnoException);
  }
  try {
    ofParent = processes.network(first.parent);
    // Now that the namespace is open: was it this process's, and is this process the pod's? Its id may have been given to
    // another one meanwhile.
    const stat = processes.stat(first.pid);
    if (stat?.startTime !== first.startTime || processes.podUid(first.pid) !== uid)
      return { result: 'early', why: 'its first process has ended' };
    // The runtime's own program becomes the sandbox: for a moment it is in the pod's control group and still where its
    // parent is, in the node's network. A pod on the node's network stays there.
    if ([...forbidden, ofParent].some((other) => isSameNamespace(network.id, other)))
      return { result: 'early', why: "its first process is in the node's network" };
    const outcome = await load(rules, network.fd);
    if (outcome.code === 0 && outcome.failure === '') return { result: 'loaded' };
    const said = complaintOf(outcome);
    return { result: 'failed', why: `${whyFailed(outcome, NOT_ALLOWED)}${said === '' ? '' : ` (nft said: ${said})`}` };
  } catch (error) {
    return refused(error as NodeJS.ErrnoException);
  } finally {
    network.close();
  }
}

function refused(error: NodeJS.ErrnoException): EnterOutcome {
  if (GONE.includes(error.code ?? '')) return { result: 'early', why: 'its first process has ended' };
  const hint = error.code === 'EACCES' || error.code === 'EPERM' ? `: ${NOT_ALLOWED}, and no AppArmor profile that forbids them` : '';
  return { result: 'failed', why: `the network namespace of its first process cannot be opened (${error.code ?? error.message})${hint}` };
}
