// What the agent keeps of a pod: whether it asks for the agent, its rules, and how far its sidecar has come. Pure.
import { captureRules, readCaptureSettings } from '#core/contract/capture-rules.ts';
import type { FoundEnvironment } from '#core/contract/environment.ts';
import { SIDECAR_CONTAINER } from '#core/contract/names.ts';
import type { KubeObject } from '#kube/object.ts';

export interface AgentPod extends KubeObject {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Text for nft; or what is wrong with the pod's settings. */
  readonly rules: { readonly text: string } | { readonly problem: string };
  /** The sidecar runs: so there is a sandbox. */
  readonly runs: boolean;
  /** The sidecar has seen its rules in force: it says so by its startup probe. */
  readonly started: boolean;
}

/** The fields that are read here. */
interface RawPod extends KubeObject {
  readonly spec?: {
    readonly hostNetwork?: boolean;
    readonly initContainers?: readonly {
      readonly name?: string;
      readonly restartPolicy?: string;
      readonly env?: readonly { readonly name?: string; readonly value?: string }[];
    }[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly initContainerStatuses?: readonly {
      readonly name?: string;
      readonly started?: boolean;
      readonly state?: { readonly running?: object };
    }[];
  };
}

/**
 * undefined: the agent has nothing to do for this pod. Of the pod only its spec is believed, which does not change: with
 * annotations, whoever may edit them could change the rules.
 */
export function projectAgentPod(raw: Record<string, unknown>): AgentPod | undefined {
  const { metadata, spec, status } = raw as RawPod;
  const sidecar = spec?.initContainers?.find(({ name, restartPolicy }) => name === SIDECAR_CONTAINER && restartPolicy === 'Always');
  const env = Object.fromEntries((sidecar?.env ?? []).map(({ name, value }) => [name, value])) as FoundEnvironment;
  if (env.WEFT_CAPTURE !== 'agent' || spec?.hostNetwork === true) return undefined;
  if (metadata?.deletionTimestamp !== undefined || status?.phase === 'Succeeded' || status?.phase === 'Failed') return undefined;
  const { uid = '', namespace = '', name = '' } = metadata ?? {};
  const read = readCaptureSettings(env);
  const ours = status?.initContainerStatuses?.find((each) => each.name === SIDECAR_CONTAINER);
  return {
    metadata: { uid, namespace, name },
    uid,
    namespace,
    name,
    rules: 'problems' in read ? { problem: read.problems.join('; ') } : { text: captureRules(read.settings) },
    runs: ours?.state?.running !== undefined,
    started: ours?.started === true,
  };
}
