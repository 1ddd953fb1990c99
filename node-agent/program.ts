// The node agent put together: which pods it follows, what it serves, when it is ready.
import { NODE_AGENT_NAME } from '#core/contract/names.ts';
import { shedGreediest } from '#core/program/connection-bounds.ts';
import { openHttpPort } from '#core/program/http-port.ts';
import type { Logger } from '#core/program/log.ts';
import type { CommandOutcome } from '#core/program/nft.ts';
import type { Timers } from '#core/program/timers.ts';
import type { KubeClient } from '#kube/api.ts';
import { EventRecorder } from '#kube/events.ts';
import { Reflector } from '#kube/reflector.ts';
import { podKind } from '#objects/pod.ts';
import { Capturer } from './capturer.ts';
import { NodeAgentMetrics } from './metrics.ts';
import type { NamespaceId, Processes } from './process/proc.ts';
import type { NodeAgentSettings } from './settings.ts';
import { projectAgentPod } from './waiting-pod.ts';

const MOST_CONNECTIONS = 100;
/** Our own id without hostPID. */
const FIRST = 1;

export interface NodeAgentDeps {
  readonly client: KubeClient;
  readonly processes: Processes;
  /** Our own process id, and that of the runtime's process which started our container. */
  readonly pid: number;
  readonly parent: number;
  /** Runs nft in the network namespace that is open as this descriptor. Never rejects. */
  readonly load: (rules: string, network: number) => Promise<CommandOutcome>;
  readonly timers: Timers;
  /** Monotonic ms. */
  readonly monotonicMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
}

export interface NodeAgent {
  readonly healthPort: number;
  /** '' when pods can be captured, else what is missing. */
  notReady(): string;
  stop(): Promise<void>;
}

/**
 * Starts the agent. What its container is not allowed is no error: it is not ready then, and says why.
 * @throws Error when its port is taken
 */
export async function startNodeAgent(settings: NodeAgentSettings, deps: NodeAgentDeps): Promise<NodeAgent> {
  const { client, processes, timers, log } = deps;
  const metrics = new NodeAgentMetrics();
  const node = nodeNetworks(processes, deps.pid, deps.parent);
  const events = new EventRecorder({ client, component: NODE_AGENT_NAME, timers, log: log.child('events') });
  const capturer =
    'problem' in node ? null : new Capturer({ ...deps, forbidden: node.forbidden, metrics, record: (event) => events.record(event) });
  const pods =
    capturer === null
      ? null
      : new Reflector({
          client,
          kind: podKind,
          fieldSelector: `spec.nodeName=${settings.node}`,
          project: projectAgentPod,
          handler: capturer.handler,
          timers,
          random: deps.random,
          log: log.child('reflector'),
        });
  if ('problem' in node) log.error('pods cannot be captured', { problem: node.problem });
  const notReady = (): string => {
    if ('problem' in node) return node.problem;
    const { synced, lastError } = pods!.status();
    return synced ? '' : `the pods of node ${settings.node} are not known yet: ${lastError || 'listing'}`;
  };
  const health = await openHttpPort({
    host: '',
    port: settings.healthPort,
    bound: (server) => shedGreediest(server, MOST_CONNECTIONS),
    ready: () => {
      const missing = notReady();
      return missing === '' ? { notes: [] } : { missing };
    },
    metrics: (page) => metrics.write(page),
  });
  pods?.start();
  return {
    healthPort: health.port,
    notReady,
    async stop() {
      pods?.stop();
      capturer?.stop();
      await health.close();
    },
  };
}

/**
 * The network namespaces of the node, where the runtime is, and of our own pod; or why they cannot be told apart from
 * others.
 */
function nodeNetworks(processes: Processes, pid: number, parent: number): { forbidden: NamespaceId[] } | { problem: string } {
  if (pid === FIRST) return { problem: "the agent does not see the node's processes: its pod needs hostPID: true" };
  try {
    return { forbidden: [processes.network(parent), processes.network(pid)] };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return {
      problem: `the agent may not look at the node's processes (${code ?? message}): its container needs the capability SYS_PTRACE, and no AppArmor profile that forbids it`,
    };
  }
}
